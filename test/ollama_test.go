package test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type generated struct {
	Model           string    `json:"model"`
	CreatedAt       time.Time `json:"created_at"`
	Response        string    `json:"response"`
	Done            bool      `json:"done"`
	DoneReason      string    `json:"done_reason"`
	Context         []int     `json:"context"`
	TotalDuration   int64     `json:"total_duration"`
	PromptEvalCount int       `json:"prompt_eval_count"`
	EvalCount       int       `json:"eval_count"`
	EvalDuration    int64     `json:"eval_duration"`
}

// generateStream reads lines of JSON: each complete and ended, none blank, the last one alone done.
func generateStream(t *testing.T, a answer) (text string, last generated) {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	if got := a.header.Get("Content-Type"); got != "application/x-ndjson" {
		t.Errorf("Content-Type is %q", got)
	}
	if !strings.HasSuffix(a.body, "\n") {
		t.Errorf("the last line is not ended: %q", a.body)
	}
	for line := range strings.Lines(a.body) {
		if last.Done {
			t.Errorf("a line after the last: %q", line)
		}
		last = generated{}
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Fatalf("%v in line %q", err, line)
		}
		if last.Model == "" || last.CreatedAt.IsZero() {
			t.Errorf("line without model or time: %q", line)
		}
		text += last.Response
	}
	if !last.Done {
		t.Fatalf("the last line is not done: %q", a.body)
	}
	return text, last
}

func TestGenerate(t *testing.T) {
	s := startTiny(t)
	url := s.URL + "/api/generate"
	const body = `{"model":"tiny","prompt":"Say it.","options":{"num_predict":20,"temperature":0}`

	whole := decode[generated](t, post(t, url, body+`,"stream":false}`))
	if !whole.Done || whole.DoneReason != "length" || whole.EvalCount != 20 || whole.PromptEvalCount == 0 || whole.Response == "" ||
		whole.TotalDuration <= 0 || whole.EvalDuration <= 0 {
		t.Errorf("incomplete: %+v", whole)
	}
	if n := whole.PromptEvalCount + whole.EvalCount; len(whole.Context) != n {
		t.Errorf("context has %d ids, want prompt and answer, %d", len(whole.Context), n)
	}

	// Streaming is the default.
	text, last := generateStream(t, post(t, url, body+"}"))
	if text != whole.Response {
		t.Errorf("streamed %q, not streamed %q", text, whole.Response)
	}
	if diff := cmp.Diff(whole.Context, last.Context); diff != "" {
		t.Errorf("context (-not streamed +streamed):\n%s", diff)
	}
	if last.EvalCount != 20 || last.DoneReason != "length" || last.PromptEvalCount != whole.PromptEvalCount {
		t.Errorf("last line is %+v", last)
	}

	// Both dialects say the same to the same.
	chat := decode[chatCompletion](t, post(t, s.URL+"/v1/chat/completions",
		`{"messages":[{"role":"user","content":"Say it."}],"max_tokens":20,"temperature":0}`))
	if got := chat.Choices[0].Message.Content; got != whole.Response {
		t.Errorf("/v1/chat/completions says %q, /api/generate %q", got, whole.Response)
	}

	// A raw prompt goes by no template and has no context to come back with.
	raw := decode[generated](t, post(t, url, body+`,"raw":true,"stream":false}`))
	if raw.PromptEvalCount >= whole.PromptEvalCount || raw.Context != nil {
		t.Errorf("raw: %d prompt tokens and context %v, with the template %d", raw.PromptEvalCount, raw.Context, whole.PromptEvalCount)
	}

	// An empty prompt asks to load the model.
	loaded := decode[generated](t, post(t, url, `{"model":"tiny"}`))
	if !loaded.Done || loaded.DoneReason != "load" || loaded.Response != "" {
		t.Errorf("empty prompt: %+v", loaded)
	}
}
