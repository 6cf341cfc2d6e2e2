package sample

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestSumExp compares the fast sum with float64.
func TestSumExp(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, n := range []int{1, 3, 4, 7, 255, 256, 257, 1000, 128256} {
		for _, scale := range []float64{0.3, 1, 1.7, 50} {
			logits := make([]float32, n)
			for i := range logits {
				logits[i] = float32(rng.NormFloat64() * 3)
			}
			logits[n/2] = float32(math.Inf(-1))
			logits[n/3] = 20
			var want, above float64
			for _, l := range logits {
				want += math.Exp(float64(l-20) * scale)
				if l > 1 {
					above += math.Exp(float64(l-20) * scale)
				}
			}
			if got := sumExp(logits, 20, float32(math.Inf(-1)), scale); math.Abs(got-want) > 1e-5*want {
				t.Errorf("%d logits, scale %g: %v, want %v", n, scale, got, want)
			}
			if got := sumExp(logits, 20, 1, scale); math.Abs(got-above) > 1e-5*above {
				t.Errorf("%d logits, scale %g, above 1: %v, want %v", n, scale, got, above)
			}
		}
	}
}
