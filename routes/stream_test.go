package routes

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ortserve/engine"
)

// durations are the parts of an answer that differ from run to run.
var durations = regexp.MustCompile(`"((?:prompt_)?eval_duration)":\d+`)

// step lets a model make some runs and then waits until a text has come, so that what is streamed does not depend on who is faster.
type step struct {
	runs  int
	until string
}

// play reads a stream to its end, in steps, after which the model runs freely.
func play(t *testing.T, in io.Reader, release chan<- struct{}, steps ...step) string {
	t.Helper()
	var got strings.Builder
	buf := make([]byte, 4096)
	for _, s := range steps {
		for range s.runs {
			release <- struct{}{}
		}
		for !strings.Contains(got.String(), s.until) {
			n, err := in.Read(buf)
			got.Write(buf[:n])
			if err != nil {
				t.Fatalf("%v before %q; so far %q", err, s.until, got.String())
			}
		}
	}
	close(release)
	rest, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return durations.ReplaceAllString(got.String()+string(rest), `"$1":1`)
}

// streamOf returns what a route streams for a request, body byte for byte.
func (w *world) streamOf(release chan<- struct{}, path, body string, steps ...step) reply {
	w.t.Helper()
	conn := w.dial()
	send(w.t, conn, path, body)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	return reply{res.StatusCode, res.Header, play(w.t, res.Body, release, steps...)}
}

func TestStreamBytes(t *testing.T) {
	f := func(path, body, contentType, want string) {
		t.Helper()
		var release chan<- struct{}
		w := newWorld(t, "Hé", func(w *world, _ *Options) { release = gate(t, w) })
		r := w.streamOf(release, path, body, step{1, `"H"`}, step{2, `"é"`})
		if diff := cmp.Diff(want, r.body); r.status != http.StatusOK || diff != "" {
			t.Errorf("%s %s: %d (-want +got):\n%s", path, body, r.status, diff)
		}
		for name, want := range map[string]string{
			"Content-Type": contentType, "Cache-Control": "no-cache", "X-Accel-Buffering": "no", "X-Request-Id": fixedID,
		} {
			if got := r.header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
	const head = `data: {"id":"chatcmpl-` + fixedID + `","object":"chat.completion.chunk","created":1787306400,"model":"tiny:1b","system_fingerprint":"fp_test","choices":[`
	const chunks = head + `{"index":0,"delta":{"role":"assistant","content":null},"finish_reason":null}]}

` + head + `{"index":0,"delta":{"content":"H"},"finish_reason":null}]}

` + head + `{"index":0,"delta":{"content":"é"},"finish_reason":null}]}

` + head + `{"index":0,"delta":{},"finish_reason":"stop"}]}

`
	const messages = `{"messages":[{"role":"user","content":"hi"}],"model":"tiny:1b"`
	f("/v1/chat/completions", messages+`,"stream":true}`, "text/event-stream", chunks+"data: [DONE]\n\n")
	f("/chat/completions", messages+`,"stream":true,"stream_options":{"include_usage":true}}`, "text/event-stream",
		chunks+head+`],"usage":{"prompt_tokens":18,"completion_tokens":4,"total_tokens":22,"prompt_tokens_details":{"cached_tokens":0}}}

data: [DONE]

`)
	const line = `{"model":"tiny:1b","created_at":"2026-08-21T10:00:00.123456789Z",`
	const numbers = `"total_duration":0,"load_duration":0,"prompt_eval_count":18,"prompt_eval_cached_count":0,"prompt_eval_duration":1,"eval_count":4,"eval_duration":1}
`
	f("/api/generate", `{"model":"tiny:1b","prompt":"hi"}`, "application/x-ndjson",
		line+`"response":"H","done":false}
`+line+`"response":"é","done":false}
`+line+`"response":"","done":true,"done_reason":"stop","context":[500,502,456,290,503,10,10,384,504,502,316,115,344,298,353,503,10,10,72,195,169],`+numbers)
	f("/api/chat", messages+`}`, "application/x-ndjson",
		line+`"message":{"role":"assistant","content":"H"},"done":false}
`+line+`"message":{"role":"assistant","content":"é"},"done":false}
`+line+`"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop",`+numbers)
}

// An error after the first byte travels inside the stream, in the dialect's way, with the status unchanged.
func TestErrorInsideAStream(t *testing.T) {
	f := func(path, body, want string) {
		t.Helper()
		var release chan<- struct{}
		w := newWorld(t, "Hi", func(w *world, _ *Options) {
			release = gate(t, w)
			wait := w.model.before
			w.model.before = func(b *engine.Batch) error {
				if err := wait(b); err != nil {
					return err
				}
				if w.model.prompts[b.Rows[0].Slot] > 0 && len(b.Rows[0].Tokens) == 1 {
					return errors.New("secret of the inside")
				}
				return nil
			}
		})
		r := w.streamOf(release, path, body, step{1, `"H"`})
		if _, after, _ := strings.Cut(r.body, "\n\n"); strings.HasPrefix(path, "/v1") {
			_, r.body, _ = strings.Cut(after, "\n\n") // role and first token
		} else {
			_, r.body, _ = strings.Cut(r.body, "\n")
		}
		if diff := cmp.Diff(want, r.body); r.status != http.StatusOK || diff != "" {
			t.Errorf("%s: %d (-want +got):\n%s", path, r.status, diff)
		}
		line := w.logLine(path)
		if line["finish"] != "error" || line["level"] != "ERROR" || !strings.Contains(fmt.Sprint(line["cause"]), "secret of the inside") {
			t.Errorf("log: %v", line)
		}
	}
	const text = "internal error; the server's log says more under this request's id"
	f("/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}],"stream":true}`,
		`data: {"error":{"message":"`+text+`","type":"server_error","param":null,"code":"internal_error"}}

data: [DONE]

`)
	f("/api/generate", `{"model":"tiny:1b","prompt":"hi"}`, `{"error":"`+text+`"}`+"\n")
}

// date is the header that differs from run to run.
var date = regexp.MustCompile(`Date: [^\r]*\r\n`)

// until reads up to a text.
type until struct {
	in   *bufio.Reader
	end  string
	seen string
}

func (u *until) Read(p []byte) (int, error) {
	if strings.HasSuffix(u.seen, u.end) {
		return 0, io.EOF
	}
	b, err := u.in.ReadByte()
	u.seen, p[0] = u.seen+string(b), b
	return 1, err
}

func TestStreamOnTheWire(t *testing.T) {
	var release chan<- struct{}
	w := newWorld(t, "Hi", func(w *world, _ *Options) { release = gate(t, w) })
	conn := w.dial()
	send(t, conn, "/api/generate", `{"model":"tiny:1b","prompt":"hi","raw":true}`)
	in := bufio.NewReader(conn)
	got := date.ReplaceAllString(play(t, &until{in: in, end: "\r\n0\r\n\r\n"}, release, step{1, `"H"`}, step{1, `"i"`}), "")
	const line = `{"model":"tiny:1b","created_at":"2026-08-21T10:00:00.123456789Z",`
	want := "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nX-Request-Id: " + fixedID +
		"\r\nCache-Control: no-cache\r\nX-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n" +
		"5e\r\n" + line + `"response":"H","done":false}` + "\n\r\n" +
		"5e\r\n" + line + `"response":"i","done":false}` + "\n\r\n"
	if rest, ok := strings.CutPrefix(got, want); !ok {
		t.Errorf("(-want +got):\n%s", cmp.Diff(want, got))
	} else if strings.Count(rest, "\r\n") != 4 || !strings.Contains(rest, `"done":true`) {
		t.Errorf("after the pieces came %q", rest)
	}
	// The connection serves the next request, however long ago the last write's deadline was set.
	send(t, conn, "/api/generate", `{"model":"tiny:1b","prompt":"hi","stream":false}`)
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(b), `"response":"Hi"`) {
		t.Errorf("second request: %v %q", err, b)
	}
}

// Clients of HTTP/1.0 know no chunks; they get the lines all the same.
func TestStreamForHTTP10(t *testing.T) {
	w := newWorld(t, "Hi")
	conn := w.dial()
	const body = `{"model":"tiny:1b","prompt":"hi"}`
	if _, err := fmt.Fprintf(conn, "POST /api/generate HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(conn)
	head, lines, _ := strings.Cut(string(b), "\r\n\r\n")
	if err != nil || !strings.Contains(head, "Connection: close") || strings.Contains(head, "chunked") || !strings.HasPrefix(lines, "{") || !strings.Contains(lines, `"done":true`) {
		t.Errorf("%v %q", err, b)
	}
}

// A stream of server-sent events sends comments while nothing comes; lines of JSON have no such thing.
func TestHeartbeat(t *testing.T) {
	f := func(path, body, first string) {
		t.Helper()
		var release chan<- struct{}
		w := newWorld(t, "Hi", func(w *world, o *Options) {
			release = gate(t, w)
			o.Heartbeat = 10 * time.Millisecond
		})
		conn := w.dial()
		send(t, conn, path, body)
		in := bufio.NewReader(conn)
		res, err := http.ReadResponse(in, nil) // the headers come before the first token
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		time.Sleep(100 * time.Millisecond)
		go func() {
			for range 5 {
				select {
				case release <- struct{}{}:
				case <-t.Context().Done():
				}
			}
		}()
		b, err := io.ReadAll(res.Body)
		if err != nil || !strings.HasPrefix(string(b), first) {
			t.Errorf("%s: %v, begins with %.60q, want %q", path, err, b, first)
		}
	}
	f("/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}],"stream":true,"max_tokens":2}`, ": ping\n\n: ping\n\n")
	f("/api/generate", `{"model":"tiny:1b","prompt":"hi","options":{"num_predict":2}}`, `{"model"`)
}

// A client that does not read is cut off after the stall timeout, and holds nobody back meanwhile.
func TestStall(t *testing.T) {
	const stall = 300 * time.Millisecond
	const small = 8 << 10
	w := newWorld(t, "", func(w *world, o *Options) {
		w.model.info.MaxLen = 100_000
		w.model.answer = strings.Repeat("x", 50_000)
		w.control = func(_, _ string, c syscall.RawConn) (err error) {
			return errors.Join(c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, small) }), err)
		}
		o.StallTimeout = stall
	})
	conn := w.dial()
	if err := conn.SetReadBuffer(small); err != nil {
		t.Fatal(err)
	}
	send(t, conn, "/api/generate", `{"model":"tiny:1b","prompt":"hi"}`)
	begin := time.Now()
	other := w.post("/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}],"max_tokens":3}`)
	if !strings.Contains(other.body, `"content":"xxx"`) {
		t.Errorf("beside it: %q", other.body)
	}
	line := w.logLine("/api/generate")
	if took := time.Since(begin); took < stall {
		t.Errorf("cut off after %s, before %s", took, stall)
	}
	if line["finish"] != "cancelled" {
		t.Errorf("log: %v", line)
	}
	eventually(t, "the slot is free", w.idle)
}

// A panic while a stream is written ends that stream with an error, not the server.
func TestPanicInAStream(t *testing.T) {
	var armed atomic.Bool
	arm := sync.OnceFunc(func() { armed.Store(true) })
	w := newWorld(t, "Hi", func(w *world, _ *Options) {
		w.model.before = func(*engine.Batch) error { arm(); return nil }
	})
	w.now = func() time.Time {
		if armed.CompareAndSwap(true, false) {
			panic("the clock broke")
		}
		return fixedTime
	}
	r := w.post("/api/generate", `{"model":"tiny:1b","prompt":"hi"}`)
	if r.status != http.StatusOK || !strings.HasSuffix(r.body, `{"error":"internal error; the server's log says more under this request's id"}`+"\n") {
		t.Errorf("%d %q", r.status, r.body)
	}
	if !strings.Contains(w.logs.String(), "the clock broke") {
		t.Error("the log does not tell the panic")
	}
	if r := w.post("/api/generate", `{"model":"tiny:1b","prompt":"hi"}`); !strings.Contains(r.body, `"done":true`) {
		t.Errorf("after it: %d %q", r.status, r.body)
	}
	eventually(t, "the slots are free", w.idle)
}

// A panic in a handler is a 500 in the dialect of its path.
func TestPanicInAHandler(t *testing.T) {
	w := newWorld(t, "Hi")
	w.newID = func() (string, error) { return fixedID, nil }
	w.now = func() time.Time { return fixedTime }
	w.Ready = func() bool { panic("not even that") }
	r := w.do(http.MethodGet, "/readyz", "")
	if r.status != http.StatusInternalServerError || !strings.Contains(r.body, `"code":"internal_error"`) || strings.Contains(r.body, "not even") {
		t.Errorf("%d %q", r.status, r.body)
	}
}
