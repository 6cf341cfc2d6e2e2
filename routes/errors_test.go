package routes

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"ortserve/engine"
	"ortserve/models"
	"ortserve/pool"
)

// TestErrorBytes: every kind of error that a request can meet, in both dialects. Where the peers differ the shape is their union
// (type and code strings, counts of an overflow), so that clients of each find what they look for.
func TestErrorBytes(t *testing.T) {
	w := newWorld(t, "Hi")
	f := func(method, path, body string, status int, want string) {
		t.Helper()
		r := w.do(method, path, body)
		if r.status != status || r.body != want {
			t.Errorf("%s %s %.60s\n got %d %s\nwant %d %s", method, path, body, r.status, r.body, status, want)
		}
		wantType := "application/json"
		if strings.HasPrefix(path, "/api") {
			wantType = "application/json; charset=utf-8"
		}
		if got := r.header.Get("Content-Type"); method != http.MethodHead && got != wantType {
			t.Errorf("%s %s: Content-Type is %q", method, path, got)
		}
		if got := r.header.Get("X-Request-Id"); got != fixedID {
			t.Errorf("%s %s: X-Request-Id is %q", method, path, got)
		}
	}
	openai := func(body string, status int, message, typ, param, code string) {
		t.Helper()
		quoteOrNull := func(s string) string {
			if s == "" {
				return "null"
			}
			return `"` + s + `"`
		}
		for _, path := range []string{"/v1/chat/completions", "/chat/completions"} {
			f(http.MethodPost, path, body, status, `{"error":{"message":"`+message+`","type":"`+typ+`","param":`+quoteOrNull(param)+`,"code":`+quoteOrNull(code)+`}}`)
		}
	}
	ollama := func(path, body string, status int, message string) {
		t.Helper()
		f(http.MethodPost, path, body, status, `{"error":"`+message+`"}`)
	}
	const bad = "invalid_request_error"
	const message = `"messages":[{"role":"user","content":"hi"}]`

	openai("", 400, "missing request body", bad, "", "")
	openai(" \n", 400, "missing request body", bad, "", "")
	openai(`{"messages"`, 400, "the body is not valid JSON: unexpected end of JSON input at byte 11", bad, "", "")
	openai(`{"a":1,"a":2}`, 400, `the name \"a\" stands twice in one object`, bad, "", "")
	openai(`{"messages":[]}`, 400, "messages is empty; it needs at least one message", bad, "messages", "")
	openai(`{`+message+`,"temperature":-0.5}`, 400, "temperature is -0.5, must be between 0 and 100", bad, "temperature", "")
	openai(`{`+message+`,"top_p":"x"}`, 400, "top_p must be a number, not a string", bad, "top_p", "")
	openai(`{`+message+`,"n":9}`, 400, "n is 9, must be between 1 and 8", bad, "n", "")
	openai(`{`+message+`,"use_beam_search":true}`, 400, "use_beam_search is not supported", bad, "use_beam_search", "unsupported_parameter")
	openai(`{`+message+`,"tools":[{"type":"function"}]}`, 400, "tools[0].function.name is missing", bad, "tools[0].function.name", "")
	openai(`{`+message+`,"tool_choice":"required"}`, 400, "tool_choice wants a call, and there are no tools", bad, "tool_choice", "")
	openai(`{`+message+`,"response_format":{"type":"grammar"}}`, 400, `response_format.type is \"grammar\"; text, json_object and json_schema are supported`, bad, "response_format.type", "unsupported_parameter")
	openai(`{`+message+`,"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"properties":{"a":{"uniqueItems":true}}}}}}`, 400,
		"response_format.json_schema.schema: keyword uniqueItems at /properties/a: is compiled for items of an enumeration alone: what was written is not remembered",
		bad, "response_format.json_schema.schema#/properties/a/uniqueItems", "")
	openai(`{`+message+`,"max_tokens":3,"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"string","minLength":9}}}}`, 400,
		"the shortest answer of the form that is asked for has more than 3 tokens, which is all that the limit of tokens (or the window, --max-len) allows", bad, "max_tokens", "")
	openai(`{`+message+`,"MAX_TOKENS":1}`, 400, `the field \"MAX_TOKENS\" is spelled \"max_tokens\"`, bad, "max_tokens", "")
	openai(`{`+message+`,"model":"other"}`, 404, "model 'other' not found; this server has tiny:1b", "not_found_error", "model", "model_not_found")
	openai(`{`+message+`,"model":"a\u001b[31m`+strings.Repeat("x", 100)+`"}`, 404,
		`model 'a\u001b[31m`+strings.Repeat("x", 58)+`…' not found; this server has tiny:1b`, "not_found_error", "model", "model_not_found")

	long := strings.Repeat("# ", 200)
	const overflow = "the request (416 tokens) exceeds the available context size (256 tokens), which must also hold the answer: " +
		"context_length_exceeded. This model's maximum context length is 256 tokens (--max-len)"
	f(http.MethodPost, "/v1/chat/completions", `{"messages":[{"role":"user","content":"`+long+`"}]}`, 400,
		`{"error":{"message":"`+overflow+`","type":"exceed_context_size_error","param":null,"code":"context_length_exceeded","n_prompt_tokens":416,"n_ctx":256}}`)
	ollama("/api/generate", `{"model":"tiny:1b","prompt":"`+long+`"}`, 400, overflow)
	ollama("/api/chat", `{"model":"tiny:1b","messages":[{"role":"user","content":"`+long+`"}]}`, 400, overflow)
	ollama("/api/generate", `{"model":"tiny:1b","prompt":"`+long+`","options":{"num_ctx":10}}`, 400,
		"the request (416 tokens) exceeds the available context size (10 tokens), which must also hold the answer: "+
			"context_length_exceeded. This model's maximum context length is 10 tokens (options.num_ctx; this server allows 256)")

	ollama("/api/generate", "", 400, "missing request body")
	ollama("/api/generate", `{"prompt":"hi"}`, 404, "model '' not found; this server has tiny:1b")
	ollama("/api/chat", `{`+message+`}`, 400, "model is required")
	ollama("/api/generate", `{"model":"x","prompt":"hi"}`, 404, "model 'x' not found; this server has tiny:1b")
	ollama("/api/generate", `{"model":"tiny:1b","prompt":"hi","raw":true,"system":"x"}`, 400, "raw mode does not support template, system, or context")
	ollama("/api/generate", `{"model":"tiny:1b","prompt":"hi","images":["aGk="]}`, 400, "images is not supported: image input is not supported")
	ollama("/api/generate", `{"model":"tiny:1b","prompt":"hi","think":true}`, 400, `\"tiny:1b\" does not support thinking`)
	ollama("/api/generate", `{"model":"tiny:1b","prompt":"hi","context":[512]}`, 400, "unknown token in the prompt: 512 is not below the vocabulary's size 512")
	ollama("/api/generate", `{"model":"tiny:1b","prompt":"hi","options":{"top_k":"x"}}`, 400, "options.top_k must be an integer, not a string")
	ollama("/api/generate", `{"model":"tiny:1b","prompt":"hi","options":{"min_p":2}}`, 400, "options.min_p is 2, must be between 0 and 1")
	ollama("/api/chat", `{"model":"tiny:1b",`+message+`,"format":{"type":"text"}}`, 400, `format: keyword type at /: \"text\" is no type: one of array, boolean, integer, null, number, object, string`)
	ollama("/api/show", `{}`, 400, "model is required")
	ollama("/api/show", `{"name":"x"}`, 404, "model 'x' not found; this server has tiny:1b")

	f(http.MethodGet, "/nothing", "", 404, `{"error":{"message":"there is no route GET \"/nothing\"","type":"not_found_error","param":null,"code":null}}`)
	f(http.MethodGet, "/V1/models", "", 404, `{"error":{"message":"there is no route GET \"/V1/models\"","type":"not_found_error","param":null,"code":null}}`)
	f(http.MethodGet, "/api/nothing", "", 404, `{"error":"there is no route GET \"/api/nothing\""}`)
	f(http.MethodGet, "/v1/models/x/y", "", 404, `{"error":{"message":"model 'x/y' not found; this server has tiny:1b","type":"not_found_error","param":"model","code":"model_not_found"}}`)
	f(http.MethodGet, "/v1/chat/completions", "", 405,
		`{"error":{"message":"GET is not allowed on \"/v1/chat/completions\", POST is","type":"invalid_request_error","param":null,"code":"method_not_allowed"}}`)
	f("BREW", "/api/chat", "", 405, `{"error":"BREW is not allowed on \"/api/chat\", POST is"}`)
	f("BREW", "/api/nothing", "", 404, `{"error":"there is no route BREW \"/api/nothing\""}`)
	f(http.MethodDelete, "/api/chat", "", 405, `{"error":"DELETE is not allowed on \"/api/chat\", POST is"}`)
}

// retry is a whole number of seconds, not 0.
var retry = regexp.MustCompile(`^[1-9][0-9]*$`)

// A full queue is a 503 that says when to come again; the requests that were accepted go on.
func TestOverload(t *testing.T) {
	w := endless(t) // two slots, a queue of one
	for range 3 {
		send(t, w.dial(), "/api/generate", `{"model":"tiny:1b","prompt":"hi"}`)
	}
	eventually(t, "slots and queue are full", func() bool { s := w.engine().Snapshot(); return s.Running == 2 && s.Waiting == 1 })
	f := func(path, body, want string) {
		t.Helper()
		r := w.post(path, body)
		if r.status != http.StatusServiceUnavailable || !retry.MatchString(r.header.Get("Retry-After")) || !strings.HasPrefix(r.body, want) {
			t.Errorf("%s: %d, Retry-After %q, %s", path, r.status, r.header.Get("Retry-After"), r.body)
		}
	}
	const busy = "the server is busy: 3 requests run or wait, the limits are 2 (--slots) and 1 (--queue)"
	f("/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}],"stream":true}`, `{"error":{"message":"`+busy)
	f("/api/chat", `{"model":"tiny:1b","messages":[{"role":"user","content":"hi"}]}`, `{"error":"`+busy)
	if s := w.engine().Snapshot(); s.Running != 2 || s.Waiting != 1 {
		t.Errorf("the accepted requests: %d run, %d wait", s.Running, s.Waiting)
	}
}

// A server that shuts down refuses what comes, and what it cuts off learns it inside its stream.
func TestShutdown(t *testing.T) {
	w := endless(t)
	conn := w.dial()
	send(t, conn, "/api/generate", `{"model":"tiny:1b","prompt":"hi"}`)
	eventually(t, "it runs", func() bool { return w.engine().Snapshot().Running == 1 })
	closed := make(chan struct{})
	w.Ready = func() bool {
		select {
		case <-closed:
			return false
		default:
			return true
		}
	}
	if r := w.do(http.MethodGet, "/readyz", ""); r.status != http.StatusOK {
		t.Errorf("/readyz before: %d", r.status)
	}
	close(closed)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	w.closed = true
	if err := w.pool.Close(ctx); err == nil {
		t.Error("the endless answer was not cut off")
	}
	r := w.post("/api/generate", `{"model":"tiny:1b","prompt":"hi"}`)
	if r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") != "5" || r.body != `{"error":"the server is shutting down"}` {
		t.Errorf("a new request: %d %s", r.status, r.body)
	}
	if r := w.do(http.MethodGet, "/readyz", ""); r.status != http.StatusServiceUnavailable || !strings.Contains(r.body, "not ready") {
		t.Errorf("/readyz after: %d %s", r.status, r.body)
	}
	if r := w.do(http.MethodGet, "/livez", ""); r.status != http.StatusOK {
		t.Errorf("/livez after: %d", r.status)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || !strings.HasSuffix(string(b), "\n"+`{"error":"the server is shutting down"}`+"\n") {
		t.Errorf("the stream ends with %q, %v", b[max(0, len(b)-200):], err)
	}
}

// A request that takes too long ends: with a 504 if nothing has been sent, else inside the stream.
func TestRequestTimeout(t *testing.T) {
	w := newWorld(t, "", func(w *world, o *Options) {
		w.model.info.MaxLen = 1 << 20
		w.model.answer = strings.Repeat("x", 1<<19)
		w.model.before = func(*engine.Batch) error { time.Sleep(5 * time.Millisecond); return nil }
		o.RequestTimeout = 200 * time.Millisecond
	})
	const text = "the request took too long: more than 200ms (--request-timeout)"
	r := w.post("/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}]}`)
	if want := `{"error":{"message":"` + text + `","type":"server_error","param":null,"code":"request_timeout"}}`; r.status != http.StatusGatewayTimeout || r.body != want {
		t.Errorf("%d %s, want %s", r.status, r.body, want)
	}
	r = w.post("/api/generate", `{"model":"tiny:1b","prompt":"hi"}`)
	if r.status != http.StatusOK || !strings.HasSuffix(r.body, "\n"+`{"error":"`+text+`"}`+"\n") {
		t.Errorf("%d …%s", r.status, r.body[max(0, len(r.body)-200):])
	}
	eventually(t, "the slots are free", w.idle)
}

// A model that cannot be loaded is an error of the server, whose cause is for the log alone.
func TestModelThatCannotBeLoaded(t *testing.T) {
	s := newServer(Options{Pool: pool.New(pool.Options{Models: []*models.Model{{Name: "broken:latest"}}})})
	if err := s.Pool.Load(t.Context()); err == nil {
		t.Fatal("a pool without an opener opened a model")
	}
	_, _, err := s.Pool.Get(t.Context(), "broken", pool.User{})
	if e := explain(err); e.kind != kindInternal || strings.Contains(e.message, "panic") || !errors.Is(e, err) {
		t.Errorf("%d %q", e.kind, e.message)
	}
}
