package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestErrors: every wrong request is a 4xx in its dialect's shape that names what was wrong, and the server goes on.
func TestErrors(t *testing.T) {
	s := startTiny(t, "--max-len", "256")

	// openAI is the shape of all paths but /api.
	openAI := func(method, path, body string, status int, param string, says ...string) {
		t.Helper()
		a := call(t, method, s.URL+path, body)
		var e struct {
			Error *struct {
				Message string  `json:"message"`
				Type    string  `json:"type"`
				Param   *string `json:"param"`
				Code    any     `json:"code"`
			} `json:"error"`
		}
		if err := json.Unmarshal([]byte(a.body), &e); err != nil || e.Error == nil || e.Error.Message == "" || e.Error.Type == "" {
			t.Errorf("%s %s %.80s: %d %q is no error of OpenAI's shape", method, path, body, a.status, a.body)
			return
		}
		got := ""
		if e.Error.Param != nil {
			got = *e.Error.Param
		}
		if a.status != status || got != param {
			t.Errorf("%s %s %.80s: %d, param %q: %s; want %d, %q", method, path, body, a.status, got, a.body, status, param)
		}
		for _, w := range says {
			if !strings.Contains(e.Error.Message, w) && !strings.Contains(a.body, w) {
				t.Errorf("%s %s %.80s: %s does not say %q", method, path, body, a.body, w)
			}
		}
	}
	// ollama is the shape of /api.
	ollama := func(method, path, body string, status int, says ...string) {
		t.Helper()
		a := call(t, method, s.URL+path, body)
		var e map[string]string
		if err := json.Unmarshal([]byte(a.body), &e); err != nil || len(e) != 1 || e["error"] == "" {
			t.Errorf("%s %s %.80s: %d %q is no error of Ollama's shape", method, path, body, a.status, a.body)
			return
		}
		if a.status != status {
			t.Errorf("%s %s %.80s: %d %s, want %d", method, path, body, a.status, a.body, status)
		}
		for _, w := range says {
			if !strings.Contains(e["error"], w) {
				t.Errorf("%s %s %.80s: %s does not say %q", method, path, body, a.body, w)
			}
		}
	}
	const (
		chat     = "/v1/chat/completions"
		gen      = "/api/generate"
		messages = `"messages":[{"role":"user","content":"Hi"}]`
	)
	long := strings.Repeat("1 2 3 ", 200)

	// Unknown model.
	openAI("POST", chat, `{"model":"other",`+messages+`}`, 404, "model", "'other' not found", "tiny", "model_not_found")
	openAI("POST", chat, `{"model":"other","stream":true,`+messages+`}`, 404, "model", "'other' not found")
	openAI("GET", "/v1/models/other", "", 404, "model", "'other' not found")
	ollama("POST", gen, `{"model":"other","prompt":"Hi"}`, 404, "'other' not found", "tiny")
	ollama("POST", gen, `{"prompt":"Hi"}`, 404, "'' not found")

	// Malformed JSON.
	for _, body := range []string{"", "{", `{"model":`, "not JSON", `{"prompt":"Hi"} {}`, "[]", `"text"`, "null", `{"model":"tiny" "prompt":""}`} {
		openAI("POST", chat, body, 400, "")
		ollama("POST", gen, body, 400)
	}

	// Wrong types and values.
	openAI("POST", chat, `{`+messages+`,"stream":"yes"}`, 400, "stream", "stream must be a boolean", "string")
	openAI("POST", chat, `{`+messages+`,"model":1}`, 400, "model", "model must be a string")
	openAI("POST", chat, `{`+messages+`,"temperature":"hot"}`, 400, "temperature", "must be a number")
	openAI("POST", chat, `{`+messages+`,"temperature":-1}`, 400, "temperature", "-1")
	openAI("POST", chat, `{`+messages+`,"top_p":1.5}`, 400, "top_p", "1.5", "between 0 and 1")
	openAI("POST", chat, `{`+messages+`,"max_tokens":1.5}`, 400, "max_tokens")
	openAI("POST", chat, `{`+messages+`,"stop":5}`, 400, "stop", "must be a string or a list of strings")
	openAI("POST", chat, `{"messages":"Hi"}`, 400, "messages", "must be a list")
	openAI("POST", chat, `{"messages":["Hi"]}`, 400, "messages[0]", "must be an object")
	openAI("POST", chat, `{"messages":[{"role":"user","content":5}]}`, 400, "messages[0].content")
	openAI("POST", chat, `{"messages":[{"role":"king","content":"Hi"}]}`, 400, "messages[0].role", "king")
	openAI("POST", chat, `{"messages":[{"content":"Hi"}]}`, 400, "messages[0].role", "missing")
	ollama("POST", gen, `{"model":"tiny","prompt":5}`, 400, "prompt must be a string")
	ollama("POST", gen, `{"model":"tiny","prompt":"Hi","stream":1}`, 400, "stream must be a boolean")
	ollama("POST", gen, `{"model":"tiny","prompt":"Hi","options":[]}`, 400, "options must be an object")
	ollama("POST", gen, `{"model":"tiny","prompt":"Hi","options":{"top_k":"many"}}`, 400, "options.top_k")
	ollama("POST", gen, `{"model":"tiny","prompt":"Hi","options":{"temperature":-1}}`, 400, "options.temperature", "-1")
	ollama("POST", gen, `{"model":"tiny","prompt":"Hi","context":["a"]}`, 400, "context[0]")
	ollama("POST", gen, `{"model":"tiny","prompt":"Hi","raw":true,"context":[1]}`, 400, "raw")
	ollama("POST", gen, `{"model":"tiny","prompt":"Hi","context":[512]}`, 400, "512")

	// Empty messages.
	openAI("POST", chat, `{"messages":[]}`, 400, "messages", "empty")
	openAI("POST", chat, `{"model":"tiny"}`, 400, "messages", "empty")

	// What would change the answer and is not supported is refused by name.
	openAI("POST", chat, `{`+messages+`,"audio":{"voice":"alloy","format":"wav"}}`, 400, "audio", "not supported")
	openAI("POST", chat, `{`+messages+`,"n":9}`, 400, "n", "8")
	openAI("POST", chat, `{`+messages+`,"response_format":{"type":"yaml"}}`, 400, "response_format.type")
	ollama("POST", gen, `{"model":"tiny","prompt":"Hi","format":"yaml"}`, 400, "format")

	// An over-long prompt, with both numbers and the flag.
	openAI("POST", chat, `{"messages":[{"role":"user","content":"`+long+`"}]}`, 400, "",
		"context_length_exceeded", "exceeds the available context size (256 tokens)", "maximum context length is 256 tokens", "--max-len")
	ollama("POST", gen, `{"model":"tiny","prompt":"`+long+`"}`, 400, "256 tokens", "--max-len")
	ollama("POST", gen, `{"model":"tiny","prompt":"`+long+`","options":{"num_ctx":64}}`, 400, "64 tokens", "num_ctx")

	// Routes and methods.
	openAI("GET", "/nothing", "", 404, "")
	openAI("GET", chat, "", 405, "")
	ollama("GET", "/api/nothing", "", 404)
	ollama("GET", gen, "", 405)

	// A body beyond the limit.
	openAI("POST", chat, `{"messages":[{"role":"user","content":"`+strings.Repeat("x", 17<<20)+`"}]}`, 413, "")

	// What no table knows is told, not silent.
	a := post(t, s.URL+chat, `{`+messages+`,"max_tokens":1,"colour":"red"}`)
	if a.status != http.StatusOK || a.header.Get("X-Ignored-Params") != "colour" {
		t.Errorf("unknown field: %d, X-Ignored-Params %q", a.status, a.header.Get("X-Ignored-Params"))
	}

	// An answer that reaches the window ends there.
	c := decode[chatCompletion](t, post(t, s.URL+chat, `{`+messages+`,"max_tokens":32000,"temperature":0}`))
	if u := c.Usage; u.TotalTokens != 256 || *c.Choices[0].FinishReason != "length" {
		t.Errorf("max_tokens beyond the window: %+v %s, want 256 tokens in all and length", *u, *c.Choices[0].FinishReason)
	}
	for _, path := range []string{"/v1/models", "/api/tags"} {
		if a := get(t, s.URL+path); a.status != http.StatusOK {
			t.Errorf("after all that %s is %d", path, a.status)
		}
	}
	if id := a.header.Get("X-Request-Id"); id == "" || !strings.Contains(s.Log(), fmt.Sprintf("request=%s", id)) {
		t.Errorf("request id %q is not in the log", id)
	}
	if strings.Contains(s.Log(), "1 2 3") {
		t.Error("the log holds a prompt")
	}
}
