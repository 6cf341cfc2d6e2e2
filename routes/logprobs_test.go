package routes

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// The scripted model is sure of each token: its logarithm is 0, and that of every other token -100.

// tokenJSON is a token in OpenAI's form.
func tokenJSON(token string, logprob int, more string) string {
	var b []string
	for _, c := range []byte(token) {
		b = append(b, fmt.Sprint(c))
	}
	name, err := json.Marshal(token)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{"token":%s,"logprob":%d,"bytes":[%s]%s}`, name, logprob, strings.Join(b, ","), more)
}

// halves of é, which has a token for each byte.
const (
	first  = `{"token":"\\xc3","logprob":0,"bytes":[195],"top_logprobs":[{"token":"\\xc3","logprob":0,"bytes":[195]}]}`
	second = `{"token":"\\xa9","logprob":0,"bytes":[169],"top_logprobs":[{"token":"\\xa9","logprob":0,"bytes":[169]}]}`
)

func sure(token string) string {
	return tokenJSON(token, 0, `,"top_logprobs":[`+tokenJSON(token, 0, "")+`]`)
}

func TestChatLogprobs(t *testing.T) {
	w := newWorld(t, "Hé.")
	const ask = `"model":"tiny:1b","messages":[{"role":"user","content":"x"}],"logprobs":true,"top_logprobs":1`
	want := `"logprobs":{"content":[` + strings.Join([]string{sure("H"), first, second, sure(".")}, ",") + `],"refusal":null},"finish_reason":"stop"}`
	if r := w.post("/v1/chat/completions", `{`+ask+`}`); !strings.Contains(r.body, want) {
		t.Errorf("%s\nlacks %s", r.body, want)
	}
	// A stop string that does not come holds back nothing for ever, and what is held back keeps its tokens.
	r := w.post("/v1/chat/completions", `{`+ask+`,"stream":true,"stop":["é?"]}`)
	said := ""
	for _, c := range chunks(t, r.body) { // how many events a read finds is chance
		if l := c.Choices[0].Logprobs; l != nil {
			var tokens []string
			for _, token := range l.Content {
				tokens = append(tokens, token.Token)
			}
			text := c.Choices[0].Delta.Content
			if got := strings.ReplaceAll(strings.Join(tokens, ""), `\xc3\xa9`, "é"); got != text {
				t.Errorf("the text %q has the tokens %q", text, tokens)
			}
			said += text
		}
	}
	if said != "Hé." {
		t.Errorf("streamed %q", said)
	}
	// The tokens of a stop string are not shown.
	if r := w.post("/v1/chat/completions", `{`+ask+`,"stop":"é"}`); !strings.Contains(r.body, `"logprobs":{"content":[`+sure("H")+`],"refusal":null}`) {
		t.Errorf("with a stop string: %s", r.body)
	}
	if r := w.post("/v1/chat/completions", `{"messages":[{"role":"user","content":"x"}],"top_logprobs":1}`); r.status != http.StatusBadRequest || !strings.Contains(r.body, "needs logprobs to be true") {
		t.Errorf("top_logprobs alone: %s", r.body)
	}
	if r := w.post("/v1/chat/completions", `{"messages":[{"role":"user","content":"x"}],"logprobs":true,"top_logprobs":21}`); r.status != http.StatusBadRequest || !strings.Contains(r.body, "must be between 0 and 20") {
		t.Errorf("21 of them: %s", r.body)
	}
}

// chunk is an event of a streamed chat completion, as far as tests look at it.
type chunk struct {
	Choices []struct {
		Delta struct {
			Content string `json:"content"`
		} `json:"delta"`
		Text     string `json:"text"`
		Logprobs *struct {
			Content []struct {
				Token string `json:"token"`
			} `json:"content"`
			Tokens     []string `json:"tokens"`
			TextOffset []int    `json:"text_offset"`
		} `json:"logprobs"`
	} `json:"choices"`
}

func chunks(t *testing.T, body string) (all []chunk) {
	t.Helper()
	for line := range strings.Lines(body) {
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok || strings.HasPrefix(data, "[DONE]") {
			continue
		}
		var c chunk
		if err := json.Unmarshal([]byte(data), &c); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		all = append(all, c)
	}
	return all
}

func TestCompletionLogprobs(t *testing.T) {
	w := newWorld(t, "Hé.")
	f := func(fields, want string) {
		t.Helper()
		r := w.post("/v1/completions", `{"model":"tiny:1b",`+fields+`}`)
		if r.status != http.StatusOK || !strings.Contains(r.body, want) {
			t.Errorf("%s: %d %s\nlacks %s", fields, r.status, r.body, want)
		}
	}
	f(`"prompt":[500,35],"logprobs":0`, `"text":"Hé.","logprobs":{"tokens":["H","bytes:\\xc3","bytes:\\xa9","."],"token_logprobs":[0,0,0,0],"top_logprobs":[{},{},{},{}],"text_offset":[0,1,1,2]}`)
	f(`"prompt":[500,35],"logprobs":1,"max_tokens":1`, `"logprobs":{"tokens":["H"],"token_logprobs":[0],"top_logprobs":[{"H":0}],"text_offset":[0]},"finish_reason":"length"`)
	// With echo the prompt's tokens come first. The model expects each of them twice.
	f(`"prompt":[35,35,36],"echo":true,"logprobs":1,"max_tokens":1`,
		`"text":"##$H","logprobs":{"tokens":["#","#","$","H"],"token_logprobs":[null,0,-100,0],"top_logprobs":[null,{"#":0},{"#":0,"$":-100},{"H":0}],"text_offset":[0,1,2,3]},"finish_reason":"length"`)
	f(`"prompt":[35,35,36],"echo":true,"logprobs":0,"max_tokens":0`,
		`"text":"##$","logprobs":{"tokens":["#","#","$"],"token_logprobs":[null,0,-100],"top_logprobs":[null,{},{}],"text_offset":[0,1,2]},"finish_reason":"length"`)
	f(`"prompt":[[35,36],[37,37]],"echo":true,"logprobs":0,"max_tokens":0`, `"token_logprobs":[null,0]`)
	f(`"prompt":[35,35,36],"prompt_logprobs":1,"max_tokens":1`,
		`"prompt_logprobs":[null,{"35":{"logprob":0,"rank":1,"decoded_token":"#"}},{"35":{"logprob":0,"rank":1,"decoded_token":"#"},"36":{"logprob":-100,"rank":37,"decoded_token":"$"}}]`)
	var tokens []string
	var offsets []int
	text := ""
	r := w.post("/v1/completions", `{"prompt":[35,35,36],"echo":true,"logprobs":1,"stream":true}`)
	for _, c := range chunks(t, r.body) {
		text += c.Choices[0].Text
		if l := c.Choices[0].Logprobs; l != nil {
			tokens, offsets = append(tokens, l.Tokens...), append(offsets, l.TextOffset...)
		}
	}
	if got := fmt.Sprint(text, tokens, offsets); got != `##$Hé.[# # $ H bytes:\xc3 bytes:\xa9 .] [0 1 2 3 4 4 5]` {
		t.Errorf("streamed: %s", got)
	}
	for body, want := range map[string]string{
		`{"prompt":"x","logprobs":21}`:                            "logprobs is 21, must be between 0 and 20",
		`{"prompt":"x","logprobs":true}`:                          "logprobs must be an integer, not a boolean",
		`{"prompt":"x","max_tokens":0}`:                           "max_tokens is 0",
		`{"prompt":"x","n":2,"echo":true,"logprobs":1}`:           "n is 2, which is not supported together with echo and logprobs",
		`{"prompt":"x","prompt_logprobs":1,"stream":true}`:        "prompt_logprobs is not supported in a stream",
		`{"prompt":"x","prompt_logprobs":1,"n":2,"max_tokens":1}`: "prompt_logprobs is not supported where n is above 1",
	} {
		if r := w.post("/v1/completions", body); r.status != http.StatusBadRequest || !strings.Contains(r.body, want) {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
}

func TestOtherLogprobs(t *testing.T) {
	w := newWorld(t, "Hi")
	f := func(path, body, want string) {
		t.Helper()
		r := w.post(path, body)
		if r.status != http.StatusOK || !strings.Contains(r.body, want) {
			t.Errorf("%s %s: %d %s\nlacks %s", path, body, r.status, r.body, want)
		}
	}
	both := sure("H") + "," + sure("i")
	f("/api/generate", `{"model":"tiny:1b","prompt":"x","stream":false,"logprobs":true,"top_logprobs":1}`, `"logprobs":[`+both+`]`)
	f("/api/chat", `{"model":"tiny:1b","messages":[{"role":"user","content":"x"}],"stream":false,"logprobs":true,"top_logprobs":1}`, `"logprobs":[`+both+`]`)
	f("/v1/responses", `{"input":"x","include":["message.output_text.logprobs"],"top_logprobs":1}`, `"logprobs":[`+both+`]`)
	f("/v1/responses", `{"input":"x","include":["message.output_text.logprobs"],"top_logprobs":1,"stream":true}`, `"type":"output_text","annotations":[],"logprobs":[`+both+`],"text":"Hi"`)
	h := `{"id":72,"token":"H","bytes":[72],"logprob":0`
	f("/completion", `{"prompt":"x","n_probs":1,"n_predict":1}`, `"completion_probabilities":[`+h+`,"top_logprobs":[`+h+`}]}]`)
	for path, body := range map[string]string{
		"/api/generate": `{"model":"tiny:1b","prompt":"x","logprobs":true}`,
		"/api/chat":     `{"model":"tiny:1b","messages":[{"role":"user","content":"x"}],"logprobs":true}`,
		"/completion":   `{"prompt":"x","n_probs":1,"stream":true}`,
		"/v1/responses": `{"input":"x","top_logprobs":2,"stream":true}`,
	} {
		for _, token := range []string{"H", "i"} {
			f(path, body, `"token":"`+token+`"`)
		}
	}
}

func TestScore(t *testing.T) {
	w := newWorld(t, "Hi")
	r := w.post("/v1/score", `{"model":"tiny:1b","prompt":"##","continuations":["#","#$","##"]}`)
	want := `{"object":"list","model":"tiny:1b","data":[` +
		`{"index":0,"logprob":0,"is_greedy":true,"tokens":[` + tokenJSON("#", 0, `,"top_logprobs":[]`) + `]},` +
		`{"index":1,"logprob":-100,"is_greedy":false,"tokens":[` + tokenJSON("#", 0, `,"top_logprobs":[]`) + `,` + tokenJSON("$", -100, `,"top_logprobs":[]`) + `]},` +
		`{"index":2,"logprob":0,"is_greedy":true,"tokens":[` + tokenJSON("#", 0, `,"top_logprobs":[]`) + `,` + tokenJSON("#", 0, `,"top_logprobs":[]`) + `]}],`
	if !strings.HasPrefix(r.body, want) {
		t.Errorf("%d %s\nwant %s", r.status, r.body, want)
	}
	if r := w.post("/v1/score", `{"prompt":[35],"continuations":[[36,36]],"top_logprobs":1}`); !strings.Contains(r.body, `"logprob":-100,"is_greedy":false,"tokens":[`+tokenJSON("$", -100, `,"top_logprobs":[`+tokenJSON("#", 0, "")+`]`)) {
		t.Errorf("ids: %s", r.body)
	}
	for body, want := range map[string]string{
		`{"continuations":["a"]}`:                    "prompt is missing",
		`{"prompt":"x"}`:                             "continuations is missing",
		`{"prompt":"x","continuations":[""]}`:        "continuations[0] adds no token to the prompt",
		`{"prompt":"x","continuations":[[1]]}`:       "continuations[0] and prompt must both be text",
		`{"prompt":"","continuations":["a"]}`:        "prompt has no token before continuations[0]",
		`{"prompt":"x","continuations":"a"}`:         "continuations must be a list of strings or of lists of token ids",
		`{"prompt":["a","b"],"continuations":["c"]}`: "prompt holds 2 prompts, one is allowed",
	} {
		if r := w.post("/v1/score", body); r.status != http.StatusBadRequest || !strings.Contains(r.body, want) {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
}
