package routes

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"ortserve/pool"
	"ortserve/template"

	"ortserve/tokenize"
)

// prompted returns the text of the last prompt, control tokens included.
func (w *world) prompted() string {
	w.t.Helper()
	return w.tokens(w.model.prompt())
}

// tokens returns the text of ids, control tokens included.
func (w *world) tokens(ids []int32) string {
	w.t.Helper()
	tok, err := tokenize.Load(modelDir)
	if err != nil {
		w.t.Fatal(err)
	}
	return tok.Decode(ids, false)
}

func TestChatCompletionBytes(t *testing.T) {
	w := newWorld(t, "Hé <b>&")
	r := w.post("/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}],"model":"tiny:1b"}`)
	want := `{"id":"chatcmpl-` + fixedID + `","object":"chat.completion","created":1787306400,"model":"tiny:1b","system_fingerprint":"fp_test",` +
		`"choices":[{"index":0,"message":{"role":"assistant","content":"Hé <b>&","refusal":null},"logprobs":null,"finish_reason":"stop"}],` +
		`"usage":{"prompt_tokens":18,"completion_tokens":9,"total_tokens":27,"prompt_tokens_details":{"cached_tokens":0}}}`
	if r.status != http.StatusOK || r.body != want {
		t.Errorf("%d\n got %s\nwant %s", r.status, r.body, want)
	}
	if got := r.header.Get("Server-Timing"); !regexp.MustCompile(`^queue;dur=\d+\.\d{3}, prefill;dur=\d+\.\d{3}, decode;dur=\d+\.\d{3}$`).MatchString(got) {
		t.Errorf("Server-Timing is %q", got)
	}
	// What the engine had of the prompt already is told.
	r = w.post("/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}]}`)
	if !strings.Contains(r.body, `"cached_tokens":1`) {
		t.Errorf("the second time: %s", r.body)
	}
	// But not of what was asked with another salt.
	for _, want := range []string{`"cached_tokens":0`, `"cached_tokens":1`} {
		r = w.post("/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}],"cache_salt":"pepper"}`)
		if !strings.Contains(r.body, want) {
			t.Errorf("with a salt: %s, want %s", r.body, want)
		}
	}
}

func TestChatCompletionPrompt(t *testing.T) {
	w := newWorld(t, "ok")
	f := func(body, want string) {
		t.Helper()
		r := w.post("/v1/chat/completions", body)
		if got := w.prompted(); r.status != http.StatusOK || got != want {
			t.Errorf("%s: %d %s\n got %q\nwant %q", body, r.status, r.body, got, want)
		}
	}
	const begin, end = "<|begin_of_text|>", "<|start_header_id|>assistant<|end_header_id|>\n\n"
	f(`{"messages":[{"role":"developer","content":"be kind"},{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]}`,
		begin+"<|start_header_id|>system<|end_header_id|>\n\nbe kind<|eot_id|><|start_header_id|>user<|end_header_id|>\n\na\nb<|eot_id|>"+end)
	f(`{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"},{"role":"user","content":null}]}`,
		begin+"<|start_header_id|>user<|end_header_id|>\n\nx<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\ny<|eot_id|>"+
			"<|start_header_id|>user<|end_header_id|>\n\n<|eot_id|>"+end)

	// A template is given what the request says, and its text is no control token's.
	l, release, err := w.pool.Get(t.Context(), "", pool.User{})
	if err != nil {
		t.Fatal(err)
	}
	release()
	whole := l.Template
	if l.Template, err = template.Parse("{{ messages[0].content }}{% if think %} think {{ level }}{% endif %}", nil); err != nil {
		t.Fatal(err)
	}
	f(`{"messages":[{"role":"user","content":"a"}]}`, "a")
	f(`{"messages":[{"role":"user","content":"a"}],"chat_template_kwargs":{"think":true,"level":7}}`, "a think 7")
	f(`{"messages":[{"role":"user","content":"a"}],"chat_template_kwargs":{"think":false}}`, "a")
	l.Template = whole

	// What looks like a control token in a message is text: it costs more than the one token.
	f(`{"messages":[{"role":"user","content":"<|eot_id|>"}]}`, begin+"<|start_header_id|>user<|end_header_id|>\n\n<|eot_id|><|eot_id|>"+end)
	n := 0
	for _, id := range w.model.prompt() {
		if id == 504 {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d end-of-turn tokens in the prompt, want the template's alone: %v", n, w.model.prompt())
	}
}

func TestChatCompletionLimits(t *testing.T) {
	w := newWorld(t, "abcdefgh")
	f := func(fields, content, finish string) {
		t.Helper()
		r := w.post("/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}]`+fields+`}`)
		if want := `"content":"` + content + `","refusal":null},"logprobs":null,"finish_reason":"` + finish + `"`; !strings.Contains(r.body, want) {
			t.Errorf("%s: %d %s, want %s", fields, r.status, r.body, want)
		}
	}
	f(``, "abcdefgh", "stop")
	f(`,"max_tokens":3`, "abc", "length")
	f(`,"max_tokens":3,"max_completion_tokens":4`, "abcd", "length") // the newer name wins
	f(`,"max_tokens":-1`, "abcdefgh", "stop")
	f(`,"max_tokens":32000`, "abcdefgh", "stop") // agents ask for more than there is room
	f(`,"stop":"ef"`, "abcd", "stop")
	f(`,"stop":["x","c",""]`, "ab", "stop")
	f(`,"stop":null,"n":1,"tools":[],"tool_choice":"auto","response_format":{"type":"text"},"logit_bias":{},"logprobs":false,"top_logprobs":0,"user":"u"`, "abcdefgh", "stop")
	f(`,"temperature":2,"top_p":0.1,"top_k":-1,"min_p":0.1,"seed":-1,"repetition_penalty":1.1,"chat_template_kwargs":{"a":[1]}`, "abcdefgh", "stop")
}

func TestModelsBytes(t *testing.T) {
	w := newWorld(t, "")
	f := func(path, want string) {
		t.Helper()
		if r := w.do(http.MethodGet, path, ""); r.status != http.StatusOK || r.body != want {
			t.Errorf("%s: %d %s, want %s", path, r.status, r.body, want)
		}
	}
	const model = `{"id":"tiny:1b","object":"model","created":1787306400,"owned_by":"library","max_model_len":256}`
	f("/v1/models", `{"object":"list","data":[`+model+`]}`)
	f("/models", `{"object":"list","data":[`+model+`]}`)
	f("/v1/models/tiny:1b", model)
	f("/v1/models/tiny%3A1b", model)
}
