package routes

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// completionHead is what all answers and chunks of a completion begin with.
const completionHead = `{"id":"cmpl-` + fixedID + `","object":"text_completion","created":1787306400,"model":"tiny:1b","system_fingerprint":"fp_test","choices":[`

func TestCompletionBytes(t *testing.T) {
	w := newWorld(t, "Hé")
	f := func(fields, choices, usage string) {
		t.Helper()
		r := w.post("/v1/completions", `{"model":"tiny:1b",`+fields+`}`)
		want := completionHead + choices + `],"usage":` + usage + `}`
		if diff := cmp.Diff(want, r.body); r.status != http.StatusOK || diff != "" {
			t.Errorf("%s: %d (-want +got):\n%s", fields, r.status, diff)
		}
	}
	choice := func(index, text, finish string) string {
		return `{"index":` + index + `,"text":"` + text + `","logprobs":null,"finish_reason":"` + finish + `"}`
	}
	f(`"prompt":"##"`, choice("0", "Hé", "stop"), `{"prompt_tokens":2,"completion_tokens":4,"total_tokens":6,"prompt_tokens_details":{"cached_tokens":0}}`)
	f(`"prompt":[500,35,35,36],"max_tokens":1`, choice("0", "H", "length"), `{"prompt_tokens":4,"completion_tokens":1,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":0}}`)
	f(`"prompt":[[500,65],[500,66,67]],"max_tokens":1`, choice("0", "H", "length")+","+choice("1", "H", "length"),
		`{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":1}}`)
	f(`"prompt":["<a>",[500,65]],"max_tokens":1,"echo":true`, choice("0", "<a>H", "length")+","+choice("1", "AH", "length"),
		`{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":0}}`)
	f(`"prompt":"##","suffix":"","stop":["é"],"best_of":1,"logprobs":null,"user":"u"`, choice("0", "H", "stop"),
		`{"prompt_tokens":2,"completion_tokens":3,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":0}}`)
}

// Where nothing is said an answer has 16 tokens, as OpenAI's.
func TestCompletionDefaults(t *testing.T) {
	w := newWorld(t, strings.Repeat("x", 100))
	f := func(fields string, n int, finish string) {
		t.Helper()
		r := w.post("/completions", `{"prompt":"##"`+fields+`}`)
		if want := `"text":"` + strings.Repeat("x", n) + `","logprobs":null,"finish_reason":"` + finish + `"`; !strings.Contains(r.body, want) {
			t.Errorf("%s: %d %s, want %d", fields, r.status, r.body, n)
		}
	}
	f(``, 16, "length")
	f(`,"max_tokens":20`, 20, "length")
	f(`,"max_tokens":-1`, 100, "stop")
}

func TestCompletionErrors(t *testing.T) {
	w := newWorld(t, "Hi")
	f := func(body, want string) {
		t.Helper()
		r := w.post("/v1/completions", body)
		if r.status != http.StatusBadRequest || !strings.Contains(r.body, want) {
			t.Errorf("%s: %d %s, want %s", body, r.status, r.body, want)
		}
	}
	f(`{}`, `"message":"prompt is missing; it is a string, token ids, or a list of either","type":"invalid_request_error","param":"prompt"`)
	f(`{"prompt":[]}`, `prompt is missing`)
	f(`{"prompt":{}}`, `prompt must be a string, a list of strings or token ids, not an object`)
	f(`{"prompt":["a",1]}`, `prompt[1] must be a string or a list of token ids, not a number`)
	f(`{"prompt":[1,"a"]}`, `prompt[1] must be an integer, not a string`)
	f(`{"prompt":[-1]}`, `prompt[0] is -1, must be between 0 and`)
	f(`{"prompt":[512]}`, `unknown token in the prompt: 512`)
	f(`{"prompt":[[]]}`, `the prompt has no tokens`)
	f(`{"prompt":[`+strings.Repeat(`"a",`, 128)+`"a"]}`, `prompt holds 129 prompts, at most 128 are allowed`)
	f(`{"prompt":"a","suffix":"b"}`, `suffix is not supported`)
	f(`{"prompt":"a","use_beam_search":true}`, `use_beam_search is not supported`)
	f(`{"prompt":"a","best_of":2}`, `best_of is 2 and n is 1: answers are not compared, so that best_of can be at most n`)
	f(`{"prompt":"a","max_tokens":0}`, `max_tokens is 0, must be at least 1`)
	f(`{"prompt":"a","n":0}`, `n is 0, must be between 1 and 8`)
}

func TestCompletionStreamBytes(t *testing.T) {
	f := func(fields, want string, steps ...step) {
		t.Helper()
		var release chan<- struct{}
		w := newWorld(t, "Hé", func(w *world, _ *Options) { release = gate(t, w) })
		r := w.streamOf(release, "/v1/completions", `{"model":"tiny:1b","prompt":"##","stream":true`+fields+`}`, steps...)
		if diff := cmp.Diff(want, r.body); r.status != http.StatusOK || diff != "" {
			t.Errorf("%s: %d (-want +got):\n%s", fields, r.status, diff)
		}
	}
	chunk := func(index, text, finish string) string {
		return "data: " + completionHead + `{"index":` + index + `,"text":"` + text + `","logprobs":null,"finish_reason":` + finish + "}]}\n\n"
	}
	f(``, chunk("0", "H", "null")+chunk("0", "é", "null")+chunk("0", "", `"stop"`)+"data: [DONE]\n\n", step{1, `"H"`}, step{2, `"é"`})
	f(`,"echo":true,"max_tokens":1,"stream_options":{"include_usage":true}`,
		chunk("0", "##H", "null")+chunk("0", "", `"length"`)+"data: "+completionHead+
			`],"usage":{"prompt_tokens":2,"completion_tokens":1,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":0}}}`+"\n\ndata: [DONE]\n\n")
}

// Several answers share what is computed of the prompt, have an index each, and count the prompt once.
func TestChoices(t *testing.T) {
	w := newWorld(t, "Hi")
	r := w.post("/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}],"n":3}`)
	for _, i := range []string{"0", "1", "2"} {
		if want := `{"index":` + i + `,"message":{"role":"assistant","content":"Hi","refusal":null},"logprobs":null,"finish_reason":"stop"}`; !strings.Contains(r.body, want) {
			t.Errorf("%d %s, want %s", r.status, r.body, want)
		}
	}
	if want := `"usage":{"prompt_tokens":18,"completion_tokens":9,"total_tokens":27,"prompt_tokens_details":{"cached_tokens":0}}`; !strings.Contains(r.body, want) {
		t.Errorf("%s, want %s", r.body, want)
	}
	if u := w.engine().Snapshot(); u.PromptTokens != 54 || u.CachedTokens != 32 {
		t.Errorf("of 54 prompt tokens %d were cached, want all but 18 and two an answer", u.CachedTokens)
	}
	line := w.logLine("/v1/chat/completions")
	if line["prompt_tokens"] != 18.0 || line["completion_tokens"] != 9.0 || line["finish"] != "stop" {
		t.Errorf("log: %v", line)
	}
	r = w.post("/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}],"n":2,"stream":true,"stream_options":{"include_usage":true}}`)
	for _, i := range []string{"0", "1"} {
		role := strings.Index(r.body, `"choices":[{"index":`+i+`,"delta":{"role":"assistant","content":null},"finish_reason":null}]`)
		text := strings.Index(r.body, `"choices":[{"index":`+i+`,"delta":{"content":"`)
		end := strings.Index(r.body, `"choices":[{"index":`+i+`,"delta":{},"finish_reason":"stop"}]`)
		if role < 0 || text < role || end < text {
			t.Errorf("answer %s: role, text and end at %d, %d, %d of %s", i, role, text, end, r.body)
		}
	}
	if !strings.HasSuffix(r.body, `"choices":[],"usage":{"prompt_tokens":18,"completion_tokens":6,"total_tokens":24,"prompt_tokens_details":{"cached_tokens":16}}}`+"\n\ndata: [DONE]\n\n") {
		t.Errorf("the end of %s", r.body)
	}
	eventually(t, "all slots are free", w.idle)

	// What the queue has no room for is refused whole.
	r = w.post("/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}],"n":8}`)
	if r.status != http.StatusServiceUnavailable {
		t.Errorf("8 answers with room for 3: %d %s", r.status, r.body)
	}
	eventually(t, "nothing of it runs", w.idle)
}

func TestInputTokens(t *testing.T) {
	w := newWorld(t, "Hi")
	r := w.post("/v1/chat/completions/input_tokens", `{"model":"tiny:1b","messages":[{"role":"user","content":"hi"}]}`)
	if r.status != http.StatusOK || r.body != `{"input_tokens":18}` {
		t.Errorf("%d %s", r.status, r.body)
	}
	if s := w.engine().Snapshot(); s.PromptTokens != 0 {
		t.Errorf("%d tokens were computed", s.PromptTokens)
	}
}

// TestCountsAreWhatRuns: what counting says is what the usage of the same request says, and what the error of one that is too long says.
func TestCountsAreWhatRuns(t *testing.T) {
	w := newWorld(t, "Hi", func(w *world, _ *Options) { w.model.info.MaxLen = 4096 })
	number := func(path, body, pattern string, status int) (sum int) {
		t.Helper()
		r := w.post(path, body)
		found := regexp.MustCompile(pattern).FindAllStringSubmatch(r.body, -1)
		if r.status != status || found == nil {
			t.Fatalf("%s %.80s: %d %.500s, want %d and %s", path, body, r.status, r.body, status, pattern)
		}
		for _, m := range found {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				t.Fatal(err)
			}
			sum += n
		}
		return sum
	}
	const openai, anthropic = `"function":{"name":"get","description":"Look it up","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}`,
		`"name":"get","description":"Look it up","input_schema":{"type":"object","properties":{"city":{"type":"string"}}}`
	for _, f := range []struct{ path, counts, field, body string }{
		{"/v1/chat/completions", "/input_tokens", `"prompt_tokens":(\d+)`, `"messages":[{"role":"developer","content":"be kind"},{"role":"user","content":[{"type":"text","text":"hi"}]}]`},
		{"/v1/chat/completions", "/input_tokens", `"prompt_tokens":(\d+)`, `"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function",` +
			`"function":{"name":"get","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"rain"}],"tools":[{"type":"function",` + openai + `}]`},
		{"/v1/responses", "/input_tokens", `"input_tokens":(\d+)`, `"instructions":"be kind","input":"hi","tools":[{"type":"function",` + strings.TrimSuffix(strings.TrimPrefix(openai, `"function":{`), "}") + `}]`},
		{"/v1/messages", "/count_tokens", `"(?:cache_read_)?input_tokens":(\d+)`, `"system":"be kind","messages":[{"role":"user","content":"hi"}],"tools":[{` + anthropic + `}]`},
	} {
		before := w.engine().Snapshot().PromptTokens
		counted := number(f.path+f.counts, "{"+f.body+"}", `"input_tokens":(\d+)`, http.StatusOK)
		if after := w.engine().Snapshot().PromptTokens; after != before {
			t.Errorf("%s: %d tokens were computed for counting", f.path, after-before)
		}
		if ran := number(f.path, `{"max_tokens":4,"max_output_tokens":4,`+f.body+"}", f.field, http.StatusOK); ran != counted {
			t.Errorf("%s %s: counted %d, the usage says %d", f.path, f.body, counted, ran)
		}
		long := strings.Replace(f.body, `hi"`, strings.Repeat("hi ", 5000)+`"`, 1)
		counted = number(f.path+f.counts, "{"+long+"}", `"input_tokens":(\d+)`, http.StatusOK)
		if refused := number(f.path, `{"max_tokens":4,`+long+"}", `the request \((\d+) tokens\)`, http.StatusBadRequest); refused != counted {
			t.Errorf("%s: counted %d, the error says %d", f.path, counted, refused)
		}
	}
}

func TestEmbeddings(t *testing.T) {
	w := newWorld(t, "Hi")
	const openai = `{"error":{"message":"this model does not support embeddings","type":"invalid_request_error","param":"model","code":"unsupported_parameter"}}`
	const ollama = `{"error":"this model does not support embeddings"}`
	for path, want := range map[string]string{"/v1/embeddings": openai, "/embeddings": openai, "/api/embed": ollama, "/api/embeddings": ollama} {
		if r := w.post(path, `{"model":"tiny:1b","input":"x"}`); r.status != http.StatusBadRequest || r.body != want {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
}
