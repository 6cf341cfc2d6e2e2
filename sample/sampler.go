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

// attemptSize is how many random numbers a draw may use.
const attemptSize = 1 << 20

// Sampler draws the tokens of one sequence.
type Sampler struct {
	p          Params
	separable  bool
	penalties  *penalties
	index      int // of the token to draw, in the random stream
	attempt    int // draws for that token, before this one
	candidates []candidate
}

// NewSampler returns the sampler of a sequence with that prompt. The parameters must be valid.
func NewSampler(p Params, prompt []int32) *Sampler {
	return &Sampler{p: p, separable: p.Separable(), penalties: newPenalties(p, prompt)}
}

// Separable is that of the sampler's parameters.
func (s *Sampler) Separable() bool { return s.separable }

// Sample draws the next token from logits [vocab] float32, which it changes. The token counts once Accept is told. The error is ErrNoToken.
func (s *Sampler) Sample(logits []float32) (int32, error) {
	if s.penalties != nil {
		s.penalties.apply(logits)
	}
	s.attempt = 0
	return s.pick(logits)
}

// Resample draws anew from logits that Sample has changed, after the caller has set those of tokens that it does not want to minus
// infinity. The error is ErrNoToken.
func (s *Sampler) Resample(logits []float32) (int32, error) {
	s.attempt++
	return s.pick(logits)
}

// Accept counts id, drawn or not, as the sequence's next token.
func (s *Sampler) Accept(id int32) {
	s.index++
	if s.penalties != nil {
		s.penalties.add(id, true)
	}
}

// pick draws a token from logits as they are.
func (s *Sampler) pick(logits []float32) (int32, error) {
	top, ok := argmax(logits)
	if !ok {
		return 0, ErrNoToken
	}
	if s.p.Temperature == 0 || s.p.TopK == 1 {
		return top, nil
	}
	largest := logits[top]
	if s.p.TopK == 0 || s.p.TopK >= len(logits) {
		if id, ok := s.drawWhole(logits, top, largest); ok {
			return id, nil
		}
	}
	return s.draw(logits, largest), nil
}

// random returns a number of the random stream for the token to draw, in [0,1). Those of one draw differ by n.
func (s *Sampler) random(n int) float64 {
	return uniform(s.p.Seed, s.index, s.attempt*attemptSize+n)
}

// draw samples one token by the whole chain; largest is the largest of logits.
func (s *Sampler) draw(logits []float32, largest float32) int32 {
	c := s.candidates[:0]
	floor := largest - float32(tail*s.p.Temperature)
	if s.p.TopK > 0 && s.p.TopK < len(logits) {
		c = topK(c, logits, s.p.TopK, floor)
	} else {
		c = collect(c, logits, floor)
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

	x := s.random(maxTries) * sum // after those of drawWhole
	for _, t := range c {
		if x -= t.weight; x < 0 {
			return t.id
		}
	}
	return c[len(c)-1].id // only by rounding of the sum
}
