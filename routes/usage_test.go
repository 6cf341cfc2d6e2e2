package routes

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestContinuousUsage: with stream_options.continuous_usage_stats each chunk says what its answer has taken so far, as vLLM's do. What of the
// prompt was cached is told at the end.
func TestContinuousUsage(t *testing.T) {
	const options = `"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}}`
	f := func(path, body, want string) {
		t.Helper()
		var release chan<- struct{}
		w := newWorld(t, "Hi", func(w *world, _ *Options) { release = gate(t, w) })
		r := w.streamOf(release, path, body, step{1, `"H"`}, step{1, `"i"`})
		if diff := cmp.Diff(want, r.body); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	const head = `data: {"id":"chatcmpl-` + fixedID + `","object":"chat.completion.chunk","created":1787306400,"model":"tiny:1b","system_fingerprint":"fp_test","choices":[`
	f("/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}],`+options,
		head+`{"index":0,"delta":{"role":"assistant","content":null},"finish_reason":null}],"usage":{"prompt_tokens":18,"completion_tokens":0,"total_tokens":18}}

`+head+`{"index":0,"delta":{"content":"H"},"finish_reason":null}],"usage":{"prompt_tokens":18,"completion_tokens":1,"total_tokens":19}}

`+head+`{"index":0,"delta":{"content":"i"},"finish_reason":null}],"usage":{"prompt_tokens":18,"completion_tokens":2,"total_tokens":20}}

`+head+`{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":18,"completion_tokens":3,"total_tokens":21}}

`+head+`],"usage":{"prompt_tokens":18,"completion_tokens":3,"total_tokens":21,"prompt_tokens_details":{"cached_tokens":0}}}

data: [DONE]

`)
	const text = `data: {"id":"cmpl-` + fixedID + `","object":"text_completion","created":1787306400,"model":"tiny:1b","system_fingerprint":"fp_test","choices":[`
	f("/v1/completions", `{"prompt":"##",`+options,
		text+`{"index":0,"text":"H","logprobs":null,"finish_reason":null}],"usage":{"prompt_tokens":2,"completion_tokens":1,"total_tokens":3}}

`+text+`{"index":0,"text":"i","logprobs":null,"finish_reason":null}],"usage":{"prompt_tokens":2,"completion_tokens":2,"total_tokens":4}}

`+text+`{"index":0,"text":"","logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":3,"total_tokens":5}}

`+text+`],"usage":{"prompt_tokens":2,"completion_tokens":3,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":0}}}

data: [DONE]

`)
}
