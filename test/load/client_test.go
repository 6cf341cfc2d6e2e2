package load

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// api is a dialect.
type api int

const (
	openai api = iota // /v1/chat/completions
	ollama            // /api/generate
)

func (a api) String() string { return [...]string{"openai", "ollama"}[a] }

// question is a request for an answer.
type question struct {
	api       api
	streaming bool
	id        string // X-Request-ID
	prompt    string
	tokens    int // of the answer, at most
	seed      int // 0 is greedy
}

// body is the request's body.
func (q question) body(t testing.TB) string {
	t.Helper()
	temperature := min(q.seed, 1)
	v := map[string]any{"model": "tiny", "stream": q.streaming}
	switch q.api {
	case openai:
		v["messages"] = []map[string]string{{"role": "user", "content": q.prompt}}
		v["max_tokens"], v["temperature"], v["seed"] = q.tokens, temperature, q.seed
		if q.streaming {
			v["stream_options"] = map[string]bool{"include_usage": true}
		}
	case ollama:
		v["prompt"] = q.prompt
		v["options"] = map[string]any{"num_predict": q.tokens, "temperature": temperature, "seed": q.seed}
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// path is the request's path.
func (q question) path() string { return [...]string{"/v1/chat/completions", "/api/generate"}[q.api] }

// answer is what came back.
type answer struct {
	status int
	header http.Header

	text     string
	events   int      // with text, of a stream
	finish   string   // "stop" or "length"
	terminal int      // events that end an answer: one with a finish reason, or an error
	done     int      // how often an event stream said [DONE]
	failure  string   // the error, of the whole answer or inside a stream
	ids      []string // those of its events, each once
	usage    usage
	err      error // how the connection failed; nil for an answer that was received to its end
}

// usage is what an answer says of its tokens; nil where it does not.
type usage struct{ prompt, completion, cached *int }

// call is a request that was sent on a connection of its own.
type call struct {
	question
	conn *net.TCPConn
	in   *bufio.Reader
}

// dial connects to addr.
func dial(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		t.Fatalf("a %T", conn)
	}
	return tcp
}

// send sends q on a connection of its own, which the end of the test closes.
func send(t testing.TB, addr string, q question) *call {
	t.Helper()
	conn := dial(t, addr)
	t.Cleanup(func() { _ = conn.Close() })
	c, err := sendOn(t, conn, q)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sendOn sends q on conn.
func sendOn(t testing.TB, conn *net.TCPConn, q question) (*call, error) {
	t.Helper()
	body := q.body(t)
	_, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: %s\r\nContent-Length: %d\r\n\r\n%s", q.path(), q.id, len(body), body)
	return &call{question: q, conn: conn, in: bufio.NewReaderSize(conn, 1<<10)}, err
}

// ask sends q and reads the whole answer.
func ask(t testing.TB, addr string, q question) answer {
	t.Helper()
	c := send(t, addr, q)
	defer c.conn.Close()
	return c.read(nil)
}

// errLeft is the error of an answer that its reader did not want to the end.
var errLeft = errors.New("the client left")

// read reads the answer. more, if not nil, is called after each event that has text; when it returns false, the rest is left unread.
func (c *call) read(more func(*answer) bool) (a answer) {
	resp, err := http.ReadResponse(c.in, nil) //nolint:bodyclose // that would read the rest; whoever has the connection closes it
	if err != nil {
		a.err = err
		return a
	}
	a.status, a.header = resp.StatusCode, resp.Header
	if !c.streaming || resp.StatusCode != http.StatusOK {
		b, err := io.ReadAll(resp.Body)
		if a.err = err; err == nil {
			a.err = a.event(b)
		}
		return a
	}
	lines := bufio.NewReaderSize(resp.Body, 1<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			if !errors.Is(err, io.EOF) || len(line) > 0 {
				a.err = fmt.Errorf("%w after %q", err, line)
			}
			return a
		}
		if c.api == openai {
			data, ok := bytes.CutPrefix(line, []byte("data: "))
			if !ok { // the empty line after an event, or a comment
				continue
			}
			line = data
		}
		if bytes.Equal(line, []byte("[DONE]\n")) {
			a.done++
			continue
		}
		before := len(a.text)
		if a.err = a.event(line); a.err != nil {
			return a
		}
		if len(a.text) > before {
			a.events++
			if more != nil && !more(&a) {
				a.err = errLeft
				return a
			}
		}
	}
}

// wire is an event or a whole answer of either dialect.
type wire struct {
	ID      string          `json:"id"`
	Error   json.RawMessage `json:"error"`
	Choices []struct {
		Delta, Message struct{ Content string }
		Finish         *string `json:"finish_reason"`
	}
	Usage *struct {
		Prompt     *int `json:"prompt_tokens"`
		Completion *int `json:"completion_tokens"`
		Details    struct {
			Cached *int `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
	}
	Response     string
	Done         bool
	DoneReason   string `json:"done_reason"`
	PromptCount  *int   `json:"prompt_eval_count"`
	AnswerCount  *int   `json:"eval_count"`
	PromptCached *int   `json:"prompt_eval_cached_count"`
}

// event adds an event, or a whole answer, to a.
func (a *answer) event(b []byte) error {
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("%w in %q", err, b)
	}
	if w.ID != "" && !slices.Contains(a.ids, w.ID) {
		a.ids = append(a.ids, w.ID)
	}
	if w.Error != nil {
		a.terminal++
		a.failure = string(w.Error)
	}
	for _, c := range w.Choices {
		a.text += c.Delta.Content + c.Message.Content
		if c.Finish != nil {
			a.terminal++
			a.finish = *c.Finish
		}
	}
	a.text += w.Response
	if w.Done {
		a.terminal++
		a.finish = w.DoneReason
		a.usage = usage{w.PromptCount, w.AnswerCount, w.PromptCached}
	}
	if w.Usage != nil {
		a.usage = usage{w.Usage.Prompt, w.Usage.Completion, w.Usage.Details.Cached}
	}
	return nil
}

// complete says what an answer of n tokens lacks; nothing if it is whole.
func (a *answer) complete(q question) error {
	switch {
	case a.err != nil:
		return a.err
	case a.status != http.StatusOK:
		return fmt.Errorf("status %d: %s", a.status, a.failure)
	case a.failure != "":
		return fmt.Errorf("an error after %d bytes: %s", len(a.text), a.failure)
	case a.terminal != 1 || a.finish != "length":
		return fmt.Errorf("%d ends, the reason is %q", a.terminal, a.finish)
	case q.api == openai && q.streaming && a.done != 1:
		return fmt.Errorf("%d times [DONE]", a.done)
	case a.usage.completion == nil || *a.usage.completion != q.tokens:
		return fmt.Errorf("usage %+v, want %d tokens", a.usage, q.tokens)
	}
	return nil
}

// letters returns a prompt of n letters that no other number has.
func letters(number, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d ", number)
	for i := 0; b.Len() < n; i++ {
		b.WriteByte("BCDFGHJKLMNPQRST"[(number+i*i+i/7)%16])
	}
	return b.String()[:n]
}

// percentile returns the p-th percentile of times.
func percentile(times []time.Duration, p int) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(len(sorted)*p/100, len(sorted)-1)].Round(time.Microsecond)
}
