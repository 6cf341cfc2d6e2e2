package sample

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// reference computes the distribution of the next token the slow way: float64, full sorts, no floor.
func reference(logits []float32, p Params, prompt, generated []int32) []float64 {
	l := make([]float64, len(logits))
	for i, v := range logits {
		l[i] = float64(v)
	}
	all := slices.Concat(prompt, generated)
	fresh := len(prompt) // index in all of the first token that presence and frequency count
	if p.PenalizePrompt {
		fresh = 0
	}
	first := 0
	if p.RepeatLastN >= 0 {
		first = max(0, len(all)-p.RepeatLastN)
	}
	for id := range l {
		n, counted := 0, 0
		for i := first; i < len(all); i++ {
			if all[i] == int32(id) {
				n++
				if i >= fresh {
					counted++
				}
			}
		}
		if n > 0 && p.RepeatPenalty > 0 {
			if l[id] > 0 {
				l[id] /= p.RepeatPenalty
			} else {
				l[id] *= p.RepeatPenalty
			}
		}
		if counted > 0 {
			l[id] -= p.PresencePenalty + float64(counted)*p.FrequencyPenalty
		}
	}
	rank := make([]int, len(l))
	for i := range rank {
		rank[i] = i
	}
	slices.SortStableFunc(rank, func(a, b int) int {
		switch {
		case l[a] > l[b]:
			return -1
		case l[a] < l[b]:
			return 1
		}
		return 0
	})
	prob := make([]float64, len(l))
	if p.Temperature == 0 {
		prob[rank[0]] = 1
		return prob
	}
	kept := rank
	if p.TopK > 0 {
		kept = kept[:min(p.TopK, len(kept))]
	}
	weight := func(id int) float64 { return math.Exp((l[id] - l[rank[0]]) / p.Temperature) }
	if p.TopP > 0 && p.TopP < 1 {
		var total, sum float64
		for _, id := range kept {
			total += weight(id)
		}
		for i, id := range kept {
			if sum += weight(id); sum >= p.TopP*total {
				kept = kept[:i+1]
				break
			}
		}
	}
	var sum float64
	for _, id := range kept {
		if weight(id) >= p.MinP {
			prob[id] = weight(id)
			sum += prob[id]
		}
	}
	for i := range prob {
		prob[i] /= sum
	}
	return prob
}

// draws counts n tokens drawn independently: each by a sampler of its own seed.
func draws(t *testing.T, logits []float32, p Params, prompt, generated []int32, n int) []int {
	t.Helper()
	count := make([]int, len(logits))
	row := make([]float32, len(logits))
	for i := range n {
		p.Seed = uint64(i)
		s := NewSampler(p, prompt)
		if s.penalties != nil {
			for _, id := range generated {
				s.penalties.add(id, true)
			}
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
	f("greedy with penalty", Params{RepeatPenalty: 5, PresencePenalty: 3, RepeatLastN: -1})
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

func TestTieTakesLowestID(t *testing.T) {
	s := NewSampler(Params{}, nil)
	if id, err := s.Sample([]float32{1, 5, 5, 2, 5}); err != nil || id != 1 {
		t.Errorf("got %d, %v, want 1", id, err)
	}
}

func TestUnusableLogits(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	f := func(logits ...float32) {
		t.Helper()
		for _, p := range []Params{{}, {Temperature: 1}} {
			if id, err := NewSampler(p, nil).Sample(slices.Clone(logits)); err == nil {
				t.Errorf("of %v token %d was drawn, want an error", logits, id)
			}
		}
	}
	f(1, nan, 2)
	f(nan)
	f(-inf, -inf)
	f(1, inf)
}

// TestSeedIsTheOnlyState draws sequences twice and shows that the stream depends on the seed and the index alone.
func TestSeedIsTheOnlyState(t *testing.T) {
	row := make([]float32, 1000)
	sequence := func(seed uint64) []int32 {
		s := NewSampler(Params{Temperature: 1, Seed: seed}, nil)
		var ids []int32
		for range 50 {
			id, err := s.Sample(row)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		return ids
	}
	if a, b := sequence(42), sequence(42); !slices.Equal(a, b) {
		t.Errorf("seed 42 gave %v and then %v", a, b)
	}
	if a, b := sequence(42), sequence(43); slices.Equal(a, b) {
		t.Errorf("seeds 42 and 43 both gave %v", a)
	}
}

func TestValidate(t *testing.T) {
	f := func(p Params, want string) {
		t.Helper()
		err := p.Validate()
		if want == "" {
			if err != nil {
				t.Errorf("%+v: %v", p, err)
			}
			return
		}
		if e, ok := err.(*ParamError); !ok || e.Param != want { //nolint:errorlint // Validate promises this type
			t.Errorf("%+v: got %v, want an error of %s", p, err, want)
		}
	}
	f(Params{}, "")
	f(Params{Temperature: 2, TopK: 40, TopP: 1, MinP: 0.05, RepeatPenalty: 1.1, PresencePenalty: -2}, "")
	f(Params{Temperature: -1}, "temperature")
	f(Params{Temperature: math.NaN()}, "temperature")
	f(Params{TopK: -1}, "top_k")
	f(Params{TopP: 1.1}, "top_p")
	f(Params{MinP: -0.1}, "min_p")
	f(Params{RepeatPenalty: math.Inf(1)}, "repeat_penalty")
	f(Params{PresencePenalty: math.Inf(-1)}, "presence_penalty")
	f(Params{FrequencyPenalty: 1e3}, "frequency_penalty")
}

// BenchmarkSample draws from Llama-3's 128,256 logits.
func BenchmarkSample(b *testing.B) {
	rng := rand.New(rand.NewPCG(3, 4))
	logits := make([]float32, 128256)
	for i := range logits {
		logits[i] = float32(rng.NormFloat64() * 3)
	}
	f := func(name string, p Params) {
		b.Run(name, func(b *testing.B) {
			s := NewSampler(p, nil)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Sample(logits); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	f("greedy", Params{})
	f("temperature", Params{Temperature: 1})
	f("top_k40,top_p0.9", Params{Temperature: 0.8, TopK: 40, TopP: 0.9})
	f("top_p0.9", Params{Temperature: 1, TopP: 0.9})
}
