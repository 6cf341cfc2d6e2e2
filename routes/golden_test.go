package routes

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ortserve/engine"
	"ortserve/template/thinking"
)

// Files of exchanges hold requests and the answers to them, byte for byte, with the reasons beside them. Each exchange is
//
//	# why the answer is what it is
//	>>> POST /v1/chat/completions
//	Header: of the request
//
//	{"body": "with line breaks between its members"}
//	<<< 200
//	Content-Type: and those of shownHeaders that the answer has
//
//	the answer's body
//
// Lines with @ are settings: @answer is what the model says from there on; @template its template and @fails the run in which it fails, of the
// whole file, @window how many tokens it holds; @thoughts that an answer begins with thoughts, @client is what the client of one exchange does wrong. Times are written as 1, digests as X. `go test ./routes -update` writes what stands behind <<<.
type exchangeFile struct {
	path  string
	parts []exchangePart
}

// exchangePart is an exchange and what stands before it.
type exchangePart struct {
	before  []string // comments and settings
	request []string // from >>> on
	answer  []string // from <<< on
}

// shownHeaders are those that a file shows.
var shownHeaders = []string{"Content-Type", "X-Ignored-Params", "X-Context-Length", "Allow", "Retry-After", "Www-Authenticate"}

// readExchanges reads a file of exchanges.
func readExchanges(t *testing.T, path string) *exchangeFile {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := &exchangeFile{path: path}
	var part exchangePart
	into := &part.before
	flush := func() {
		f.parts = append(f.parts, part)
		part = exchangePart{}
		into = &part.before
	}
	for _, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		comment := strings.HasPrefix(line, "# ") || strings.HasPrefix(line, "@")
		switch {
		case strings.HasPrefix(line, ">>> ") || comment && part.answer != nil:
			if part.answer != nil {
				flush()
			}
			if !comment {
				into = &part.request
			}
		case strings.HasPrefix(line, "<<<"):
			into = &part.answer
		}
		*into = append(*into, line)
	}
	flush()
	return f
}

// write puts the file back.
func (f *exchangeFile) write(t *testing.T) {
	t.Helper()
	var lines []string
	for _, p := range f.parts {
		lines = append(lines, slices.Concat(p.before, p.request, p.answer)...)
	}
	if err := os.WriteFile(f.path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// setting returns the value of a setting that stands before the exchange.
func (p *exchangePart) setting(name string) (string, bool) {
	for _, line := range p.before {
		if v, ok := strings.CutPrefix(line, "@"+name+" "); ok {
			return v, true
		}
	}
	return "", false
}

// ask returns the exchange's method, path, headers and body.
func (p *exchangePart) ask(t *testing.T) (method, path string, headers []string, body string) {
	t.Helper()
	if len(p.request) == 0 {
		t.Fatalf("an exchange without a request: %q", p.before)
	}
	method, path, _ = strings.Cut(strings.TrimPrefix(p.request[0], ">>> "), " ")
	rest := p.request[1:]
	for len(rest) > 0 && rest[0] != "" {
		name, value, _ := strings.Cut(rest[0], ": ")
		headers = append(headers, name, value)
		rest = rest[1:]
	}
	return method, path, headers, strings.Join(rest, "\n")
}

// The parts of an answer that differ from run to run, or with the model's files.
var (
	times   = regexp.MustCompile(`"(\w*_duration|\w+_ms|\w+_per_second)":[\d.e+-]+`)
	digests = regexp.MustCompile(`"(digest|expires_at)":"[^"]*"`)
	blobs   = regexp.MustCompile(`"pulling [0-9a-f]{12}"`)
	hosts   = regexp.MustCompile(`127\.0\.0\.1:\d+`)
)

// lines is an answer as a file has it.
func (r reply) lines() []string {
	lines := []string{"<<< " + strconv.Itoa(r.status)}
	for _, name := range shownHeaders {
		if v := r.header.Get(name); v != "" {
			lines = append(lines, name+": "+v)
		}
	}
	body := digests.ReplaceAllString(times.ReplaceAllString(r.body, `"$1":1`), `"$1":"X"`)
	body = hosts.ReplaceAllString(blobs.ReplaceAllString(body, `"pulling X"`), "hub.example")
	return append(append(lines, ""), inOrder(strings.Split(body, "\n"))...)
}

// inOrder sorts what a pull says of its files, which come side by side.
func inOrder(lines []string) []string {
	ofFile := func(line string) bool {
		return strings.HasPrefix(line, `{"status":"pulling X"`) || strings.HasPrefix(line, `{"status":"verifying digest"`)
	}
	if first := slices.IndexFunc(lines, ofFile); first >= 0 {
		n := slices.IndexFunc(lines[first:], func(line string) bool { return !ofFile(line) })
		slices.Sort(lines[first : first+n])
	}
	return lines
}

// player plays exchanges against a world whose model makes each run only when what the one before gave has been read, so that what is
// streamed does not depend on who is faster.
type player struct {
	*world
	gate    atomic.Pointer[chan struct{}] // nil: the model runs freely
	entered atomic.Int32                  // runs that have begun
	busy    bool                          // the model never becomes idle
	runs    atomic.Int64                  // of the exchange
	fails   int                           // the run that fails, and all after it

	template string
}

// newPlayer starts the world that a file asks for.
func newPlayer(t *testing.T, f *exchangeFile, set ...func(*world, *Options)) *player {
	t.Helper()
	p := &player{fails: math.MaxInt}
	if run, ok := f.parts[0].setting("fails"); ok {
		var err error
		if p.fails, err = strconv.Atoi(run); err != nil {
			t.Fatalf("%s: @fails: %v", f.path, err)
		}
	}
	window := 4096
	if n, ok := f.parts[0].setting("window"); ok {
		var err error
		if window, err = strconv.Atoi(n); err != nil {
			t.Fatalf("%s: @window: %v", f.path, err)
		}
	}
	name, _ := f.parts[0].setting("template")
	p.template = name
	source, ok := map[string]string{"": "", "hermes": hermesTemplate, "llama": llamaTemplate, "qwen": qwenTemplate, "r1": r1Template}[name]
	if !ok {
		t.Fatalf("%s: @template %s", f.path, name)
	}
	p.world = newWorld(t, "Hi", append([]func(*world, *Options){withTemplate(source), func(w *world, _ *Options) {
		w.model.info.MaxLen, w.model.info.Chunk = window, window // a prompt is one run
		w.model.before = func(*engine.Batch) error {
			p.entered.Add(1)
			if gate := p.gate.Load(); gate != nil {
				select {
				case <-*gate:
				case <-t.Context().Done():
					return context.Canceled
				}
			}
			if run := p.runs.Add(1); run >= int64(p.fails) {
				return fmt.Errorf("run %d fails", run)
			}
			return nil
		}
	}}, set...)...)
	return p
}

// play returns the answer to an exchange. The texts of pieces tell where a stream waits for the next run.
func (p *player) play(part *exchangePart) reply {
	p.t.Helper()
	p.runs.Store(0)
	if answer, ok := part.setting("answer"); ok {
		var err error
		if p.model.answer, err = strconv.Unquote(answer); err != nil {
			p.t.Fatalf("@answer %s: %v", answer, err)
		}
	}
	method, path, headers, body := part.ask(p.t)
	if how, ok := part.setting("client"); ok {
		return p.misbehave(how, method, path, body)
	}
	if p.busy {
		return p.do(method, path, body, headers...)
	}
	defer eventually(p.t, "the model is idle", p.idle)
	streams := strings.Contains(body, `"stream":true`) || strings.HasPrefix(path, "/api/") && !strings.Contains(body, `"stream":false`)
	text := p.model.answer
	splitter := thinking.NewSplitter(thinking.Answer)
	_, thinks := part.setting("thoughts")
	if thinks {
		splitter = thinking.NewSplitter(thinking.Before)
		if p.template == "r1" {
			splitter = thinking.NewSplitter(thinking.Inside)
		}
	} else if strings.Contains(text, "<") {
		streams = false
	}
	if !streams { // calls of tools come whole
		return p.do(method, path, body, headers...)
	}
	gate := make(chan struct{}, len(text))
	p.gate.Store(&gate)
	defer p.gate.Store(nil)
	conn := p.dial()
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n", method, path, len(body))
	for i := 0; i < len(headers); i += 2 {
		fmt.Fprintf(&head, "%s: %s\r\n", headers[i], headers[i+1])
	}
	if _, err := fmt.Fprintf(conn, "%s\r\n%s", head.String(), body); err != nil {
		p.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	var got strings.Builder
	buf := make([]byte, 4096)
	more := func() bool { // reads on; false at the end
		n, err := res.Body.Read(buf)
		got.Write(buf[:n])
		if err != nil && !errors.Is(err, io.EOF) {
			p.t.Fatalf("%s: %v; so far %q", path, err, got.String())
		}
		return err == nil
	}
	if typ := res.Header.Get("Content-Type"); typ == eventStream || typ == jsonLines {
		for i, r := range text {
			for range len(string(r)) { // runs, some of which the answer may not need
				gate <- struct{}{}
			}
			thought, said := splitter.Write(string(r))
			from := got.Len()
			for again := thought+said != "" && i+len(string(r)) < p.fails; again; { // a first event is several
				again = more() && thinks && !strings.Contains(got.String()[from:], strconv.Quote(thought+said))
			}
		}
	}
	close(gate)
	for more() {
	}
	return reply{res.StatusCode, res.Header, got.String()}
}

// misbehave is a client that sends too long a header, less of the body than it said, or that leaves. The last one only closes its half of
// the connection, which counts as leaving, and so reads what nobody else would.
func (p *player) misbehave(how, method, path, body string) reply {
	p.t.Helper()
	conn := p.dial()
	head, length := "", len(body)
	switch how {
	case "long header":
		head = "X-Long: " + strings.Repeat("x", 64<<10) + "\r\n"
	case "sends half":
		length *= 2
	case "leaves":
		gate := make(chan struct{})
		p.gate.Store(&gate)
		defer func() {
			close(gate)
			p.gate.Store(nil)
			eventually(p.t, "the model is idle", p.idle)
		}()
	default:
		p.t.Fatalf("@client %s", how)
	}
	before := p.entered.Load()
	if _, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n%s\r\n%s", method, path, length, head, body); err != nil {
		p.t.Fatal(err)
	}
	if how == "leaves" {
		eventually(p.t, "a run", func() bool { return p.entered.Load() > before })
		if err := conn.CloseWrite(); err != nil {
			p.t.Fatal(err)
		}
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		p.t.Fatalf("%s: %v", how, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(answer)}
}

// check plays a file's exchanges.
func (f *exchangeFile) check(t *testing.T, p *player) {
	t.Helper()
	for i := range f.parts {
		part := &f.parts[i]
		got := p.play(part).lines()
		if *update {
			part.answer = got
			continue
		}
		if diff := cmp.Diff(part.answer, got); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", f.path, part.request[0], diff)
		}
	}
	if *update {
		f.write(t)
	}
}

// exchangeFiles returns the files of a folder below testdata.
func exchangeFiles(t *testing.T, folder string) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/" + folder + "/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files of exchanges: %v", err)
	}
	return paths
}
