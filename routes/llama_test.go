package routes

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// milliseconds are the numbers of timings, which differ from run to run.
var milliseconds = regexp.MustCompile(`"(\w+_ms|\w+_per_second)":[0-9.e+-]+`)

func TestLlamaCompletionBytes(t *testing.T) {
	w := newWorld(t, "H\ni")
	const timings = `"timings":{"cache_n":0,"prompt_n":2,"prompt_ms":1,"prompt_per_token_ms":1,"prompt_per_second":1,"predicted_n":N,"predicted_ms":1,"predicted_per_token_ms":1,"predicted_per_second":1}}`
	const settings = `"generation_settings":{"frequency_penalty":0,"min_p":0.05,"n_ctx":256,"n_predict":PREDICT,"presence_penalty":0,"repeat_last_n":64,"repeat_penalty":1,"stop":STOP,"stream":false,"temperature":0.8,"top_k":40,"top_p":0.95}`
	f := func(fields, content, tokens, predict, n, newline, stop, stopType, word string) {
		t.Helper()
		w.engine() // loaded
		r := w.post("/completion", `{"prompt":"##","cache_salt":"`+strings.ReplaceAll(fields, `"`, "")+`"`+fields+`}`)
		want := `{"index":0,"content":"` + content + `","tokens":` + tokens + `,"id_slot":-1,"stop":true,"model":"tiny:1b","tokens_predicted":` + n + `,"tokens_evaluated":2,` +
			strings.NewReplacer("PREDICT", predict, "STOP", stop).Replace(settings) + `,"prompt":"##","has_new_line":` + newline +
			`,"truncated":false,"stop_type":"` + stopType + `","stopping_word":"` + word + `","tokens_cached":` + map[string]string{"4": "5", "1": "2", "3": "4"}[n] + `,` +
			strings.Replace(timings, "N", n, 1)
		if diff := cmp.Diff(want, milliseconds.ReplaceAllString(r.body, `"$1":1`)); r.status != http.StatusOK || diff != "" {
			t.Errorf("%s: %d (-want +got):\n%s", fields, r.status, diff)
		}
	}
	f(``, `H\ni`, `[]`, "-1", "4", "true", `[]`, "eos", "")
	f(`,"n_predict":1,"return_tokens":true`, `H`, `[72]`, "1", "1", "false", `[]`, "limit", "")
	f(`,"stop":["i"]`, `H\n`, `[]`, "-1", "3", "true", `["i"]`, "word", "i")
}

func TestLlamaCompletionStream(t *testing.T) {
	var release chan<- struct{}
	w := newWorld(t, "Hé", func(w *world, _ *Options) { release = gate(t, w) })
	r := w.streamOf(release, "/completion", `{"prompt":"##","stream":true}`, step{1, `"H"`}, step{2, `"é"`})
	const piece = `,"stop":false,"id_slot":-1,"tokens_predicted":`
	want := `data: {"index":0,"content":"H","tokens":[72]` + piece + `1,"tokens_evaluated":2}` + "\n\n" +
		`data: {"index":0,"content":"é","tokens":[169]` + piece + `3,"tokens_evaluated":2}` + "\n\n" +
		`data: {"index":0,"content":"","tokens":[],"id_slot":-1,"stop":true,`
	got := strings.Replace(r.body, `"tokens":[195,169]`, `"tokens":[169]`, 1) // both bytes may come at once
	if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "}}\n\n") || r.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("got %s\nwant %s", got, want)
	}
	for body, want := range map[string]string{
		`{}`:                   "prompt is missing; it is a string or token ids",
		`{"prompt":["a","b"]}`: "prompt holds 2 prompts; POST /v1/completions takes more than one",
		`{"prompt":"a","n_probs":3,"post_sampling_probs":true}`: "post_sampling_probs is not supported",
		`{"prompt":"a","grammar":"x"}`:                          `grammar: line 1: ::= is expected after \"x\"`,
	} {
		if r := w.post("/completion", body); r.status != http.StatusBadRequest || !strings.Contains(r.body, want) {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
}

func TestTokenize(t *testing.T) {
	w := newWorld(t, "Hi")
	f := func(path, body, want string) {
		t.Helper()
		if r := w.post(path, body); r.status != http.StatusOK || r.body != want {
			t.Errorf("%s %s: %d %s, want %s", path, body, r.status, r.body, want)
		}
	}
	const rest = `,"max_model_len":256}`
	f("/tokenize", `{"content":"##"}`, `{"tokens":[35,35],"count":2`+rest)
	f("/tokenize", `{"prompt":"##"}`, `{"tokens":[35,35],"count":2`+rest)
	f("/tokenize", `{"prompt":"##","add_special_tokens":false,"return_token_strs":true}`, `{"tokens":[35,35],"count":2,"max_model_len":256,"token_strs":["#","#"]}`)
	f("/tokenize", `{"content":"<|eot_id|>"}`, `{"tokens":[504],"count":1`+rest)
	f("/tokenize", `{"content":""}`, `{"tokens":[],"count":0`+rest)
	f("/tokenize", `{"content":"#é","with_pieces":true}`, `{"tokens":[{"id":35,"piece":"#"},{"id":195,"piece":[195]},{"id":169,"piece":[169]}],"count":3`+rest)
	f("/detokenize", `{"tokens":[500,35,195,169]}`, `{"content":"<|begin_of_text|>#é","prompt":"<|begin_of_text|>#é"}`)
	f("/detokenize", `{"tokens":[]}`, `{"content":"","prompt":""}`)
	const prompt = `<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>`
	f("/apply-template", `{"messages":[{"role":"user","content":"hi"}]}`, `{"prompt":"`+prompt+`<|start_header_id|>assistant<|end_header_id|>\n\n"}`)
	f("/apply-template", `{"messages":[{"role":"user","content":"hi"}],"add_generation_prompt":false}`, `{"prompt":"`+prompt+`"}`)
	r := w.post("/tokenize", `{"messages":[{"role":"user","content":"hi"}]}`)
	if !strings.HasSuffix(r.body, `],"count":18`+rest) {
		t.Errorf("messages: %s", r.body)
	}
	r = w.post("/tokenize", `{"content":"<|eot_id|>","parse_special":false}`)
	var a struct{ Tokens []int32 }
	if err := json.Unmarshal([]byte(r.body), &a); err != nil || len(a.Tokens) < 2 {
		t.Errorf("as plain text: %v, %s", err, r.body)
	}
	for _, body := range []string{`{}`, `{"messages":[]}`} {
		if r := w.post("/tokenize", body); r.status != http.StatusBadRequest || !strings.Contains(r.body, "content, prompt or messages is needed") {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
	if r := w.post("/detokenize", `{"tokens":[1,512]}`); r.status != http.StatusBadRequest || !strings.Contains(r.body, "tokens[1] is 512, must be below the vocabulary's size 512") {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestPropsAndSlots(t *testing.T) {
	w := endless(t)
	r := w.do(http.MethodGet, "/props", "")
	var p props
	if err := json.Unmarshal([]byte(r.body), &p); err != nil {
		t.Fatal(err)
	}
	if p.DefaultGenerationSettings.NCtx != 1<<20 || p.TotalSlots != 2 || p.ModelAlias != modelName || p.BOSToken != "<|begin_of_text|>" ||
		p.BuildInfo != "ortserve-1.2.3" || !strings.Contains(p.ChatTemplate, "start_header_id") || strings.Contains(r.body, modelDir) {
		t.Errorf("%s", r.body)
	}
	f := func(path string, status int, want string) {
		t.Helper()
		if r := w.do(http.MethodGet, path, ""); r.status != status || !strings.Contains(r.body, want) {
			t.Errorf("%s: %d %s, want %d %s", path, r.status, r.body, status, want)
		}
	}
	f("/props?autoload=false", 200, r.body)
	f("/props?autoload=false&model=x", 404, `model 'x' not found`)
	f("/slots", 200, `[{"id":0,"n_ctx":1048576,"n_past":0,"is_processing":false},{"id":1,"n_ctx":1048576,"n_past":0,"is_processing":false}]`)
	f("/slots?fail_on_no_slot=1", 200, `[{`)
	for range 2 {
		send(t, w.dial(), "/api/generate", `{"model":"tiny:1b","prompt":"a secret"}`)
	}
	eventually(t, "both slots are taken", func() bool { return w.engine().Snapshot().Running == 2 })
	f("/slots", 200, `"is_processing":true},{"id":1`)
	f("/slots?fail_on_no_slot=1", 503, `no slot is free`)
	f("/slots?model=x", 404, `model 'x' not found`)
	if r := w.do(http.MethodGet, "/slots", ""); strings.Contains(r.body, "secret") {
		t.Errorf("%s", r.body)
	}
}

// With strictness a name that no table has is an error, except inside what clients replay.
func TestStrict(t *testing.T) {
	const known, unknown = `{"messages":[{"role":"user","content":"hi","refusal":null,"annotations":[]}]}`, `{"messages":[{"role":"user","content":"hi"}],"foo":1}`
	f := func(w *world, path, body, header string, status int, want string) {
		t.Helper()
		r := w.do(http.MethodPost, path, body, "X-Strict", header)
		if r.status != status || !strings.Contains(r.body, want) {
			t.Errorf("%s %s, %q: %d %s, want %d %s", path, body, header, r.status, r.body, status, want)
		}
	}
	const refusal = `{"error":{"message":"the field \"foo\" is unknown, and the request or the server (--strict) wants that to be an error","type":"invalid_request_error","param":"foo","code":null}}`
	lenient := newWorld(t, "Hi")
	f(lenient, "/v1/chat/completions", unknown, "", 200, "Hi")
	f(lenient, "/v1/chat/completions", unknown, "false", 200, "Hi")
	f(lenient, "/v1/chat/completions", unknown, "true", 400, refusal)
	f(lenient, "/v1/chat/completions", known, "true", 200, "Hi")
	f(lenient, "/api/chat", `{"model":"tiny:1b","stream":false,"options":{"foo":1},"messages":[{"role":"user","content":"hi"}]}`, "true", 400, `options.foo`)
	strict := newWorld(t, "Hi", func(_ *world, o *Options) { o.Strict = true })
	f(strict, "/v1/chat/completions", unknown, "", 400, refusal)
	f(strict, "/v1/chat/completions", known, "", 200, "Hi")

	if diff := cmp.Diff(map[string]uint64{"foo": 3, "options.foo": 1, "messages[].refusal": 1, "messages[].annotations": 1}, lenient.ignoredCounts()); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
	if n := strings.Count(lenient.logs.String(), `"field":"foo"`); n != 1 {
		t.Errorf("the log tells of foo %d times", n)
	}
	// What clients make up does not grow what the server keeps.
	for range maxCounted/maxIgnored + 2 {
		names := make([]string, maxIgnored)
		for i := range names {
			id, err := randomID()
			if err != nil {
				t.Fatal(err)
			}
			names[i] = "x" + id
		}
		strict.countIgnored(names)
	}
	if counts := strict.ignoredCounts(); len(counts) > maxCounted+1 || counts["other"] == 0 {
		t.Errorf("%d names are kept, other %d times", len(counts), counts["other"])
	}
}

// TestNoSlotActions: what llama.cpp does with slots and streams, and this server does not, is refused by name.
func TestNoSlotActions(t *testing.T) {
	w := newWorld(t, "Hi")
	f := func(method, path, want string) {
		t.Helper()
		if r := w.do(method, path, `{}`); r.status != http.StatusBadRequest || !strings.Contains(r.body, want) || !strings.Contains(r.body, `"code":"unsupported_parameter"`) {
			t.Errorf("%s %s: %d %s", method, path, r.status, r.body)
		}
	}
	f(http.MethodPost, "/slots/0?action=save", "slots are not saved, restored or erased")
	f(http.MethodPost, "/slots/1?action=erase", "slots are not saved, restored or erased")
	f(http.MethodGet, "/v1/stream?conv_id=a&from=0", "streams are not resumed")
}
