package ids

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// topLogprobs is how many of the most probable tokens are asked for: as many as may be.
const topLogprobs = 20

// place is what the reference says of one token, see logprobs.py.
type place struct {
	Own  float64
	Rank int
	IDs  []int
	Top  []float64
}

// tokenLogprob is a token of an answer by OpenAI or Ollama, with the most probable ones in its place.
type tokenLogprob struct {
	Logprob     float64
	TopLogprobs []struct{ Logprob float64 } `json:"top_logprobs"`
}

// byID is a token of a prompt, in vLLM's form.
type byID map[string]struct {
	Logprob float64
	Rank    int
}

// TestLogprobs compares the log-probabilities of answers, streamed or not, of prompts and of scores with a log-softmax in float64 of the logits that
// a loop in Python gets from the same graph.
func TestLogprobs(t *testing.T) {
	s, model := startDefault(t)
	some := prompts[11:14] // of several scripts
	texts := make([]map[string][]int, len(some))
	for i, p := range some {
		e := ask(t, s.URL, model.Name, p)
		if e.prompt == nil {
			t.FailNow()
		}
		e.answer = e.answer[:min(len(e.answer), 24)]
		if e.answer[len(e.answer)-1] == stopped {
			e.answer = e.answer[:len(e.answer)-1]
		}
		texts[i] = map[string][]int{"prompt": e.prompt, "answer": e.answer}
	}
	var want []struct{ Decode, Prefill []place }
	python(t, "logprobs.py", model.Graph, map[string]any{"top": topLogprobs, "texts": texts}, &want)

	compared, worst := 0, 0.0
	near := func(at string, got, want float64) {
		t.Helper()
		compared++
		worst = max(worst, math.Abs(got-want))
		if !(math.Abs(got-want) <= 1e-5) {
			t.Errorf("%s: %v, the reference says %v", at, got, want)
		}
	}
	rows := func(at string, got []tokenLogprob, want []place) {
		t.Helper()
		if len(got) != len(want) {
			t.Fatalf("%s: %d tokens, want %d", at, len(got), len(want))
		}
		for i, w := range want {
			near(at, got[i].Logprob, w.Own)
			if len(got[i].TopLogprobs) != topLogprobs {
				t.Fatalf("%s: %d top_logprobs, want %d", at, len(got[i].TopLogprobs), topLogprobs)
			}
			for k, l := range got[i].TopLogprobs {
				near(at, l.Logprob, w.Top[k])
			}
		}
	}
	byIDs := func(at string, got []byID, want []place) {
		t.Helper()
		if len(got) != len(want)+1 || got[0] != nil {
			t.Fatalf("%s: %d places, want null and %d", at, len(got), len(want))
		}
		for i, w := range want {
			for k, id := range w.IDs {
				l, ok := got[i+1][strconv.Itoa(id)]
				near(at, l.Logprob, w.Top[k])
				if !ok || l.Rank != k+1 {
					t.Errorf("%s, place %d: token %d has rank %d, want %d", at, i+1, id, l.Rank, k+1)
				}
			}
		}
	}

	for i, p := range some {
		prompt, answer := texts[i]["prompt"], texts[i]["answer"]
		chat := map[string]any{
			"messages": []map[string]string{{"role": "user", "content": p}}, "temperature": 0, "max_tokens": len(answer),
			"logprobs": true, "top_logprobs": topLogprobs,
		}
		type choices struct {
			Choices []struct {
				Logprobs       struct{ Content []tokenLogprob }
				PromptLogprobs []byID `json:"prompt_logprobs"`
			}
		}
		for _, stream := range []bool{false, true} {
			chat["stream"] = stream
			var got []tokenLogprob
			for _, c := range bodies[choices](t, s.URL+"/v1/chat/completions", chat) {
				for _, choice := range c.Choices {
					got = append(got, choice.Logprobs.Content...)
				}
			}
			rows("/v1/chat/completions, stream "+strconv.FormatBool(stream), got, want[i].Decode)
		}
		var got []tokenLogprob
		for _, l := range bodies[struct{ Logprobs []tokenLogprob }](t, s.URL+"/api/chat", map[string]any{
			"model": model.Name, "messages": chat["messages"], "logprobs": true, "top_logprobs": topLogprobs,
			"options": map[string]any{"temperature": 0, "repeat_penalty": 1, "num_predict": len(answer)},
		}) {
			got = append(got, l.Logprobs...)
		}
		rows("/api/chat", got, want[i].Decode)

		c := bodies[choices](t, s.URL+"/v1/completions", map[string]any{
			"prompt": append(prompt[:len(prompt):len(prompt)], answer...), "max_tokens": 1, "prompt_logprobs": topLogprobs,
		})[0]
		byIDs("/v1/completions", c.Choices[0].PromptLogprobs, want[i].Prefill)

		scored := bodies[struct {
			Data []struct {
				Logprob float64
				Tokens  []tokenLogprob
			}
		}](t, s.URL+"/v1/score", map[string]any{"prompt": prompt, "continuations": [][]int{answer}, "top_logprobs": topLogprobs})[0]
		places := want[i].Prefill[len(prompt)-1:]
		rows("/v1/score", scored.Data[0].Tokens, places)
		sum := 0.0
		for _, w := range places {
			sum += w.Own
		}
		if math.Abs(scored.Data[0].Logprob-sum) > 1e-5*float64(len(places)) {
			t.Errorf("/v1/score: the sum is %v, the reference says %v", scored.Data[0].Logprob, sum)
		}
	}
	t.Logf("%d log-probabilities are within 1e-5; the largest difference is %.1e", compared, worst)
}

// bodies sends a request and returns the objects of the answer: one, or those of a stream's lines.
func bodies[T any](t *testing.T, url string, request any) (all []T) {
	t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %v %s", url, resp.StatusCode, err, b)
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimPrefix(line, "data: ")
		if !strings.HasPrefix(line, "{") {
			continue
		}
		var one T
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		all = append(all, one)
	}
	return all
}
