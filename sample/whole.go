package sample

import "math"

// Where nothing bounds the candidates but top_p and min_p, every token of the vocabulary may be drawn, and computing all their weights would
// take longer than the rest of sampling together. So weights are computed of the head alone, the tokens within headDepth of the largest
// logit, and of the rest a bound is known: no weight is above that of the head's floor. A draw proposes a token of the head by its weight,
// or any token of the rest at the bound's weight, which is then accepted as often as its weight is of the bound (rejection sampling, von
// Neumann 1951). Whether a token is in the nucleus is mostly decided by the two bounds of the sum that it is a part of: the head's, and
// the head's and the rest's. Only where they do not agree is the sum computed.

const (
	headDepth = 14   // in units of the temperature. e^-14 times 128,256 tokens is a tenth of the largest weight
	maxTries  = 2000 // proposals before the chain draws in their place; tens are usual where the distribution is flat, else one or two
	maxSums   = 8    // passes over all logits before that
)

// whole says whether a draw by p may be one from the whole vocabulary: no filter but top_p and min_p, measured at the temperature.
func (p *Params) whole() bool {
	return p.TopNSigma == 0 && (p.TypicalP == 0 || p.TypicalP == 1) && p.XTCProbability == 0 && (!p.TemperatureLast || p.Temperature == 1)
}

// whole is one draw from the whole vocabulary.
type whole struct {
	p       *Params
	logits  []float32
	largest float32
	floor   float32     // of the head
	head    []candidate // all tokens at or above floor, or the highest-ranked of them
	inHead  float64     // weight of the head
	bound   float64     // what no weight of the rest reaches
	total   float64     // weight of all tokens; 0 until it is known
	sums    int         // passes over all logits so far
}

// drawWhole draws one token; largest is the largest of logits and top its id. It returns false if it tried too often.
func (s *Sampler) drawWhole(logits []float32, top int32, largest float32) (int32, bool) {
	w := whole{p: &s.p, logits: logits, largest: largest}
	floor := largest - float32(headDepth*s.p.Temperature)
	least := math.Inf(-1) // logit that min_p allows
	if s.p.MinP > 0 {
		least = float64(largest) + math.Log(s.p.MinP)*s.p.Temperature
		floor = max(floor, math.Nextafter32(float32(least), float32(math.Inf(-1))))
	}
	w.head, w.floor = head(s.candidates[:0], logits, floor, largest)
	s.candidates = w.head
	w.bound = w.weight(min(w.floor, largest))
	canBeRest := float64(w.floor) > least // a token of the rest may be drawn
	for i := range w.head {
		w.head[i].weight = w.weight(w.head[i].logit)
		w.inHead += w.head[i].weight
	}
	proposed := w.inHead // weight of the proposals
	if w.p.TopP > 0 && w.p.TopP < 1 {
		switch most := w.p.TopP * (w.inHead + w.rest()); {
		case most <= 1: // the weight of top
			return top, true
		case most <= w.inHead:
			w.head, proposed = topP(w.head, most)
			canBeRest = false
		}
	}
	all := proposed
	if canBeRest {
		all += w.bound * float64(len(logits))
	}
	for try := range maxTries {
		x := s.random(try) * all
		t, ok := w.propose(x, proposed)
		if ok && t.weight >= w.p.MinP && w.inNucleus(t) {
			return t.id, true
		}
		if w.sums > maxSums {
			break
		}
	}
	return 0, false
}

// weight returns the weight of a logit.
func (w *whole) weight(l float32) float64 {
	return math.Exp(float64(l-w.largest) / w.p.Temperature)
}

// rest is what the tokens below the floor weigh at most.
func (w *whole) rest() float64 { return w.bound * float64(len(w.logits)) }

// propose returns the token at x: of the head, whose weight is inHead, or of the rest behind it, where it may be none.
func (w *whole) propose(x, inHead float64) (candidate, bool) {
	if x < inHead {
		for _, t := range w.head {
			if x -= t.weight; x < 0 {
				return t, true
			}
		}
		return w.head[len(w.head)-1], true // only by rounding of the sum
	}
	id, part := math.Modf((x - inHead) / w.bound)
	if int(id) >= len(w.logits) { // by rounding too
		return candidate{}, false
	}
	l := w.logits[int(id)]
	if l >= w.floor {
		return candidate{}, false
	}
	t := candidate{id: int32(id), logit: l, weight: w.weight(l)}
	return t, part*w.bound < t.weight
}

// inNucleus says whether the tokens that rank above t weigh less than top_p of all.
func (w *whole) inNucleus(t candidate) bool {
	if w.p.TopP <= 0 || w.p.TopP >= 1 {
		return true
	}
	above := w.inHead
	if inHead := t.logit >= w.floor; inHead {
		above = 0
		for _, o := range w.head {
			if o.before(t) {
				above += o.weight
			}
		}
		if above < w.p.TopP*w.inHead {
			return true
		}
		if above >= w.p.TopP*(w.inHead+w.rest()) {
			return false
		}
	} else {
		if above >= w.p.TopP*(w.inHead+w.rest()) {
			return false
		}
		above = w.sum(t.logit)
		for _, l := range w.logits[:t.id] {
			if l == t.logit {
				above += t.weight
			}
		}
	}
	if w.total == 0 {
		w.total = w.sum(float32(math.Inf(-1)))
	}
	return above < w.p.TopP*w.total
}

// sum returns what the tokens above floor weigh, to 1e-5.
func (w *whole) sum(floor float32) float64 {
	w.sums++
	return sumExp(w.logits, w.largest, floor, 1/w.p.Temperature)
}
