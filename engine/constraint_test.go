package engine

import (
	"math"
	"math/rand/v2"
	"testing"

	"ortserve/grammar"
	"ortserve/sample"
)

// bytesVocabulary has a token for each of the first n bytes.
func bytesVocabulary(n int, stop ...int32) *grammar.Vocabulary {
	tokens := make([][]byte, n)
	for id := range tokens {
		tokens[id] = []byte{byte(id)}
	}
	return grammar.NewVocabulary(tokens, stop)
}

// TestConstrainedLaw compares what a constrained sequence draws with the exact law, that of the logits with the refused ones left out,
// by a chi-square test at one in ten thousand. Seeds are fixed, so it always gives the same answer.
func TestConstrainedLaw(t *testing.T) {
	const vocab, n = 24, 20000
	rng := rand.New(rand.NewPCG(1, 2))
	logits := make([]float32, vocab)
	for i := range logits {
		logits[i] = float32(rng.NormFloat64() * 2)
	}
	allowed := []int{2, 3, 5, 8, 13, 14, 21}
	texts := make([]string, len(allowed))
	for i, id := range allowed {
		texts[i] = string(rune(id))
	}
	g, err := grammar.Choice(texts)
	if err != nil {
		t.Fatal(err)
	}
	v := bytesVocabulary(vocab)

	// law is the distribution by definition: temperature, the likeliest k, the fewest that reach p, those of min_p times the likeliest.
	law := func(p sample.Params) []float64 {
		weight := make([]float64, vocab)
		left := append([]int(nil), allowed...)
		var kept []int
		for len(left) > 0 { // by falling logits
			best := 0
			for i, id := range left {
				if logits[id] > logits[left[best]] {
					best = i
				}
			}
			kept = append(kept, left[best])
			left = append(left[:best], left[best+1:]...)
		}
		if p.Temperature == 0 {
			weight[kept[0]] = 1
			return weight
		}
		w := func(id int) float64 { return math.Exp(float64(logits[id]-logits[kept[0]]) / p.Temperature) }
		if p.TopK > 0 {
			kept = kept[:min(p.TopK, len(kept))]
		}
		if p.TopP > 0 {
			var total, sum float64
			for _, id := range kept {
				total += w(id)
			}
			for i, id := range kept {
				if sum += w(id); sum >= p.TopP*total {
					kept = kept[:i+1]
					break
				}
			}
		}
		var sum float64
		for _, id := range kept {
			if w(id) >= p.MinP {
				weight[id] = w(id)
				sum += weight[id]
			}
		}
		for i := range weight {
			weight[i] /= sum
		}
		return weight
	}
	chiSquare := func(p sample.Params, want []float64) (chi float64, cells int) {
		counts := make([]int, vocab)
		row := make([]float32, vocab)
		for i := range n {
			p.Seed = uint64(i)
			s := Sequence{sampler: sample.NewSampler(p, nil), constraint: g.Matcher(v)}
			copy(row, logits)
			id, err := s.draw(row)
			if err != nil {
				t.Fatal(err)
			}
			counts[id]++
		}
		for id, w := range want {
			if w == 0 && counts[id] > 0 {
				t.Errorf("%+v: token %d was drawn %d times, its probability is 0", p, id, counts[id])
			}
			if w*n >= 5 {
				d := float64(counts[id]) - w*n
				chi += d * d / (w * n)
				cells++
			}
		}
		return chi, cells
	}
	// limit is what chi-square of k degrees of freedom exceeds once in ten thousand (Wilson and Hilferty's approximation).
	limit := func(k int) float64 {
		if k == 0 {
			return 1e-9
		}
		const z = 3.719
		d := 2 / (9 * float64(k))
		return float64(k) * math.Pow(1-d+z*math.Sqrt(d), 3)
	}
	for _, p := range []sample.Params{
		{},
		{Temperature: 1},
		{Temperature: 2},
		{Temperature: 0.5, TopP: 1},
		{Temperature: 1, TopK: 3},
		{Temperature: 1, TopP: 0.7},
		{Temperature: 1, MinP: 0.2},
		{Temperature: 1, TopK: 5, TopP: 0.9, MinP: 0.05},
	} {
		if chi, cells := chiSquare(p, law(p)); chi > limit(cells-1) {
			t.Errorf("%+v: chi-square of %d cells is %.1f, want at most %.1f", p, cells, chi, limit(cells-1))
		}
	}
	// The test can fail: the law of another temperature is not taken for the right one.
	if chi, cells := chiSquare(sample.Params{Temperature: 1}, law(sample.Params{Temperature: 1.1})); chi <= limit(cells-1) {
		t.Errorf("chi-square against a wrong law is %.1f, want more than %.1f", chi, limit(cells-1))
	}
}
