package sample

import (
	"errors"
	"math"
)

// ErrNoToken is the error of Sample for logits from which no token can be drawn: one is not a number, or all are minus infinity.
var ErrNoToken = errors.New("the logits hold no usable number")

// tail is how far below the largest scaled logit a token may lie and still be drawn. e^-32 times 128,256 tokens is less than
// 2e-9 of the whole: below the 2^-24 by which a float32 logit is rounded.
const tail = 32

// Sampler draws the tokens of one sequence.
type Sampler struct {
	p          Params
	penalties  *penalties
	index      int // of the token to draw, in the random stream
	candidates []candidate
}

// candidate is a token that may be drawn. Weight is its probability, not normalised.
type candidate struct {
	id     int32
	logit  float32
	weight float64
}

// NewSampler returns the sampler of a sequence with that prompt. The parameters must be valid.
func NewSampler(p Params, prompt []int32) *Sampler {
	return &Sampler{p: p, penalties: newPenalties(p, prompt)}
}

// Sample draws the next token from logits [vocab] float32, which it may overwrite, and counts it. The error is ErrNoToken.
func (s *Sampler) Sample(logits []float32) (int32, error) {
	if s.penalties != nil {
		s.penalties.apply(logits)
	}
	id, ok := argmax(logits)
	if !ok {
		return 0, ErrNoToken
	}
	if s.p.Temperature > 0 && s.p.TopK != 1 {
		id = s.draw(logits, logits[id])
	}
	s.index++
	if s.penalties != nil {
		s.penalties.add(id, true)
	}
	return id, nil
}

// argmax returns the index of the largest number, the lowest one at a tie; false if there is none or one is not a number.
func argmax(logits []float32) (int32, bool) {
	best, at := float32(math.Inf(-1)), -1
	for i, l := range logits {
		if l > best {
			best, at = l, i
		} else if l != l {
			return 0, false
		}
	}
	return int32(at), at >= 0 && !math.IsInf(float64(best), 1)
}

// draw samples one token; largest is the largest of logits.
func (s *Sampler) draw(logits []float32, largest float32) int32 {
	c := s.candidates[:0]
	floor := largest - float32(tail*s.p.Temperature)
	if s.p.TopK > 0 && s.p.TopK < len(logits) {
		c = topK(c, logits, s.p.TopK, floor)
	} else {
		for i, l := range logits {
			if l >= floor {
				c = append(c, candidate{id: int32(i), logit: l})
			}
		}
	}
	s.candidates = c

	var sum float64
	for i := range c {
		c[i].weight = math.Exp(float64(c[i].logit-largest) / s.p.Temperature)
		sum += c[i].weight
	}
	if s.p.TopP > 0 && s.p.TopP < 1 {
		c, sum = topP(c, s.p.TopP*sum)
	}
	if s.p.MinP > 0 {
		c, sum = minP(c, s.p.MinP)
	}

	x := uniform(s.p.Seed, s.index) * sum
	for _, t := range c {
		if x -= t.weight; x < 0 {
			return t.id
		}
	}
	return c[len(c)-1].id // only by rounding of the sum
}
