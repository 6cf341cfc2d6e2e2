package test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ortserve/internal/testenv"
)

// said is a token of an answer with its log-probability, which shows the bits of the logits too.
type said struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
}

// TestStableIDs asks the default model for greedy and seeded answers with --deterministic, by OpenAI's and Ollama's chat, streamed and whole, one after
// the other, and after a restart all at once: the tokens and their log-probabilities are the same bits each time.
func TestStableIDs(t *testing.T) {
	const tokens = 12
	const shape = `"temperature":1.3,"top_k":0,"top_p":0.95,"min_p":0.01,"repeat_penalty":1.1,"repeat_last_n":64,`
	draws := []struct {
		name, options string
		form          bool
	}{
		{"greedy", `"temperature":0,"repeat_penalty":1`, false},
		{"seeded", shape + `"seed":42`, false},
		{"another seed", shape + `"seed":43`, false},
		{"seeded, of a form", shape + `"seed":42`, true},
	}
	const form = `{"type":"object","properties":{"title":{"type":"string"},"year":{"type":"integer"}},"required":["title","year"]}`
	prompts := []string{"Write the first line of a novel about the sea.", "Name a film."}
	if testing.Short() {
		prompts = prompts[:1]
	}

	type answered struct{ prompt, draw, way int }
	round := func(crowd bool) map[answered][]said {
		s := testenv.Start(t, binary, "--model", "smollm2="+testenv.DefaultModel(t), "--deterministic", "--max-len", "512")
		var (
			mu    sync.Mutex
			group sync.WaitGroup
			all   = map[answered][]said{}
		)
		for p, prompt := range prompts {
			for d, draw := range draws {
				openai, ollama := "", ""
				if draw.form {
					openai, ollama = `,"response_format":{"type":"json_schema","json_schema":{"name":"film","schema":`+form+`}}`, `,"format":`+form
				}
				for way := range 4 {
					ask := fmt.Sprintf(`{"model":"smollm2","messages":[{"role":"user","content":%q}],"logprobs":true,"stream":%t`, prompt, way%2 == 1)
					path, body := "/v1/chat/completions", fmt.Sprintf(`%s,"max_tokens":%d,%s%s}`, ask, tokens, draw.options, openai)
					if way >= 2 {
						path, body = "/api/chat", fmt.Sprintf(`%s,"options":{"num_predict":%d,%s}%s}`, ask, tokens, draw.options, ollama)
					}
					get := func() {
						a := post(t, s.URL+path, body)
						mu.Lock()
						defer mu.Unlock()
						all[answered{p, d, way}] = tokensSaid(t, a)
					}
					if crowd {
						group.Go(get)
					} else {
						get()
					}
				}
			}
		}
		group.Wait()
		s.Stop(t, syscall.SIGTERM)
		return all
	}

	before, after := round(false), round(true)
	for p, prompt := range prompts {
		for d, draw := range draws {
			want := before[answered{p, d, 0}]
			if len(want) < tokens/2 {
				t.Errorf("%s, %s: %d tokens, want some", prompt, draw.name, len(want))
			}
			for way := range 4 {
				for i, round := range []map[answered][]said{before, after} {
					if diff := cmp.Diff(want, round[answered{p, d, way}]); diff != "" {
						t.Errorf("%s, %s, way %d, start %d (-first +this):\n%s", prompt, draw.name, way, i, diff)
					}
				}
			}
		}
		if cmp.Equal(before[answered{p, 1, 0}], before[answered{p, 2, 0}]) {
			t.Errorf("%s: two seeds said the same", prompt)
		}
	}
}

// tokensSaid returns the tokens of a chat answer by either dialect, streamed or whole.
func tokensSaid(t *testing.T, a answer) (all []said) {
	var event struct {
		Error    json.RawMessage
		Logprobs []said
		Choices  []struct {
			Logprobs *struct{ Content []said }
		}
	}
	for line := range strings.Lines(a.body) {
		line = strings.TrimPrefix(line, "data: ")
		if !strings.HasPrefix(line, "{") {
			continue
		}
		clear := event
		clear.Logprobs, clear.Choices = nil, nil
		event = clear
		if err := json.Unmarshal([]byte(line), &event); err != nil || event.Error != nil {
			t.Errorf("%d, %v: %s", a.status, err, line)
			return nil
		}
		all = append(all, event.Logprobs...)
		for _, c := range event.Choices {
			if c.Logprobs != nil {
				all = append(all, c.Logprobs.Content...)
			}
		}
	}
	return all
}
