package routes

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestStops: a string or up to 32 of them, none longer than 256 bytes; empty ones mean nothing.
func TestStops(t *testing.T) {
	w := newWorld(t, "abcdef")
	f := func(stop, text, failure string) {
		t.Helper()
		for path, field := range map[string]string{"/v1/chat/completions": `"stop":`, "/api/chat": `"model":"tiny:1b","stream":false,"options":{"stop":`} {
			end := strings.Repeat("}", strings.Count(field, "{"))
			r := w.post(path, `{"messages":[{"role":"user","content":"hi"}],`+field+stop+end+`}`)
			if failure != "" && (r.status != http.StatusBadRequest || !strings.Contains(r.body, failure)) || failure == "" && !strings.Contains(r.body, `"content":"`+text+`"`) {
				t.Errorf("%s %.60s: %d %s, want %s%s", path, stop, r.status, r.body, text, failure)
			}
		}
	}
	list := func(n int, last string) string { return "[" + strings.Repeat(`"zz",`, n-1) + last + "]" }
	f(`null`, "abcdef", "")
	f(`""`, "abcdef", "")
	f(`[]`, "abcdef", "")
	f(`["",""]`, "abcdef", "")
	f(`"d"`, "abc", "")
	f(list(32, `"c"`), "ab", "")
	f(list(33, `"c"`), "", "stop holds 33 strings, at most 32 are allowed")
	f(`["`+strings.Repeat("x", 256)+`"]`, "abcdef", "")
	f(`["`+strings.Repeat("x", 257)+`"]`, "", "stop[0] has 257 bytes, at most 256 are allowed")
	f(`[1]`, "", "stop[0] must be a string, not a number")
	f(`{}`, "", "stop must be a string or a list of strings, not an object")
}

// TestClientBodies: bodies of the shape that well-known clients send are answered, and what is ignored of them is listed. Tools are left
// out of those that can do without.
func TestClientBodies(t *testing.T) {
	w := newWorld(t, "Hi")
	f := func(client, path, body, ignored string) {
		t.Helper()
		r := w.post(path, body)
		if r.status != http.StatusOK || !strings.Contains(r.body, "Hi") && !strings.Contains(r.body, `"H"`) || r.header.Get("X-Ignored-Params") != ignored {
			t.Errorf("%s: %d, ignored %q, want %q: %s", client, r.status, r.header.Get("X-Ignored-Params"), ignored, r.body)
		}
	}
	const system, hi = `{"role":"system","content":"You are a helpful assistant."}`, `{"role":"user","content":"hi"}`
	f("Open WebUI, OpenAI", "/v1/chat/completions", `{"stream":true,"model":"tiny:1b","messages":[`+hi+`],"stream_options":{"include_usage":true}}`, "")
	f("Open WebUI, Ollama", "/api/chat", `{"model":"tiny:1b","messages":[{"role":"user","content":"hi","images":[]}],"options":{},"stream":true,"keep_alive":"5m"}`, "")
	f("VS Code, OpenAI", "/v1/chat/completions", `{"messages":[`+system+`,{"role":"user","content":"hi","copilot_cache_control":{"type":"ephemeral"}}],"model":"tiny:1b","temperature":0.1,"top_p":1,
		"max_tokens":4096,"n":1,"stream":true,"stream_options":{"include_usage":true}}`, "messages[1].copilot_cache_control")
	f("VS Code, Ollama's OpenAI", "/v1/chat/completions", `{"model":"tiny:1b","messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],"stream":true,"tools":[],"tool_choice":"auto","max_completion_tokens":20}`, "")
	f("Continue, Ollama", "/api/generate", `{"model":"tiny:1b","prompt":"hi","raw":true,"options":{"temperature":0.01,"num_predict":2048,"stop":["<fim>","\n\n"],"num_ctx":200,"mirostat":null,"num_thread":null},
		"keep_alive":1800,"stream":true}`, "")
	f("Continue, OpenAI", "/v1/chat/completions", `{"messages":[`+hi+`],"model":"tiny:1b","max_tokens":2048,"temperature":0.5,"top_p":null,"frequency_penalty":null,"presence_penalty":null,"stop":null,"stream":true}`, "")
	f("LangChain Python, OpenAI", "/v1/chat/completions", `{"messages":[{"content":"hi","role":"user"}],"model":"tiny:1b","n":1,"stream":false,"temperature":0.7}`, "")
	f("LangChain Python, Ollama", "/api/chat", `{"model":"tiny:1b","messages":[{"role":"user","content":"hi","images":[]}],"stream":true,"options":{"mirostat":null,"mirostat_eta":null,"num_ctx":null,"num_gpu":null,
		"num_thread":null,"num_predict":null,"repeat_last_n":null,"repeat_penalty":null,"temperature":null,"seed":null,"stop":null,"tfs_z":null,"top_k":null,"top_p":null},"keep_alive":null,"format":"","tools":[],"think":null}`, "")
	f("LangChain JS, OpenAI", "/v1/chat/completions", `{"model":"tiny:1b","temperature":1,"top_p":1,"frequency_penalty":0,"presence_penalty":0,"n":1,"logit_bias":null,"stream":true,"stream_options":{"include_usage":true},"messages":[`+hi+`]}`, "")
	f("LangChain JS, Ollama", "/api/chat", `{"model":"tiny:1b","options":{"vocab_only":null,"f16_kv":true,"embedding_only":null,"low_vram":null,"use_mlock":null,"use_mmap":null,"temperature":0,"num_keep":null},"keep_alive":"5m",
		"messages":[`+hi+`],"stream":true}`, "")
	f("LiteLLM", "/v1/chat/completions", `{"model":"tiny:1b","messages":[`+system+`,`+hi+`,{"role":"assistant","content":"Hi","tool_calls":null,"function_call":null,"provider_specific_fields":{"refusal":null}},`+hi+`],
		"metadata":{"tags":["x"]},"user":"u","stream":false,"extra_body":{}}`, "messages[2].provider_specific_fields, extra_body")
	f("n8n", "/v1/chat/completions", `{"model":"tiny:1b","temperature":0.7,"top_p":1,"frequency_penalty":0,"presence_penalty":0,"max_tokens":-1,"n":1,"stream":false,"response_format":{"type":"text"},"messages":[`+hi+`]}`, "")
	f("openai-python, the answer sent back", "/v1/chat/completions", `{"model":"tiny:1b","messages":[`+hi+`,{"role":"assistant","content":"Hi","refusal":null,"annotations":[],"audio":null,"function_call":null,"tool_calls":[],
		"reasoning_content":"hm"},`+hi+`],"store":false,"service_tier":"auto"}`, "messages[1].refusal, messages[1].annotations, messages[1].audio, messages[1].reasoning_content")
	f("Claude Code", "/v1/messages", `{"model":"tiny:1b","max_tokens":32000,"system":[{"type":"text","text":"be","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":[
		{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]}],"metadata":{"user_id":"u"},"thinking":{"type":"adaptive"},"context_management":{"edits":[]},"output_config":{"effort":"high"},"tools":[],"stream":true}`, "")
	f("Codex", "/v1/responses", `{"model":"tiny:1b","instructions":"be","input":[{"type":"message","role":"developer","content":[{"type":"input_text","text":"a"}]},{"type":"message","role":"user",
		"content":[{"type":"input_text","text":"hi"}]}],"tools":[],"tool_choice":"auto","parallel_tool_calls":false,"reasoning":{"effort":"medium","summary":"auto"},"store":false,"stream":true,
		"include":["reasoning.encrypted_content"],"prompt_cache_key":"0199","text":{"verbosity":"low"},"client_metadata":{}}`, "client_metadata")
	f("llama.cpp's page", "/v1/chat/completions", `{"messages":[`+hi+`],"stream":true,"return_progress":true,"reasoning_format":"auto","temperature":0.8,"max_tokens":-1,"dynatemp_range":0,"dynatemp_exponent":1,"top_k":40,"top_p":0.95,
		"min_p":0.05,"xtc_probability":0,"xtc_threshold":0.1,"typ_p":1,"repeat_last_n":64,"repeat_penalty":1,"presence_penalty":0,"frequency_penalty":0,"dry_multiplier":0,"dry_base":1.75,"dry_allowed_length":2,
		"dry_penalty_last_n":-1,"samplers":["top_k"],"backend_sampling":false,"timings_per_token":true}`, "")
}

// TestAmbiguousFraming: what two servers could read as different requests is refused, and the connection ends.
func TestAmbiguousFraming(t *testing.T) {
	w := newWorld(t, "Hi")
	const body = "\r\n0\r\n\r\n"
	for name, lines := range map[string]string{
		"two lengths":             "Content-Length: 5\r\nContent-Length: 6\r\n",
		"length and chunks":       "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
		"chunks and length":       "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
		"two transfer encodings":  "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"two hosts":               "Host: localhost\r\nContent-Length: 0\r\n",
		"a space before a colon":  "Content-Length : 5\r\n",
		"a length that is signed": "Content-Length: +5\r\n",
		"an unknown encoding":     "Transfer-Encoding: gzip, chunked\r\n",
	} {
		conn := w.dial()
		if _, err := fmt.Fprintf(conn, "POST /api/show HTTP/1.1\r\nHost: localhost\r\n%s%sGET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", lines, body); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 0, 4096)
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			b = append(b, buf[:n]...)
			if err != nil {
				break // the end, or a reset behind the answer
			}
		}
		if !strings.HasPrefix(string(b), "HTTP/1.1 400 ") || strings.Count(string(b), "HTTP/1.1 ") != 1 {
			t.Errorf("%s: %q", name, b)
		}
	}
}
