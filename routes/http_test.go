package routes

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// raw sends bytes as they are and returns the answer.
func (w *world) raw(request string) reply {
	w.t.Helper()
	conn := w.dial()
	if _, err := io.WriteString(conn, request); err != nil {
		w.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		w.t.Fatalf("%v after %.80q", err, request)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(b)}
}

func TestBodyLimit(t *testing.T) {
	w := newWorld(t, "Hi", func(_ *world, o *Options) { o.BodyLimit = 64 << 10 })
	f := func(path string, size, status int, want string) {
		t.Helper()
		r := w.post(path, `{"model":"`+strings.Repeat("x", size-12)+`"}`) // http.Client sends it whole before it reads
		if r.status != status || !strings.Contains(r.body, want) {
			t.Errorf("%s, %d bytes: %d %.200s", path, size, r.status, r.body)
		}
	}
	f("/v1/chat/completions", 64<<10, 400, "messages is empty")
	f("/v1/chat/completions", 64<<10+1, 413, `{"error":{"message":"the body is larger than 65536 bytes","type":"invalid_request_error","param":null,"code":"request_too_large"}}`)
	f("/v1/messages", 64<<10+1, 413, `{"type":"error","error":{"type":"request_too_large","message":"the body is larger than 65536 bytes"}`)
	f("/api/generate", 8<<20, 413, `{"error":"the body is larger than 65536 bytes"}`)

	endless := "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" +
		strings.Repeat("1000\r\n"+strings.Repeat("x", 0x1000)+"\r\n", 17)
	if r := w.raw(endless); r.status != 413 || r.body != `{"error":"the body is larger than 65536 bytes"}` {
		t.Errorf("chunks without end: %d %s", r.status, r.body)
	}
	// A client that asks first is told before it sends.
	r := w.raw("POST /api/chat HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n")
	if r.status != 413 || r.body != `{"error":"the body is larger than 65536 bytes"}` {
		t.Errorf("Expect: %d %s", r.status, r.body)
	}
	if r := w.raw("POST /api/chat HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"); r.status != 100 {
		t.Errorf("Expect: %d, want leave to go on", r.status)
	}
	if r := w.do(http.MethodGet, "/livez", ""); r.status != http.StatusOK {
		t.Errorf("afterwards /livez is %d", r.status)
	}
	if line := w.logLine("/v1/chat/completions"); line["status"] != 400.0 {
		t.Errorf("log: %v", line)
	}
}

func TestMalformedHTTP(t *testing.T) {
	w := newWorld(t, "Hi")
	f := func(request string, status int, want string) {
		t.Helper()
		if r := w.raw(request); r.status != status || !strings.Contains(r.body, want) {
			t.Errorf("%.60q: %d %s, want %d and %s", request, r.status, r.body, status, want)
		}
	}
	var many strings.Builder
	for i := range 500 {
		fmt.Fprintf(&many, "X-Header-%d: %s\r\n", i, strings.Repeat("x", 100))
	}
	f("GET / HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n", 431, `"code":"header_too_large"`)
	f("GET / HTTP/1.1\r\nHost: localhost\r\n"+many.String()+"\r\n", 431, `"code":"header_too_large"`)
	f("GET / HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("x", 8<<10)+"\r\n\r\n", 200, "Ollama is running")
	f("POST /api/chat HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400, `"type":"invalid_request_error"`)
	f("nonsense\r\n\r\n", 400, `"type":"invalid_request_error"`)
}

// TestRefusedConnections: what is refused before all of it is read gets its answer, whatever it still sends, and then the connection ends.
func TestRefusedConnections(t *testing.T) {
	w := newWorld(t, "Hi", withKeys(t), func(_ *world, o *Options) { o.BodyLimit, o.ReadTimeout = 64<<10, 500*time.Millisecond })
	f := func(what, request string, status int) {
		t.Helper()
		conn := w.dial()
		sent := make(chan error, 1)
		go func() {
			_, err := io.WriteString(conn, request)
			sent <- err
		}()
		b, err := io.ReadAll(conn)
		if want := fmt.Sprintf("HTTP/1.1 %d ", status); err != nil || !strings.HasPrefix(string(b), want) || strings.Count(string(b), "HTTP/1.1 ") != 1 ||
			!strings.Contains(string(b), "\r\nConnection: close\r\n") {
			t.Errorf("%s: %v %.300q, want %s and the end", what, err, b, want)
		}
		if err := <-sent; err != nil {
			t.Errorf("%s: %v while it was sent", what, err)
		}
	}
	const key, post = "X-Api-Key: sesame\r\n", "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
	large := strings.Repeat("x", 1<<20)
	f("a long header", "GET / HTTP/1.1\r\nHost: localhost\r\nX: "+large[:64<<10]+"\r\n\r\n", 431)
	f("a header of a mebibyte", "GET / HTTP/1.1\r\nHost: localhost\r\nX: "+large+"\r\n\r\n", 431)
	f("500 headers", "GET / HTTP/1.1\r\nHost: localhost\r\n"+strings.Repeat("X-Header: "+large[:100]+"\r\n", 500)+"\r\n", 431)
	f("a long path", "GET /"+large[:64<<10]+" HTTP/1.1\r\nHost: localhost\r\n\r\n", 431)
	f("a body too large", fmt.Sprintf("%s%sContent-Length: %d\r\n\r\n%s", post, key, len(large), large), 413)
	f("chunks without end", post+key+"Transfer-Encoding: chunked\r\n\r\n"+strings.Repeat("1000\r\n"+large[:0x1000]+"\r\n", 64), 413)
	f("a body too large that asks first", post+key+"Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n", 413)
	f("no key and a body", fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", post, len(large), large), 401)
	f("a body that stops", post+key+"Content-Length: 10\r\n\r\n{", 408)
	f("no HTTP", "nonsense\r\n\r\n", 400)
	f("two lengths", post+key+"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400)
}

// A request that does not arrive in time is a 408, and its connection ends.
func TestSlowRequest(t *testing.T) {
	w := newWorld(t, "Hi", func(_ *world, o *Options) { o.ReadTimeout = 100 * time.Millisecond })
	f := func(request, want string) {
		t.Helper()
		if r := w.raw(request); r.status != 408 || !strings.Contains(r.body, want) {
			t.Errorf("%q: %d %s", request, r.status, r.body)
		}
	}
	f("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{", `"code":"request_not_received"`)
	f("POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{", `{"error":"`)
	f("POST /v1/chat/compl", `"code":"request_not_received"`)
}

// A connection that lies idle is closed, without an answer that nobody asked for.
func TestIdleConnection(t *testing.T) {
	w := newWorld(t, "Hi", func(_ *world, o *Options) { o.IdleTimeout = 100 * time.Millisecond })
	conn := w.dial()
	if _, err := io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 200 ") || strings.Count(string(b), "HTTP/1.1 ") != 1 {
		t.Errorf("%v %q", err, b)
	}
	if s := newServer(Options{}); s.IdleTimeout != 2*time.Minute || s.ReadTimeout != 15*time.Second || s.BodyLimit != 16<<20 {
		t.Errorf("the defaults are %s, %s, %d bytes", s.IdleTimeout, s.ReadTimeout, s.BodyLimit)
	}
}

// A body is JSON whatever is said of it, except where it would have to be unpacked.
func TestContentTypes(t *testing.T) {
	w := newWorld(t, "Hi")
	const body = `{"model":"tiny:1b","prompt":"hi","stream":false}`
	for _, typ := range []string{"", "application/json", "application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"} {
		if r := w.do(http.MethodPost, "/api/generate", body, "Content-Type", typ); r.status != http.StatusOK {
			t.Errorf("%q: %d %s", typ, r.status, r.body)
		}
	}
	if r := w.do(http.MethodPost, "/api/generate", body, "Content-Encoding", "identity"); r.status != http.StatusOK {
		t.Errorf("identity: %d %s", r.status, r.body)
	}
	for _, e := range []string{"br", "deflate", "gzip, gzip"} {
		r := w.do(http.MethodPost, "/api/generate", body, "Content-Encoding", e)
		if r.status != http.StatusUnsupportedMediaType || r.body != `{"error":"the content encoding \"`+e+`\" is not supported; gzip and zstd are"}` {
			t.Errorf("%s: %d %s", e, r.status, r.body)
		}
	}
}

// A request id of the client's is kept where it can stand in a log.
func TestRequestID(t *testing.T) {
	w := newWorld(t, "Hi")
	f := func(id, want string) {
		t.Helper()
		if got := w.do(http.MethodGet, "/livez", "", "X-Request-Id", id).header.Get("X-Request-Id"); got != want {
			t.Errorf("%.40q became %q, want %q", id, got, want)
		}
	}
	f("req_1.a-B", "req_1.a-B")
	f("a b", fixedID)
	f("é", fixedID)
	f(strings.Repeat("x", 129), fixedID)
	f("", fixedID)

	a, err := randomID()
	b, berr := randomID()
	if err != nil || berr != nil || len(a) != 32 || a == b {
		t.Errorf("ids %q, %q, %v, %v", a, b, err, berr)
	}
}

func TestIgnoredParamsHeader(t *testing.T) {
	w := newWorld(t, "Hi")
	f := func(extra, want string) {
		t.Helper()
		r := w.post("/api/generate", `{"model":"tiny:1b","prompt":"hi","stream":false`+extra+`}`)
		if got := r.header.Get("X-Ignored-Params"); r.status != http.StatusOK || got != want {
			t.Errorf("%.60s: %d, %q, want %q", extra, r.status, got, want)
		}
	}
	f(``, "")
	f(`,"foo":1,"options":{"bar":2,"seed":1}`, "foo, options.bar")
	f(`,"a\r\nSet-Cookie: x":1,"b,c":2,"é":3,"`+strings.Repeat("x", 65)+`":4,"ok":5`, "?, ?, ?, ?, ok")
	var many strings.Builder
	for i := range 40 {
		fmt.Fprintf(&many, `,"p%d":1`, i)
	}
	r := w.post("/api/generate", `{"model":"tiny:1b","prompt":"hi","stream":false`+many.String()+`}`)
	if got := r.header.Get("X-Ignored-Params"); strings.Count(got, ",") != maxIgnored || !strings.HasSuffix(got, "p31, ...") {
		t.Errorf("40 names: %q", got)
	}
}

// One line a request, which holds nothing of what was asked and answered.
func TestAccessLog(t *testing.T) {
	w := newWorld(t, "an-answer")
	w.post("/v1/chat/completions", `{"messages":[{"role":"user","content":"a-question"}],"user":"somebody","stream":true}`)
	w.post("/api/generate", `{"model":"tiny:1b","prompt":"a-question","options":{"num_predict":3},"stream":false}`)
	w.post("/api/show", `{"model":"not-there"}`)
	w.do(http.MethodGet, "/livez", "")
	w.raw("GET /no%1b[31m%0Asuch%E2%80%A8path HTTP/1.1\r\nHost: localhost\r\n\r\n")

	f := func(path string, want map[string]any) {
		t.Helper()
		line := w.logLine(path)
		for k, v := range want {
			if line[k] != v {
				t.Errorf("%s: %s is %v, want %v", path, k, line[k], v)
			}
		}
	}
	f("/v1/chat/completions", map[string]any{
		"request": fixedID, "method": "POST", "status": 200.0, "model": "tiny:1b", "finish": "stop", "prompt_tokens": 24.0, "completion_tokens": 10.0,
	})
	f("/api/generate", map[string]any{"finish": "length", "completion_tokens": 3.0, "status": 200.0})
	f("/api/show", map[string]any{"status": 404.0, "error": "model_not_found not_found_error", "model": nil, "finish": nil})
	f("/no?[31m?such?path", map[string]any{"status": 404.0})
	logs := w.logs.String()
	for _, s := range []string{"a-question", "an-answer", "somebody", "not-there", "/livez", "\x1b", "\\u001b", "\u2028"} {
		if strings.Contains(logs, s) {
			t.Errorf("the log holds %q:\n%s", s, logs)
		}
	}
	if n := strings.Count(logs, "\n"); n != 4 {
		t.Errorf("%d lines for 4 requests:\n%s", n, logs)
	}
}
