package routes

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ortserve/engine"
	"ortserve/internal/testmodel"
	"ortserve/models"
	"ortserve/pool"
	"ortserve/template"
	"ortserve/tokenize"
)

// modelDir holds a tiny model's directory, of which these tests use the tokenizer, the template and the description. A token of
// ASCII text that no merge touches is its byte.
var modelDir string

func TestMain(m *testing.M) {
	var err error
	if modelDir, err = os.MkdirTemp("", "routes"); err == nil {
		err = testmodel.Write(modelDir, testmodel.Config{})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(modelDir)
	if code == 0 {
		if err := goleak.Find(
			// fasthttp's goroutines that sleep and look whether their server still runs
			goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
			goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// scripted is an engine.Model that says the same whatever it is asked: the bytes of answer, then the end of a turn. Or, with echo, it
// repeats the prompt.
type scripted struct {
	answer  string
	echo    bool
	before  func(*engine.Batch) error // called in each run, if set
	info    engine.ModelInfo
	prompts []int     // tokens of the prompt in each slot
	kv      [][]int32 // tokens that each slot holds

	mu   sync.Mutex
	seen []int32 // the last prompt
}

func (m *scripted) Info() engine.ModelInfo { return m.info }
func (m *scripted) Close() error           { return nil }

func (m *scripted) Copy(dst, src, n int) error {
	m.prompts[dst] = m.prompts[src]
	m.kv[dst] = append(m.kv[dst][:0], m.kv[src][:n]...)
	return nil
}

func (m *scripted) Forward(b *engine.Batch) (engine.Logits, error) {
	if m.before != nil {
		if err := m.before(b); err != nil {
			return engine.Logits{}, err
		}
	}
	logits := engine.Logits{Vocab: m.info.Vocab}
	for _, r := range b.Rows {
		end := r.Past + len(r.Tokens)
		m.kv[r.Slot] = append(m.kv[r.Slot][:r.Past], r.Tokens...)
		if len(r.Tokens) > 1 || r.Past == 0 { // part of a prompt
			m.prompts[r.Slot] = end
			m.mu.Lock()
			m.seen = append(m.seen[:0], m.kv[r.Slot]...)
			m.mu.Unlock()
		}
		next := testmodel.EndOfTurn
		switch k := end - m.prompts[r.Slot]; {
		case m.echo && k < m.prompts[r.Slot]:
			next = m.kv[r.Slot][k]
		case !m.echo && k < len(m.answer):
			next = int32(m.answer[k])
		}
		for i := range r.Logits {
			row := make([]float32, m.info.Vocab)
			if row[next] = 100; i < r.Logits-1 { // inside a prompt it expects each token twice
				row[next], row[r.Tokens[len(r.Tokens)-r.Logits+i]] = 0, 100
			}
			logits.Data = append(logits.Data, row...)
		}
	}
	return logits, nil
}

// prompt returns the last prompt that the model was given.
func (m *scripted) prompt() []int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]int32(nil), m.seen...)
}

// world is a server on a socket, with one model in two slots.
type world struct {
	*server
	t     *testing.T
	model *scripted
	addr  string
	logs  *syncBuffer
	pool  *pool.Pool

	listen  string                                                 // the address to listen on
	closed  bool                                                   // the test has closed the pool
	control func(network, address string, c syscall.RawConn) error // of the listening socket
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// fixedTime is when everything happens in tests that compare bytes.
var fixedTime = time.Date(2026, 8, 21, 10, 0, 0, 123456789, time.UTC)

const (
	modelName = "tiny:1b"
	fixedID   = "0123456789abcdef0123456789abcdef"
)

// newWorld starts a server whose model answers so. Options may be set before it starts.
func newWorld(t *testing.T, answer string, set ...func(*world, *Options)) *world {
	t.Helper()
	w := &world{t: t, logs: &syncBuffer{}, listen: "127.0.0.1:0"}
	w.model = &scripted{
		answer:  answer,
		info:    engine.ModelInfo{Vocab: testmodel.Vocab, Slots: 2, MaxLen: 256, Chunk: 64, Logits: 16},
		prompts: make([]int, 3),
		kv:      make([][]int32, 3),
	}
	m, err := models.Describe(modelDir)
	if err != nil {
		t.Fatal(err)
	}
	m.Name, m.Modified, m.Size = modelName, fixedTime, 12345
	o := Options{Version: "v1.2.3", Logger: slog.New(slog.NewJSONHandler(w.logs, nil)), Queue: 1, StallTimeout: 30 * time.Second}
	w.pool = pool.New(pool.Options{Models: []*models.Model{m}, Need: func(m *models.Model) (int64, error) { return m.Size, nil }, Open: func(_ context.Context, m *models.Model) (*pool.Loaded, error) {
		tok, err := tokenize.Load(modelDir)
		if err != nil {
			return nil, err
		}
		var tmpl *template.Template
		if m.ChatTemplate != "" {
			if tmpl, err = template.Parse(m.ChatTemplate, tok.SpecialTokens()); err != nil {
				return nil, err
			}
		}
		e := engine.New(w.model, engine.Options{Queue: o.Queue, Logger: slog.New(slog.DiscardHandler)})
		return &pool.Loaded{
			Model: m, Engine: e, Tokenizer: tok, Template: tmpl, Fingerprint: "fp_test",
			StopTokens: []int32{testmodel.EndOfText, testmodel.EndOfTurn}, Close: e.Close,
		}, nil
	}})
	o.Pool = w.pool
	for _, f := range set {
		f(w, &o)
	}
	if err := w.pool.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.server = newServer(o)
	w.now = func() time.Time { return fixedTime }
	w.newID = func() (string, error) { return fixedID, nil }

	lc := net.ListenConfig{Control: w.control}
	ln, err := lc.Listen(t.Context(), "tcp", w.listen)
	if err != nil {
		t.Fatal(err)
	}
	w.addr = ln.Addr().String()
	app := w.app()
	served := make(chan error, 1)
	go func() { served <- app.Listener(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := app.ShutdownWithContext(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		if w.closed {
			return
		}
		if err := w.pool.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return w
}

// engine returns the model's engine.
func (w *world) engine() *engine.Engine {
	l, release, err := w.pool.Get(context.Background(), "", pool.User{})
	if err != nil {
		w.t.Fatal(err)
	}
	release()
	return l.Engine
}

// idle says whether no sequence is in the engine.
func (w *world) idle() bool {
	s := w.engine().Snapshot()
	return s.Running == 0 && s.Prefilling == 0 && s.Waiting == 0
}

// eventually waits until is is true. The bound is a guard against hanging.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// reply is an answer with its body read.
type reply struct {
	status int
	header http.Header
	body   string
}

// do sends one request on a connection of its own.
func (w *world) do(method, path, body string, headers ...string) reply {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "http://"+w.addr+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Close = true
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(b)}
}

func (w *world) post(path, body string) reply {
	w.t.Helper()
	return w.do(http.MethodPost, path, body)
}

// dial opens a raw connection.
func (w *world) dial() *net.TCPConn {
	w.t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(w.t.Context(), "tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		w.t.Fatalf("a %T", conn)
	}
	if err := tcp.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		w.t.Fatal(err)
	}
	return tcp
}

// send writes a POST with that body to a raw connection.
func send(t *testing.T, conn net.Conn, path, body string) {
	t.Helper()
	_, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
	if err != nil {
		t.Fatal(err)
	}
}

// logLine returns the log's line of the request to path, once it is there.
func (w *world) logLine(path string) map[string]any {
	w.t.Helper()
	var line map[string]any
	eventually(w.t, "a log line of "+path, func() bool {
		lines := bufio.NewScanner(strings.NewReader(w.logs.String()))
		for lines.Scan() {
			var m map[string]any
			if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
				w.t.Fatalf("log line %q: %v", lines.Text(), err)
			}
			if m["msg"] == "request" && m["path"] == path {
				line = m
				return true
			}
		}
		return false
	})
	return line
}

// gate makes each run of a model wait for a value of the channel it returns, until that is closed or the test ends.
func gate(t *testing.T, w *world) chan<- struct{} {
	c := make(chan struct{})
	w.model.before = func(*engine.Batch) error {
		select {
		case <-c:
			return nil
		case <-t.Context().Done(): // before the cleanups
			return errors.New("the test has ended")
		}
	}
	return c
}
