package routes

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ortserve/engine"
)

// TestPriority: of a key's requests that wait the one of the lowest priority comes first, and of equals the oldest.
func TestPriority(t *testing.T) {
	var release chan<- struct{}
	var order []byte // the first letters of the prompts, as the model gets them
	entered := make(chan struct{}, 1)
	w := newWorld(t, "Hi", func(w *world, o *Options) {
		o.Queue = 4
		release = gate(t, w)
		wait := w.model.before
		w.model.before = func(b *engine.Batch) error {
			if r := b.Rows[0]; r.Past == 0 {
				order = append(order, byte(r.Tokens[0]))
			}
			select {
			case entered <- struct{}{}:
			default:
			}
			return wait(b)
		}
	})
	var answers []*bufio.Reader
	ask := func(body string) {
		t.Helper()
		waiting := len(answers)
		conn := w.dial()
		send(t, conn, "/v1/completions", body)
		answers = append(answers, bufio.NewReader(conn))
		if waiting == 0 {
			<-entered
			return
		}
		eventually(t, "it waits", func() bool { return w.engine().Snapshot().Waiting >= waiting })
	}
	ask(`{"prompt":"a#","max_tokens":1}`)
	ask(`{"prompt":"b#","max_tokens":1,"priority":5}`)
	ask(`{"prompt":"c#","max_tokens":1,"priority":-1}`)
	ask(`{"prompt":"d#","max_tokens":1}`)
	ask(`{"prompt":"e#","max_tokens":1,"priority":-1}`)
	close(release)
	for _, in := range answers {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("%d", res.StatusCode)
		}
	}
	eventually(t, "all have ended", w.idle)
	if diff := cmp.Diff("acedb", string(order)); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// TestRequestIDOfTheBody: vLLM's request_id is the answer's id, whole and streamed.
func TestRequestIDOfTheBody(t *testing.T) {
	w := newWorld(t, "Hi")
	f := func(path, body string, status int, want string) {
		t.Helper()
		if r := w.post(path, body); r.status != status || !strings.Contains(r.body, want) {
			t.Errorf("%s %s: %d %s, want %d %s", path, body, r.status, r.body, status, want)
		}
	}
	for _, stream := range []string{"false", "true"} {
		f("/v1/completions", `{"prompt":"##","request_id":"mine-7","stream":`+stream+`}`, 200, `"id":"cmpl-mine-7"`)
		f("/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}],"request_id":"mine-7","stream":`+stream+`}`, 200, `"id":"chatcmpl-mine-7"`)
	}
	f("/v1/completions", `{"prompt":"##","request_id":""}`, 200, `"id":"cmpl-`+fixedID+`"`)
	f("/v1/completions", `{"prompt":"##","request_id":"a b"}`, 400, `request_id is \"a b\", must be at most 128 letters, digits, and of -_.`)
	f("/v1/completions", `{"prompt":"##","request_id":7}`, 400, `request_id must be a string, not a number`)
}
