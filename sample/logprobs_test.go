package sample

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestLogprobs compares with a log-softmax in float64.
func TestLogprobs(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for _, n := range []int{1, 2, 21, 300, 49152, 128256} {
		for _, spread := range []float64{0, 0.1, 3, 20} {
			logits := make([]float32, n)
			for i := range logits {
				logits[i] = float32(rng.NormFloat64()*spread) + 7
			}
			if n > 20 {
				logits[4], logits[11] = logits[2], logits[2]
				logits[7] = float32(math.Inf(-1))
			}
			largest := float64(slices.Max(logits))
			var sum float64
			for _, l := range logits {
				sum += math.Exp(float64(l) - largest)
			}
			order := make([]int32, n)
			for i := range order {
				order[i] = int32(i)
			}
			slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(logits[b], logits[a]) })
			want := func(id int32) float64 { return float64(logits[id]) - largest - math.Log(sum) }
			for _, place := range []int{0, n / 2, n - 1} {
				id := order[place]
				got, err := LogprobsOf(logits, id, 20)
				if err != nil {
					t.Fatal(err)
				}
				close := func(a, b float64) bool { return a == b || math.Abs(a-b) <= 1e-5 }
				if got.ID != id || got.Rank != place+1 || !close(got.Logprob.Logprob, want(id)) {
					t.Errorf("%d logits, spread %g: %+v, want %d at %d: %v", n, spread, got.Logprob, id, place+1, want(id))
				}
				if len(got.Top) != min(n, 20) {
					t.Fatalf("%d of %d logits are returned", len(got.Top), n)
				}
				for i, l := range got.Top {
					if l.ID != order[i] || !close(l.Logprob, want(l.ID)) {
						t.Errorf("%d logits, spread %g: place %d is %+v, want %d: %v", n, spread, i, l, order[i], want(order[i]))
					}
				}
			}
		}
	}
	if _, err := LogprobsOf([]float32{1, float32(math.NaN())}, 0, 1); err == nil {
		t.Error("no error for a logit that is not a number")
	}
}
