package sample

import (
	"errors"
	"math"
	"slices"
)

// The errors of Sample and Resample.
var (
	// ErrNoToken: the logits are such that no token can be drawn: one is not a number, or all are minus infinity.
	ErrNoToken = errors.New("the logits hold no usable number")
	// ErrBanned: no token is left where Params.LogitBias takes some out.
	ErrBanned = errors.New("logit_bias takes out every token that may come next")
)

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
	dry        *dry
	index      int // of the token to draw, in the random stream
	attempt    int // draws for that token, before this one
	candidates []candidate
}

// NewSampler returns the sampler of a sequence with that prompt. The parameters must be valid.
func NewSampler(p Params, prompt []int32) *Sampler {
	return &Sampler{p: p, separable: p.Separable(), penalties: newPenalties(p, prompt), dry: newDRY(p.DRY, prompt)}
}

// Separable is that of the sampler's parameters.
func (s *Sampler) Separable() bool { return s.separable }

// Sample draws the next token from logits [vocab] float32, which it changes. The token counts once Accept is told. The errors are ErrNoToken and
// ErrBanned.
func (s *Sampler) Sample(logits []float32) (int32, error) {
	s.adjust(logits)
	s.attempt = 0
	return s.pick(logits)
}

// adjust changes the logits of single tokens.
func (s *Sampler) adjust(logits []float32) {
	for id, b := range s.p.LogitBias {
		if int(id) < len(logits) {
			logits[id] += b
		}
	}
	none := float32(math.Inf(-1))
	if s.index < s.p.MinTokens {
		for _, id := range s.p.EndTokens {
			logits[id] = none
		}
	}
	for _, id := range s.p.NeverEnd {
		logits[id] = none
	}
	if s.dry != nil && s.p.DRYFirst {
		s.dry.apply(logits)
	}
	if s.penalties != nil {
		s.penalties.apply(logits)
	}
	if s.dry != nil && !s.p.DRYFirst {
		s.dry.apply(logits)
	}
}

// Resample draws anew from logits that Sample has changed, after the caller has set those of tokens that it does not want to minus
// infinity. The errors are ErrNoToken and ErrBanned.
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
	if s.dry != nil {
		s.dry.add(id)
	}
}

// pick draws a token from logits as they are.
func (s *Sampler) pick(logits []float32) (int32, error) {
	top, ok := argmax(logits)
	if !ok {
		if s.p.bans() && !slices.ContainsFunc(logits, func(l float32) bool { return !math.IsInf(float64(l), -1) }) {
			return 0, ErrBanned
		}
		return 0, ErrNoToken
	}
	if s.p.Temperature == 0 || s.p.TopK == 1 {
		return top, nil
	}
	largest := logits[top]
	if s.p.whole() && (s.p.TopK == 0 || s.p.TopK >= len(logits)) {
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
	p := &s.p
	temperature := p.Temperature // of the filters
	if p.TemperatureLast {
		temperature = 1
	}
	floor := largest - float32(tail*max(temperature, p.Temperature))
	if p.TopNSigma > 0 {
		floor = max(floor, largest-float32(p.TopNSigma*sigma(logits)))
	}
	c := s.candidates[:0]
	if p.TopK > 0 && p.TopK < len(logits) {
		c = topK(c, logits, p.TopK, floor)
	} else {
		c = collect(c, logits, floor)
	}
	s.candidates = c

	sum := weigh(c, largest, temperature)
	if p.TypicalP > 0 && p.TypicalP < 1 {
		c, sum = typical(c, sum, p.TypicalP)
	}
	if p.TopP > 0 && p.TopP < 1 {
		c, sum = topP(c, p.TopP*sum)
	}
	if p.MinP > 0 {
		c, sum = minP(c, p.MinP)
	}
	if p.XTCProbability > 0 && s.random(maxTries+1) < p.XTCProbability {
		c, sum = excludeTop(c, sum, p.XTCThreshold)
	}
	if temperature != p.Temperature {
		sum = weigh(c, largest, p.Temperature)
	}

	x := s.random(maxTries) * sum // after those of drawWhole
	for _, t := range c {
		if x -= t.weight; x < 0 {
			return t.id
		}
	}
	return c[len(c)-1].id // only by rounding of the sum
}
