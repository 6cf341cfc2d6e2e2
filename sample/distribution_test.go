package sample

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// draws counts n tokens drawn independently: each by a sampler of its own seed.
func draws(t *testing.T, logits []float32, p Params, prompt, generated []int32, n int) []int {
	t.Helper()
	count := make([]int, len(logits))
	row := make([]float32, len(logits))
	for i := range n {
		p.Seed = uint64(i)
		s := NewSampler(p, prompt)
		for _, id := range generated {
			s.Accept(id)
		}
		copy(row, logits)
		id, err := s.Sample(row)
		if err != nil {
			t.Fatal(err)
		}
		count[id]++
	}
	return count
}

// TestDistribution compares what is drawn with the exact distribution by a chi-square test at one in ten thousand. Seeds are fixed, so it
// always gives the same answer.
func TestDistribution(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	logits := make([]float32, 40)
	for i := range logits {
		logits[i] = float32(rng.NormFloat64() * 2)
	}
	logits[7], logits[8] = logits[3], logits[3] // ties
	prompt, generated := []int32{1, 2, 3, 3, 4}, []int32{5, 3, 9, 9}

	f := func(name string, p Params) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			const n = 20000
			want := reference(logits, p, prompt, generated)
			got := draws(t, logits, p, prompt, generated, n)
			var chi, rest float64
			cells, restCount := 0, 0
			for id, w := range want {
				if w == 0 && got[id] > 0 {
					t.Errorf("token %d was drawn %d times, its probability is 0", id, got[id])
				}
				if w*n < 5 { // too rare for a cell of its own
					rest += w * n
					restCount += got[id]
					continue
				}
				d := float64(got[id]) - w*n
				chi += d * d / (w * n)
				cells++
			}
			if rest >= 5 {
				chi += (float64(restCount) - rest) * (float64(restCount) - rest) / rest
				cells++
			}
			if limit := chiSquareLimit(cells - 1); chi > limit {
				t.Errorf("chi-square of %d cells is %.1f, want at most %.1f", cells, chi, limit)
			}
		})
	}
	f("greedy", Params{})
	f("plain", Params{Temperature: 1})
	f("hot", Params{Temperature: 3})
	f("cold", Params{Temperature: 0.3})
	f("top_k", Params{Temperature: 1, TopK: 5})
	f("top_k 1", Params{Temperature: 1, TopK: 1})
	f("top_p", Params{Temperature: 1, TopP: 0.7})
	f("min_p", Params{Temperature: 1, MinP: 0.1})
	f("all", Params{Temperature: 0.8, TopK: 20, TopP: 0.9, MinP: 0.02})
	f("repeat", Params{Temperature: 1, RepeatPenalty: 1.5, RepeatLastN: -1})
	f("repeat last 3", Params{Temperature: 1, RepeatPenalty: 1.5, RepeatLastN: 3})
	f("presence and frequency", Params{Temperature: 1, PresencePenalty: 1, FrequencyPenalty: 0.5, RepeatLastN: -1})
	f("presence, prompt too", Params{Temperature: 1, PresencePenalty: 1, FrequencyPenalty: 0.5, RepeatLastN: -1, PenalizePrompt: true})
	f("window over both", Params{Temperature: 1, PresencePenalty: 2, RepeatPenalty: 1.2, RepeatLastN: 6, PenalizePrompt: true})
	f("top_n_sigma", Params{Temperature: 1, TopNSigma: 1.2})
	f("top_n_sigma, hot", Params{Temperature: 3, TopNSigma: 1.2, TopK: 6})
	f("typical_p", Params{Temperature: 1, TypicalP: 0.5})
	f("typical_p of a few", Params{Temperature: 1.5, TopK: 12, TypicalP: 0.7, TopP: 0.9})
	f("XTC", Params{Temperature: 1, XTCProbability: 0.5, XTCThreshold: 0.1})
	f("XTC always", Params{Temperature: 1, XTCProbability: 1, XTCThreshold: 0.05, MinP: 0.02})
	f("XTC of none", Params{Temperature: 1, XTCProbability: 1, XTCThreshold: 0.5})
	f("temperature last", Params{Temperature: 2, TemperatureLast: true, TopK: 20, TopP: 0.9, MinP: 0.1})
	f("temperature last, whole", Params{Temperature: 0.5, TemperatureLast: true, TopP: 0.9})
	f("temperature last, XTC", Params{Temperature: 2, TemperatureLast: true, XTCProbability: 0.7, XTCThreshold: 0.1, TypicalP: 0.9})
	f("logit_bias", Params{Temperature: 1, LogitBias: map[int32]float32{3: -100, 20: 3, 21: float32(math.Inf(-1))}})
	f("min_tokens", Params{Temperature: 1, EndTokens: []int32{3, 7}, MinTokens: 5})
	f("min_tokens that are there", Params{Temperature: 1, EndTokens: []int32{3, 7}, MinTokens: 4})
	f("never an end", Params{Temperature: 1, NeverEnd: []int32{3, 7}})
	f("greedy, never an end", Params{NeverEnd: []int32{3, 7}})
	dry := DRY{Multiplier: 0.8, Base: 1.75, AllowedLength: 1, LastN: -1}
	f("DRY", Params{Temperature: 1, DRY: dry})
	f("DRY behind the penalties", Params{Temperature: 1, DRY: dry, RepeatPenalty: 1.5, RepeatLastN: -1})
	f("DRY before the penalties", Params{Temperature: 1, DRY: dry, DRYFirst: true, RepeatPenalty: 1.5, RepeatLastN: -1})
	f("DRY and all else", Params{
		Temperature: 0.9, DRY: dry, LogitBias: map[int32]float32{9: 2}, RepeatPenalty: 1.1, RepeatLastN: -1, TopNSigma: 3, TopK: 30, TypicalP: 0.95,
		TopP: 0.95, MinP: 0.01, XTCProbability: 0.3, XTCThreshold: 0.2,
	})
	f("greedy with penalty", Params{RepeatPenalty: 5, PresencePenalty: 3, RepeatLastN: -1})
}

// TestWholeDistribution compares what is drawn from large vocabularies with the exact distribution: flat and peaked ones, where the head that
// weights are computed of holds little, nearly all, or nothing of the whole.
func TestWholeDistribution(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	flat := make([]float32, 10000)
	for i := range flat {
		flat[i] = float32(rng.NormFloat64() * 2)
	}
	peaked := slices.Clone(flat)
	for i := range 12 {
		peaked[100*i+7] = float32(12 + 0.5*float64(i))
	}
	equal := make([]float32, 10000)
	steep := make([]float32, 10000) // one likely token, and more than half of the weight in the rest
	for i := range steep {
		steep[i] = -9.5
	}
	steep[77] = 0
	f := func(name string, logits []float32, p Params) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			const n, cells = 4000, 20
			want := reference(logits, p, nil, nil)
			got := make([]int, len(logits))
			s := NewSampler(p, nil) // one stream, and memory that is used again
			for range n {
				id, err := s.Sample(logits)
				if err != nil {
					t.Fatal(err)
				}
				s.Accept(id)
				got[id]++
			}
			// The likeliest tokens have cells of their own, the others share one by their place in the order.
			rank := make([]int, len(want))
			for i := range rank {
				rank[i] = i
			}
			slices.SortStableFunc(rank, func(a, b int) int { return cmp.Compare(want[b], want[a]) })
			var w, g [2 * cells]float64
			for i, id := range rank {
				if want[id] == 0 && got[id] > 0 {
					t.Fatalf("token %d was drawn, its probability is 0", id)
				}
				cell := min(i, cells+i*cells/len(rank))
				w[cell] += want[id] * n
				g[cell] += float64(got[id])
			}
			var chi float64
			used := 0
			for i := range w {
				if w[i] >= 5 {
					chi += (g[i] - w[i]) * (g[i] - w[i]) / w[i]
					used++
				}
			}
			if limit := chiSquareLimit(used - 1); chi > limit {
				t.Errorf("chi-square of %d cells is %.1f, want at most %.1f", used, chi, limit)
			}
		})
	}
	for _, l := range []struct {
		name   string
		logits []float32
	}{{"flat", flat}, {"peaked", peaked}, {"equal", equal}, {"steep", steep}} {
		f(l.name+" plain", l.logits, Params{Temperature: 1})
		f(l.name+" hot", l.logits, Params{Temperature: 2})
		f(l.name+" top_p", l.logits, Params{Temperature: 1, TopP: 0.9})
		f(l.name+" small top_p", l.logits, Params{Temperature: 1, TopP: 0.3})
		f(l.name+" min_p", l.logits, Params{Temperature: 1, MinP: 0.05})
		f(l.name+" top_p and min_p", l.logits, Params{Temperature: 1.3, TopP: 0.95, MinP: 0.01})
		f(l.name+" least top_p", l.logits, Params{Temperature: 1, TopP: 1e-9})
	}
}

// chiSquareLimit returns the value that chi-square of k degrees of freedom exceeds once in ten thousand (Wilson and Hilferty's
// approximation).
func chiSquareLimit(k int) float64 {
	if k <= 0 {
		return 1e-9
	}
	const z = 3.719 // of the normal distribution
	d := 2 / (9 * float64(k))
	return float64(k) * math.Pow(1-d+z*math.Sqrt(d), 3)
}

// TestTestCanFail shows that the chi-square test notices a small error.
func TestTestCanFail(t *testing.T) {
	const n = 20000
	logits := []float32{0, 0.1, 0.2, 0.3}
	wrong := reference([]float32{0, 0.1, 0.2, 0.4}, Params{Temperature: 1}, nil, nil)
	got := draws(t, logits, Params{Temperature: 1}, nil, nil, n)
	var chi float64
	for id, w := range wrong {
		d := float64(got[id]) - w*n
		chi += d * d / (w * n)
	}
	if chi <= chiSquareLimit(3) {
		t.Errorf("chi-square against a wrong distribution is %.1f, want more than %.1f", chi, chiSquareLimit(3))
	}
}
