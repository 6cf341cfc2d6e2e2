package ids

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"ortserve/internal/testenv"
	"ortserve/models/convert"
)

// step is what follows a prompt and the tokens before: the likeliest tokens, the first is taken, and their log-probabilities.
type step struct {
	IDs      []int
	Logprobs []float64
}

// TestTransformers imports the default model in float32 and compares the server's log-probabilities with transformers' in float32 on the
// weights as the gguf package dequantizes them (testdata/transformers.json, transformers_reference.py): the 20 likeliest within 1e-3, and
// the same greedy ids to the first near tie.
func TestTransformers(t *testing.T) {
	const (
		tolerance = 1e-3
		nearTie   = 2 * tolerance
		endOfTurn = 2 // <|im_end|>, where the server ends
	)
	b, err := os.ReadFile(filepath.Join("testdata", "transformers.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Answers []struct {
			Prompt []int
			Steps  []step
		}
	}
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	if testing.Short() {
		want.Answers = want.Answers[:4]
	}
	dir := filepath.Join(t.TempDir(), "float32")
	if _, err := convert.Import(t.Context(), testenv.DefaultGGUF(t), dir, convert.Options{Bits: 32, Name: "float32"}); err != nil {
		t.Fatal(err)
	}
	binary, err := testenv.Build(t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	s := testenv.Start(t, binary, "--model", dir, "--slots", "1", "--max-len", "512")
	worst, steps, compared := 0.0, 0, 0
	for i, a := range want.Answers {
		if len(a.Steps) < 20 {
			t.Fatalf("prompt %d has %d steps", i, len(a.Steps))
		}
		got := likeliest(t, s.URL, a.Prompt, len(a.Steps))
		for j, w := range a.Steps {
			if j == len(got) {
				if id := a.Steps[j].IDs[0]; id != endOfTurn {
					t.Errorf("prompt %d: it ends after %d tokens, the next is %d", i, j, id)
				}
				break
			}
			steps++
			mine := map[int]float64{}
			for k, id := range got[j].IDs {
				mine[id] = got[j].Logprobs[k]
			}
			last := got[j].Logprobs[len(got[j].Logprobs)-1]
			for k, id := range w.IDs {
				p, ok := mine[id]
				if !ok {
					p = last // it would be the next, if it is as likely
				}
				compared++
				d := math.Abs(p - w.Logprobs[k])
				worst = max(worst, d)
				if !(d < tolerance) {
					t.Errorf("prompt %d, step %d: token %d has log-probability %v, transformers' is %v", i, j, id, p, w.Logprobs[k])
				}
			}
			if got[j].IDs[0] == w.IDs[0] {
				continue
			}
			if w.Logprobs[0]-w.Logprobs[1] > nearTie {
				t.Errorf("prompt %d, step %d: the token is %d, transformers' %d", i, j, got[j].IDs[0], w.IDs[0])
			}
			break // after a near tie the texts differ
		}
	}
	t.Logf("%d steps, %d log-probabilities, the furthest apart by %.2g", steps, compared, worst)
	if steps < len(want.Answers)*5 {
		t.Errorf("only %d steps were compared", steps)
	}
}

// likeliest has the server go on from a prompt greedily and returns the 20 likeliest tokens of each step, the chosen one first.
func likeliest(t *testing.T, url string, prompt []int, n int) []step {
	t.Helper()
	type answer struct {
		Probs []struct {
			ID  int
			Top []struct {
				ID      int
				Logprob float64
			} `json:"top_logprobs"`
		} `json:"completion_probabilities"`
	}
	a := bodies[answer](t, url+"/completion", map[string]any{"prompt": prompt, "n_predict": n, "temperature": 0, "n_probs": 20})[0]
	var steps []step
	for _, p := range a.Probs {
		var s step
		for _, top := range p.Top {
			s.IDs, s.Logprobs = append(s.IDs, top.ID), append(s.Logprobs, top.Logprob)
		}
		if len(s.IDs) != 20 || s.IDs[0] != p.ID {
			t.Fatalf("%d log-probabilities, the first of token %v, chosen was %d", len(s.IDs), s.IDs, p.ID)
		}
		steps = append(steps, s)
	}
	return steps
}
