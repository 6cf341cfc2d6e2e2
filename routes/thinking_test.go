package routes

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// Templates of models that think: Qwen 3's way, which has a switch, and DeepSeek R1's, which opens the thoughts.
var (
	qwenTemplate = hermesTemplate + `{% if add_generation_prompt and enable_thinking is defined and enable_thinking is false %}<think>

</think>

{% endif %}`
	r1Template = hermesTemplate + `{#- R1's cuts earlier answers at </think> -#}{% if add_generation_prompt %}<think>
{% endif %}`
)

// TestThinkingPrompt: what the model reads, where the request says whether to think.
func TestThinkingPrompt(t *testing.T) {
	const begin, mid = "<|begin_of_text|><|start_header_id|>user<|end_header_id|>hi<|eot_id|>", "<|start_header_id|>assistant<|end_header_id|>"
	f := func(source, more, want string) {
		t.Helper()
		w := newWorld(t, "Yes.", withTemplate(source))
		var got templateAnswer
		r := w.post("/apply-template", `{"messages":[{"role":"user","content":"hi"}]`+more+`}`)
		if err := json.Unmarshal([]byte(r.body), &got); err != nil || got.Prompt != begin+mid+want {
			t.Errorf("%s: %v, %s, want %q", more, err, r.body, begin+mid+want)
		}
	}
	f(qwenTemplate, ``, "")
	f(qwenTemplate, `,"reasoning_effort":"low"`, "")
	f(qwenTemplate, `,"reasoning_effort":"none"`, "<think>\n\n</think>\n\n")
	f(qwenTemplate, `,"reasoning":{"effort":"none"}`, "<think>\n\n</think>\n\n")
	f(qwenTemplate, `,"reasoning":{"enabled":false}`, "<think>\n\n</think>\n\n")
	f(qwenTemplate, `,"reasoning":{"effort":"none","enabled":false}`, "<think>\n\n</think>\n\n")
	f(qwenTemplate, `,"reasoning":{"enabled":true,"effort":"low","summary":"auto"}`, "")
	f(qwenTemplate, `,"reasoning":{"max_tokens":0}`, "<think>\n\n</think>\n\n")
	f(qwenTemplate, `,"thinking_budget_tokens":0`, "<think>\n\n</think>\n\n")
	f(qwenTemplate, `,"thinking_token_budget":0`, "<think>\n\n</think>\n\n")
	f(qwenTemplate, `,"reasoning_effort":"none","chat_template_kwargs":{"enable_thinking":true}`, "")
	f(r1Template, ``, "<think>\n")
	f(r1Template, `,"reasoning_effort":"high","thinking_budget_tokens":-1`, "<think>\n")
	f(r1Template, `,"reasoning_effort":"none"`, "<think>\n\n</think>\n\n")
	f(hermesTemplate, `,"reasoning_effort":"none"`, "")
}

// TestThinkingRefused: a model that cannot think, a limit that cannot be held, words that mean nothing.
func TestThinkingRefused(t *testing.T) {
	f := func(source, path, more, want string) {
		t.Helper()
		w := newWorld(t, "Yes.", withTemplate(source))
		r := w.post(path, `{"model":"tiny:1b","max_tokens":9,"messages":[{"role":"user","content":"hi"}],"stream":false`+more+`}`)
		if want == "" && r.status != http.StatusOK || want != "" && (r.status != http.StatusBadRequest || !strings.Contains(r.body, want)) {
			t.Errorf("%s %s: %d %s, want %s", path, more, r.status, r.body, want)
		}
	}
	const openai, ollama, anthropic = "/v1/chat/completions", "/api/chat", "/v1/messages"
	f(hermesTemplate, ollama, `,"think":true`, `{"error":"\"tiny:1b\" does not support thinking"}`)
	f(hermesTemplate, ollama, `,"think":"high"`, `{"error":"\"tiny:1b\" does not support thinking"}`)
	f(hermesTemplate, ollama, `,"think":false`, "")
	f(hermesTemplate, openai, `,"reasoning_effort":"high","thinking_budget_tokens":100,"reasoning":{"effort":"low"}`, "")
	f(hermesTemplate, anthropic, `,"thinking":{"type":"enabled","budget_tokens":1024}`, "")
	f(r1Template, ollama, `,"think":"much"`, `invalid think value: \"much\"`)
	f(r1Template, ollama, `,"think":1`, `think must be a boolean or a string`)
	f(r1Template, openai, `,"thinking_budget_tokens":100`, `"param":"thinking_budget_tokens"`)
	f(r1Template, openai, `,"thinking_token_budget":100`, `"param":"thinking_token_budget"`)
	f(r1Template, openai, `,"reasoning_effort":5`, `"param":"reasoning_effort"`)
	f(r1Template, openai, `,"reasoning_format":"x"`, `"param":"reasoning_format"`)
	f(r1Template, openai, `,"reasoning":"x"`, `"param":"reasoning"`)
	f(r1Template, openai, `,"reasoning":{"effort":5}`, `"param":"reasoning.effort"`)
	f(r1Template, openai, `,"reasoning":{"max_tokens":100}`, `"param":"reasoning.max_tokens"`)
	f(hermesTemplate, openai, `,"reasoning":{"max_tokens":100,"exclude":true,"enabled":true}`, "")
	f(r1Template, openai, `,"reasoning":{"enabled":false,"effort":"high"}`, `"param":"reasoning.enabled"`)
	f(r1Template, openai, `,"reasoning":{"enabled":1}`, `"param":"reasoning.enabled"`)
	f(r1Template, openai, `,"reasoning":{"exclude":1}`, `"param":"reasoning.exclude"`)
	f(r1Template, anthropic, `,"thinking":{"type":"x"}`, `thinking.type must be`)
	f(r1Template, anthropic, `,"thinking":{}`, `thinking.type must be`)
	f(r1Template, anthropic, `,"thinking":{"type":"enabled","display":"x"}`, `thinking.display must be summarized or omitted`)
}

// TestThinkingOfGenerate: what think does in /api/generate, which may have no template to tell.
func TestThinkingOfGenerate(t *testing.T) {
	const refused = `{"error":"\"tiny:1b\" does not support thinking"`
	noTemplate := func(w *world, _ *Options) { w.pool.List()[0].ChatTemplate = "" }
	f := func(set func(*world, *Options), answer, more, want string) {
		t.Helper()
		w := newWorld(t, answer, set)
		if r := w.post("/api/generate", `{"model":"tiny:1b","stream":false,"options":{"num_predict":60}`+more+`}`); !strings.Contains(r.body, want) {
			t.Errorf("%s: %d %s, want %s", more, r.status, r.body, want)
		}
	}
	hermes, r1 := withTemplate(hermesTemplate), withTemplate(r1Template)
	f(hermes, "Yes.", `,"prompt":"hi","think":true`, refused)
	f(hermes, "Yes.", `,"prompt":"hi","raw":true,"think":"low"`, refused)
	f(hermes, "Yes.", `,"prompt":"hi","raw":true,"think":false`, `"response":"Yes."`)
	f(noTemplate, "Yes.", `,"prompt":"hi","think":true`, refused)
	f(noTemplate, "Yes.", `,"prompt":"hi","think":false`, `"response":"Yes."`)
	f(r1, "Hm.</think>Yes.", `,"prompt":"hi","think":true`, `"response":"Yes.","thinking":"Hm."`)
	f(r1, "Hm.</think>Yes.", `,"prompt":"hi<think>\n","raw":true,"think":true`, `"response":"Yes.","thinking":"Hm."`)
	f(r1, "<think>Hm.</think>Yes.", `,"prompt":"hi","raw":true,"think":"low"`, `"response":"Yes.","thinking":"Hm."`)
	f(r1, "Yes.", `,"prompt":"hi<think></think>","raw":true,"think":true`, `"response":"Yes."`)
	f(r1, "<think>Hm.</think>Yes.", `,"prompt":"hi","raw":true`, `"response":"<think>Hm.</think>Yes."`)
}

// TestThoughtsLeftOut: what leaves the thoughts out of an answer, and what of these objects means nothing here.
func TestThoughtsLeftOut(t *testing.T) {
	w := newWorld(t, "Hm.</think>Yes.", withTemplate(r1Template))
	f := func(path, more string, out bool, ignored string) {
		t.Helper()
		r := w.post(path, `{"model":"tiny:1b",`+more+`}`)
		if r.status != http.StatusOK || strings.Contains(r.body, "Hm.") == out || !strings.Contains(r.body, `"Yes."`) || r.header.Get("X-Ignored-Params") != ignored {
			t.Errorf("%s %s: %d %s, ignored %s, want %v, %s", path, more, r.status, r.body, r.header.Get("X-Ignored-Params"), out, ignored)
		}
	}
	const openai, responses, anthropic = "/v1/chat/completions", "/v1/responses", "/v1/messages"
	f(openai, userAsks, false, "")
	f(openai, userAsks+`,"include_reasoning":false`, true, "")
	f(openai, userAsks+`,"reasoning":{"exclude":true}`, true, "")
	f(openai, userAsks+`,"reasoning":{"exclude":false,"summary":"auto","x":1}`, false, "reasoning.x")
	f(responses, `"input":"hi","reasoning":{"exclude":true}`, true, "")
	f(responses, `"input":"hi","reasoning":{"generate_summary":"auto"}`, false, "")
	f(anthropic, `"max_tokens":60,`+userAsks+`,"thinking":{"type":"enabled","budget_tokens":1024,"display":"omitted"}`, true, "")
	f(anthropic, `"max_tokens":60,`+userAsks+`,"thinking":{"type":"enabled","display":"summarized","x":1}`, false, "thinking.x")
}

// TestThinkingShown: what tells clients that a model thinks.
func TestThinkingShown(t *testing.T) {
	for source, thinks := range map[string]bool{r1Template: true, qwenTemplate: true, hermesTemplate: false} {
		w := newWorld(t, "Yes.", withTemplate(source))
		show, props := w.post("/api/show", `{"model":"tiny:1b"}`).body, w.do(http.MethodGet, "/props", "").body
		if strings.Contains(show, `"capabilities":["completion","tools","thinking"]`) != thinks || strings.Contains(props, `"thinking":true`) != thinks {
			t.Errorf("thinks: %v; shown %.300s, props %.300s", thinks, show, props)
		}
	}
}
