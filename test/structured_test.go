package test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"ortserve/grammar/grammartest"
	"ortserve/internal/testenv"
)

// TestStructuredOutput asks for answers by random schemas, of random weights and of the default model: each that ends is valid, and each
// ends within its limit of tokens. The schemas come in pieces of a hundred, so that one can be run alone
// (-run 'TestStructuredOutput/default_model/from_300').
func TestStructuredOutput(t *testing.T) {
	tiny, small := 1000, 1000
	if testing.Short() {
		tiny, small = 40, 12
	}
	f := func(name string, s *testenv.Server, n, limit int) {
		t.Run(name, func(t *testing.T) {
			const piece = 100
			for first := 0; first < n; first += piece {
				t.Run(fmt.Sprintf("from %d", first), func(t *testing.T) { structured(t, s.URL, first, min(piece, n-first), limit) })
			}
		})
	}
	f("random weights", startTiny(t), tiny, 1000)
	f("default model", testenv.Start(t, binary, "--model", testenv.DefaultModel(t)), small, 120)
}

// structured asks for the answers by n schemas from first on, of at most limit tokens, four at a time.
func structured(t *testing.T, url string, first, n, limit int) {
	var wait sync.WaitGroup
	var mu sync.Mutex
	stopped, refused, short := 0, 0, 0
	seeds := make(chan int)
	for range 4 {
		wait.Go(func() {
			for i := range seeds {
				schema := grammartest.Schema(rand.New(rand.NewPCG(11, uint64(i))))
				body := fmt.Sprintf(`{"messages":[{"role":"user","content":"Write an example."}],"max_tokens":%d,"seed":%d,"temperature":%g,`+
					`"response_format":{"type":"json_schema","json_schema":{"name":"example","schema":%s}}}`, limit, i, []float64{0, 0.8, 1.5}[i%3], schema)
				a := post(t, url+"/v1/chat/completions", body)
				mu.Lock()
				switch {
				case a.status == http.StatusOK:
					stopped++
				case a.status == http.StatusBadRequest && strings.Contains(a.body, "the shortest answer"):
					short++
				case a.status == http.StatusBadRequest && strings.Contains(a.body, `"param":"response_format.json_schema.schema#/`):
					refused++
				default:
					t.Errorf("%s: %d %s", schema, a.status, a.body)
				}
				mu.Unlock()
				if a.status != http.StatusOK {
					continue
				}
				var c chatCompletion
				if err := json.Unmarshal([]byte(a.body), &c); err != nil {
					t.Errorf("%s: %v", a.body, err)
					continue
				}
				if got := *c.Choices[0].FinishReason; got != "stop" || c.Usage.CompletionTokens > limit {
					t.Errorf("%s: finish reason %s after %d tokens, the limit is %d", schema, got, c.Usage.CompletionTokens, limit)
				}
				judge, err := grammartest.NewJudge(schema)
				if err != nil {
					t.Errorf("%s: %v", schema, err)
					continue
				}
				if err := judge.Check([]byte(c.Choices[0].Message.Content)); err != nil {
					t.Errorf("%s: %v", schema, err)
				}
			}
		})
	}
	for i := range n {
		seeds <- first + i
	}
	close(seeds)
	wait.Wait()
	t.Logf("%d answers, all valid; %d schemas refused; of %d the shortest answer does not fit", stopped, refused, short)
	if stopped < n*8/10 {
		t.Errorf("%d of %d schemas were answered, want eight of ten", stopped, n)
	}
}
