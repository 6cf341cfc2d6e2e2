package routes

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const ollamaNumbers = `"total_duration":0,"load_duration":0,"prompt_eval_count":18,"prompt_eval_cached_count":0,"prompt_eval_duration":1,"eval_count":3,"eval_duration":1}`

func TestGenerateBytes(t *testing.T) {
	f := func(path, body, want string) {
		t.Helper()
		w := newWorld(t, "Hi")
		r := w.post(path, body)
		if got := durations.ReplaceAllString(r.body, `"$1":1`); r.status != http.StatusOK || got != want {
			t.Errorf("%s %s: %d\n got %s\nwant %s", path, body, r.status, got, want)
		}
		if got := r.header.Get("Content-Type"); got != "application/json; charset=utf-8" {
			t.Errorf("Content-Type is %q", got)
		}
	}
	const head = `{"model":"tiny:1b","created_at":"2026-08-21T10:00:00.123456789Z",`
	f("/api/generate", `{"model":"tiny:1b","prompt":"hi","stream":false}`, head+
		`"response":"Hi","done":true,"done_reason":"stop","context":[500,502,456,290,503,10,10,384,504,502,316,115,344,298,353,503,10,10,72,105],`+ollamaNumbers)
	f("/api/chat", `{"model":"tiny:1b","messages":[{"role":"user","content":"hi"}],"stream":false}`, head+
		`"message":{"role":"assistant","content":"Hi"},"done":true,"done_reason":"stop",`+ollamaNumbers)

	// Nothing to answer: the model is loaded, and that is the answer.
	const none = `"total_duration":0,"load_duration":0,"prompt_eval_count":0,"prompt_eval_cached_count":0,"prompt_eval_duration":1,"eval_count":0,"eval_duration":1}`
	f("/api/generate", `{"model":"tiny:1b"}`, head+`"response":"","done":true,"done_reason":"load",`+none)
	f("/api/generate", `{"model":"tiny:1b","prompt":"","keep_alive":"1h","images":[],"format":""}`, head+`"response":"","done":true,"done_reason":"load",`+none)
	f("/api/chat", `{"model":"tiny:1b","messages":[]}`, head+`"message":{"role":"assistant","content":""},"done":true,"done_reason":"load",`+none)
}

func TestGeneratePrompt(t *testing.T) {
	w := newWorld(t, "ok")
	f := func(fields, want string) {
		t.Helper()
		r := w.post("/api/generate", `{"model":"tiny:1b","stream":false,`+fields+`}`)
		if got := w.prompted(); r.status != http.StatusOK || got != want {
			t.Errorf("%s: %d %s\n got %q\nwant %q", fields, r.status, r.body, got, want)
		}
	}
	const user, end = "<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
	f(`"prompt":"hi"`, "<|begin_of_text|>"+user+"hi"+end)
	f(`"prompt":"hi","system":"be kind"`, "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nbe kind<|eot_id|>"+user+"hi"+end)
	f(`"prompt":"hi","raw":true`, "hi")
	f(`"prompt":"<|begin_of_text|>hi<|eot_id|>","raw":true`, "<|begin_of_text|>hi<|eot_id|>")
	if ids := w.model.prompt(); len(ids) != 3 || ids[0] != 500 || ids[2] != 504 { // control tokens of a raw prompt count
		t.Errorf("raw prompt %v", ids)
	}
}

// A context carries a conversation on: what the template would write for the whole of it, token by token.
func TestGenerateContext(t *testing.T) {
	w := newWorld(t, "ok")
	ask := func(fields string) []int32 {
		t.Helper()
		r := w.post("/api/generate", `{"model":"tiny:1b","stream":false,`+fields+`}`)
		var a struct{ Context []int32 }
		if err := json.Unmarshal([]byte(r.body), &a); r.status != http.StatusOK || err != nil {
			t.Fatalf("%s: %d %s, %v", fields, r.status, r.body, err)
		}
		return a.Context
	}
	marshalled := func(v []int32) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	first := ask(`"prompt":"one"`)
	second := ask(`"prompt":"two","context":` + marshalled(first))
	ask(`"prompt":"three <|eot_id|>","context":` + marshalled(second))
	got := w.model.prompt()

	r := w.post("/api/chat", `{"model":"tiny:1b","stream":false,"messages":[{"role":"user","content":"one"},{"role":"assistant","content":"ok"},
		{"role":"user","content":"two"},{"role":"assistant","content":"ok"},{"role":"user","content":"three <|eot_id|>"}]}`)
	if r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if diff := cmp.Diff(w.model.prompt(), got); diff != "" {
		t.Errorf("prompt (-of the chat +by context):\n%s", diff)
	}

	// A system prompt comes where it is said, and the template's stand-in for the answer before cannot be met in it.
	ask(`"prompt":"The answer before.","system":"The answer before..","context":` + marshalled(first))
	want := w.tokens(first) + "<|eot_id|><|start_header_id|>system<|end_header_id|>\n\nThe answer before..<|eot_id|>" +
		"<|start_header_id|>user<|end_header_id|>\n\nThe answer before.<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
	if got := w.prompted(); got != want {
		t.Errorf(" got %q\nwant %q", got, want)
	}
}

func TestOptions(t *testing.T) {
	w := newWorld(t, "abcdefgh")
	f := func(options, response, reason, window string) {
		t.Helper()
		r := w.post("/api/generate", `{"model":"tiny:1b","prompt":"hi","stream":false,"options":`+options+`}`)
		if want := `"response":"` + response + `","done":true,"done_reason":"` + reason + `"`; !strings.Contains(r.body, want) {
			t.Errorf("%s: %d %s, want %s", options, r.status, r.body, want)
		}
		if got := r.header.Get("X-Context-Length"); got != window {
			t.Errorf("%s: X-Context-Length is %q, want %q", options, got, window)
		}
	}
	f(`{}`, "abcdefgh", "stop", "")
	f(`{"num_predict":3}`, "abc", "length", "")
	f(`{"num_predict":-1,"num_keep":4,"num_gpu":1,"num_thread":8,"mirostat":0,"typical_p":1.0}`, "abcdefgh", "stop", "")
	f(`{"num_predict":-2}`, "abcdefgh", "stop", "")
	f(`{"num_ctx":20}`, "ab", "length", "20") // 18 tokens of prompt
	f(`{"num_ctx":100000}`, "abcdefgh", "stop", "256")
	f(`{"num_ctx":0}`, "abcdefgh", "stop", "256")
	f(`{"num_ctx":20,"num_predict":1}`, "a", "length", "20")
	f(`{"stop":["de"]}`, "abc", "stop", "")
	f(`{"stop":"b","seed":1,"temperature":0,"top_k":1,"top_p":0,"repeat_last_n":-1}`, "a", "stop", "")
}

func TestOllamaModelsBytes(t *testing.T) {
	w := newWorld(t, "")
	digest := regexp.MustCompile(`"digest":"[0-9a-f]{64}"`)
	f := func(method, path, body, want string) {
		t.Helper()
		r := w.do(method, path, body)
		if got := digest.ReplaceAllString(r.body, `"digest":"D"`); r.status != http.StatusOK || got != want {
			t.Errorf("%s: %d\n got %s\nwant %s", path, r.status, got, want)
		}
	}
	const details = `"details":{"parent_model":"","format":"onnx","family":"llama","families":["llama"],"parameter_size":"140K","quantization_level":"fp32"}`
	const model = `{"name":"tiny:1b","model":"tiny:1b","modified_at":"2026-08-21T10:00:00.123456789Z","size":12345,"digest":"D",` + details
	f("GET", "/api/tags", "", `{"models":[`+model+`,"capabilities":["completion","tools"]}]}`)
	f("GET", "/api/ps", "", `{"models":[`+model+`,"expires_at":"2999-12-31T00:00:00Z","size_vram":0,"context_length":256}]}`)
	f("GET", "/api/version", "", `{"version":"0.33.0","ortserve":"1.2.3"}`)
	f("GET", "/version", "", `{"version":"0.33.0","ortserve":"1.2.3"}`)
	f("GET", "/", "", "Ollama is running")
	f("HEAD", "/", "", "")
	f("GET", "/livez", "", `{"status":"ok"}`)
	f("GET", "/readyz", "", `{"status":"ok"}`)
	f("GET", "/health", "", `{"status":"ok"}`)
	for _, name := range []string{`"model"`, `"name"`} { // clients of old say name
		r := w.post("/api/show", `{`+name+`:"tiny:1b","verbose":true}`)
		var show struct {
			Template  string
			Details   json.RawMessage
			ModelInfo map[string]any `json:"model_info"`
		}
		if err := json.Unmarshal([]byte(r.body), &show); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{
			"general.architecture": "llama", "general.basename": "tiny:1b", "llama.block_count": 2.0, "llama.context_length": 256.0,
			"llama.embedding_length": 64.0, "llama.attention.head_count": 4.0, "llama.attention.head_count_kv": 2.0, "llama.vocab_size": 512.0,
		}
		if diff := cmp.Diff(want, show.ModelInfo); diff != "" {
			t.Errorf("model_info (-want +got):\n%s", diff)
		}
		if `"details":`+string(show.Details) != details || !strings.Contains(show.Template, "start_header_id") {
			t.Errorf("show: %s", r.body)
		}
	}
}
