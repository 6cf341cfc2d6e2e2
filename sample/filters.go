package sample

import (
	"cmp"
	"math"
	"slices"
)

// weigh sets the weights of c at a temperature and returns their sum; largest is the largest logit.
func weigh(c []candidate, largest float32, temperature float64) (sum float64) {
	for i := range c {
		c[i].weight = math.Exp(float64(c[i].logit-largest) / temperature)
		sum += c[i].weight
	}
	return sum
}

// sigma returns the standard deviation of logits, those of minus infinity left out.
func sigma(logits []float32) float64 {
	none := float32(math.Inf(-1))
	var n, sum, squares float64
	for _, l := range logits {
		if l > none {
			n++
			sum += float64(l)
		}
	}
	mean := sum / n
	for _, l := range logits {
		if l > none {
			d := float64(l) - mean
			squares += d * d
		}
	}
	return math.Sqrt(squares / n)
}

// typical keeps the candidates whose information content is nearest to the entropy, the fewest that together weigh p of the sum (locally
// typical sampling, Meister et al. 2022), and returns them with their sum.
func typical(c []candidate, sum, p float64) ([]candidate, float64) {
	var entropy float64
	for _, t := range c {
		if t.weight > 0 {
			entropy -= t.weight / sum * math.Log(t.weight/sum)
		}
	}
	slices.SortFunc(c, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(math.Abs(math.Log(a.weight/sum)+entropy), math.Abs(math.Log(b.weight/sum)+entropy)), cmp.Compare(a.id, b.id))
	})
	var kept float64
	for i, t := range c {
		if kept += t.weight; kept >= p*sum {
			return c[:i+1], kept
		}
	}
	return c, kept
}

// excludeTop drops the candidates of at least threshold of the sum but the least likely of them (exclude top choices, p-e-w,
// text-generation-webui's pull request 6335, 2024), and returns the others with their sum.
func excludeTop(c []candidate, sum, threshold float64) ([]candidate, float64) {
	var least candidate
	n := 0
	for _, t := range c {
		if t.weight >= threshold*sum {
			if n++; n == 1 || least.before(t) {
				least = t
			}
		}
	}
	if n < 2 {
		return c, sum
	}
	kept := c[:0]
	var left float64
	for _, t := range c {
		if t.weight < threshold*sum || t.id == least.id {
			kept = append(kept, t)
			left += t.weight
		}
	}
	return kept, left
}
