package sample

import (
	"math"
	"slices"
)

// Logprob is the natural logarithm of a token's probability.
type Logprob struct {
	ID      int32
	Logprob float64 // minus infinity where the logit is
}

// Logprobs is what a row of logits says of the token that follows it.
type Logprobs struct {
	Logprob
	Rank int       // 1 for the most probable token; equal ones rank by the lower id
	Top  []Logprob // the most probable tokens, best first
}

// LogprobsOf returns the log-probability of id and of the n most probable tokens in the softmax of logits [vocab] float32, as the model gives
// them: before any sampling parameter. They are those of a float64 log-softmax to 1e-5. The error is ErrNoToken.
func LogprobsOf(logits []float32, id int32, n int) (Logprobs, error) {
	best, ok := argmax(logits)
	if !ok || int(id) >= len(logits) {
		return Logprobs{}, ErrNoToken
	}
	largest := logits[best]
	none := float32(math.Inf(-1))
	norm := math.Log(sumExp(logits, largest, none, 1))
	at := func(id int32) Logprob { return Logprob{id, min(float64(logits[id])-float64(largest)-norm, 0)} }

	l := Logprobs{Logprob: at(id), Rank: rank(logits, id)}
	if n > 0 {
		c := topK(make([]candidate, 0, n), logits, n, none)
		slices.SortFunc(c, func(a, b candidate) int {
			if a.before(b) {
				return -1
			}
			return 1
		})
		for _, t := range c {
			l.Top = append(l.Top, at(t.id))
		}
	}
	return l, nil
}

// rank returns the place of id in the order of logits, from 1 on.
func rank(logits []float32, id int32) int {
	own, n := logits[id], 1
	for i, l := range logits {
		if l > own || l == own && int32(i) < id {
			n++
		}
	}
	return n
}
