package load

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"ortserve/engine"
	"ortserve/engine/enginetest"
	"ortserve/models"
	"ortserve/pool"
	"ortserve/routes"
	"ortserve/template"
	"ortserve/tokenize"
)

// world is a server in this process. Its model's next token is a hash of all KV rows of the sequence, so that what a request must get is
// known, and a row that is another's, stale or missing changes it. Each token is one rune, and a prompt is its message and nothing else.
type world struct {
	model  *enginetest.Checksum
	engine *engine.Engine
	addr   string
	stop   func() // once

	mu   sync.Mutex
	logs bytes.Buffer
}

// firstRune is the text of token 0; the others follow.
const firstRune = 0x4e00

// Write implements io.Writer for the log.
func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.logs.Write(p)
}

// newWorld serves model m.
func newWorld(t *testing.T, m *enginetest.Checksum, o engine.Options, r routes.Options) *world {
	t.Helper()
	w := &world{model: m}
	vocab := map[string]int{}
	for id := range m.Info().Vocab {
		vocab[string(rune(firstRune+id))] = id
	}
	file, err := json.Marshal(map[string]any{
		"version": "1.0", "added_tokens": []any{}, "decoder": map[string]string{"type": "Fuse"},
		"model": map[string]any{"type": "BPE", "vocab": vocab, "merges": []any{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenize.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	chat, err := template.Parse("{% for m in messages %}{{ m.content }}{% endfor %}", nil)
	if err != nil {
		t.Fatal(err)
	}
	o.Logger = slog.New(slog.DiscardHandler) // runs fail on purpose
	w.engine = engine.New(m, o)
	p := pool.New(pool.Options{Models: []*models.Model{{Name: "tiny:latest"}}, Open: func(_ context.Context, d *models.Model) (*pool.Loaded, error) {
		return &pool.Loaded{Model: d, Engine: w.engine, Tokenizer: tok, Template: chat, Close: w.engine.Close}, nil
	}})
	if err := p.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Pool, r.Logger = p, slog.New(slog.NewJSONHandler(w, nil))
	if r.StallTimeout == 0 {
		r.StallTimeout = 30 * time.Second
	}
	app := routes.New(r)
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- app.Listener(ln) }()
	w.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := app.ShutdownWithContext(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(w.stop)
	return w
}

// text is the text of tokens.
func text(ids []int32) string {
	var b strings.Builder
	for _, id := range ids {
		b.WriteRune(firstRune + id)
	}
	return b.String()
}

// ids are the tokens of a text.
func ids(text string) []int32 {
	var all []int32
	for _, r := range text {
		all = append(all, r-firstRune)
	}
	return all
}

// logged is a line of the log about one request.
type logged struct {
	Request    string
	Status     int
	Finish     string
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
}

// requests returns the lines about requests by their ids.
func (w *world) requests(t *testing.T) map[string][]logged {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[string][]logged{}
	lines := bufio.NewScanner(bytes.NewReader(w.logs.Bytes()))
	for lines.Scan() {
		var l struct {
			Msg, Level string
			logged
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatalf("%v in %q", err, lines.Text())
		}
		switch {
		case l.Msg == "request" && l.Level != "ERROR":
			all[l.Request] = append(all[l.Request], l.logged)
		default:
			t.Errorf("the log: %s", lines.Text())
		}
	}
	return all
}

// idle waits until the engine holds no sequence.
func (w *world) idle(t *testing.T) {
	t.Helper()
	eventually(t, func() string {
		s := w.engine.Snapshot()
		if s.Running+s.Prefilling+s.Waiting == 0 {
			return ""
		}
		return fmt.Sprintf("%d run, %d read their prompts, %d wait", s.Running, s.Prefilling, s.Waiting)
	})
}

// eventually waits until what is wrong is nothing.
func eventually(t *testing.T, wrong func() string) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		what := wrong()
		if what == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// resources is what this process holds.
type resources struct{ goroutines, files int }

func (r resources) String() string {
	return fmt.Sprintf("%d goroutines, %d open files", r.goroutines, r.files)
}

// held counts what this process holds now. Where the system does not tell its files, they are 0.
func held() resources {
	files, _ := os.ReadDir("/proc/self/fd")
	return resources{runtime.NumGoroutine(), len(files)}
}

// returnsTo waits until this process holds no more than it did, but for what the runtime and fasthttp keep.
func returnsTo(t *testing.T, before resources) {
	t.Helper()
	const more = 5
	eventually(t, func() string {
		now := held()
		if now.goroutines <= before.goroutines+more && now.files <= before.files+more {
			return ""
		}
		return fmt.Sprintf("%s, before %s", now, before)
	})
}
