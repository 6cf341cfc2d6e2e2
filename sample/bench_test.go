package sample

import (
	"math/rand/v2"
	"testing"
)

// BenchmarkSample draws from Llama-3's 128,256 logits: flat ones, where thousands of tokens are likely, and peaked ones, as a language
// model's are.
func BenchmarkSample(b *testing.B) {
	flat := bigLogits(0)
	peaked := bigLogits(12)
	f := func(name string, logits []float32, p Params) {
		b.Run(name, func(b *testing.B) {
			s := NewSampler(p, nil)
			b.ReportAllocs()
			for b.Loop() {
				id, err := s.Sample(logits)
				if err != nil {
					b.Fatal(err)
				}
				s.Accept(id)
			}
		})
	}
	for _, l := range []struct {
		name   string
		logits []float32
	}{{"flat/", flat}, {"peaked/", peaked}} {
		f(l.name+"greedy", l.logits, Params{})
		f(l.name+"temperature", l.logits, Params{Temperature: 1})
		f(l.name+"top_k40,top_p0.9", l.logits, Params{Temperature: 0.8, TopK: 40, TopP: 0.9})
		f(l.name+"top_p0.9", l.logits, Params{Temperature: 1, TopP: 0.9})
		f(l.name+"top_p0.5", l.logits, Params{Temperature: 1, TopP: 0.5})
		f(l.name+"temperature0.6,top_p0.9", l.logits, Params{Temperature: 0.6, TopP: 0.9})
		f(l.name+"min_p0.05", l.logits, Params{Temperature: 1, MinP: 0.05})
	}
}

// bigLogits returns 128,256 logits of a standard deviation of 3, eight of which are up to lift above what the largest would be.
func bigLogits(lift float64) []float32 {
	rng := rand.New(rand.NewPCG(3, 4))
	logits := make([]float32, 128256)
	for i := range logits {
		logits[i] = float32(rng.NormFloat64() * 3)
	}
	for range 8 {
		if lift > 0 {
			logits[rng.IntN(len(logits))] = float32(10 + lift*rng.Float64())
		}
	}
	return logits
}
