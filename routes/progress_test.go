package routes

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestProgress: with return_progress a stream tells how far the prompt is, after each run that computes a part of it.
func TestProgress(t *testing.T) {
	took := regexp.MustCompile(`"time_ms":\d+`)
	f := func(path, body, want string) {
		t.Helper()
		var release chan<- struct{}
		w := newWorld(t, "Hi", func(w *world, _ *Options) { release = gate(t, w) })
		r := w.streamOf(release, path, body, step{1, `"processed":55`}, step{1, `"H"`}, step{1, `"i"`})
		if diff := cmp.Diff(want, took.ReplaceAllString(r.body, `"time_ms":1`)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	const at = `"prompt_progress":{"total":110,"cache":0,"processed":%d,"time_ms":1}`
	first, last := fmt.Sprintf(at, 55), fmt.Sprintf(at, 110)
	const head = `data: {"id":"chatcmpl-` + fixedID + `","object":"chat.completion.chunk","created":1787306400,"model":"tiny:1b","system_fingerprint":"fp_test","choices":[{"index":0,"delta":`
	long := strings.Repeat("1", 93)
	f("/v1/chat/completions", `{"messages":[{"role":"user","content":"`+long+`"}],"stream":true,"return_progress":true}`,
		head+`{"role":"assistant","content":null},"finish_reason":null}],`+first+`}

`+head+`{},"finish_reason":null}],`+last+`}

`+head+`{"content":"H"},"finish_reason":null}]}

`+head+`{"content":"i"},"finish_reason":null}]}

`+head+`{},"finish_reason":"stop"}]}

data: [DONE]

`)
	const text = `data: {"id":"cmpl-` + fixedID + `","object":"text_completion","created":1787306400,"model":"tiny:1b","system_fingerprint":"fp_test","choices":[{"index":0,"text":`
	f("/v1/completions", `{"prompt":"`+long+`11111111111111111","stream":true,"return_progress":true}`,
		text+`"","logprobs":null,"finish_reason":null}],`+first+`}

`+text+`"","logprobs":null,"finish_reason":null}],`+last+`}

`+text+`"H","logprobs":null,"finish_reason":null}]}

`+text+`"i","logprobs":null,"finish_reason":null}]}

`+text+`"","logprobs":null,"finish_reason":"stop"}]}

data: [DONE]

`)
}

// TestCachePrompt: cache_prompt false computes the whole prompt.
func TestCachePrompt(t *testing.T) {
	w := newWorld(t, "Hi")
	for _, path := range []string{"/v1/chat/completions", "/v1/completions"} {
		for _, c := range []struct{ field, cached string }{{``, `"cached_tokens":0`}, {`,"cache_prompt":true`, `"cached_tokens":[1-9]`}, {`,"cache_prompt":false`, `"cached_tokens":0`}} {
			body := `{"messages":[{"role":"user","content":"abc"}]` + c.field + `}`
			if path == "/v1/completions" {
				body = `{"prompt":"zyxwvut"` + c.field + `}`
			}
			if r := w.post(path, body); !regexp.MustCompile(c.cached).MatchString(r.body) {
				t.Errorf("%s %s: %d %s, want %s", path, c.field, r.status, r.body, c.cached)
			}
		}
	}
}
