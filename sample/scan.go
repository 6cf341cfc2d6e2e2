package sample

import (
	"math"
	"slices"
)

// The loops over a whole row of logits. Each looks at eight in one condition, which as good as always has the same outcome.

// argmax returns the index of the largest logit, the lowest one at a tie; false if one is not a number, one is plus infinity, or all are
// minus infinity.
func argmax(logits []float32) (int32, bool) {
	best, at := float32(math.Inf(-1)), -1
	base, l := 0, logits
	for ; len(l) >= 8; base, l = base+8, l[8:] {
		if l[0] <= best && l[1] <= best && l[2] <= best && l[3] <= best && l[4] <= best && l[5] <= best && l[6] <= best && l[7] <= best {
			continue
		}
		for i, v := range l[:8] {
			if v > best {
				best, at = v, base+i
			} else if v != v {
				return 0, false
			}
		}
	}
	for i, v := range l {
		if v > best {
			best, at = v, base+i
		} else if v != v {
			return 0, false
		}
	}
	return int32(at), at >= 0 && !math.IsInf(float64(best), 1)
}

// candidate is a token that may be drawn. Weight is its probability, not normalised.
type candidate struct {
	id     int32
	logit  float32
	weight float64
}

// collect appends the tokens whose logits are at least floor to c, in the order of their ids.
func collect(c []candidate, logits []float32, floor float32) []candidate {
	base, l := 0, logits
	for ; len(l) >= 8; base, l = base+8, l[8:] {
		if l[0] < floor && l[1] < floor && l[2] < floor && l[3] < floor && l[4] < floor && l[5] < floor && l[6] < floor && l[7] < floor {
			continue
		}
		for i, v := range l[:8] {
			if v >= floor {
				c = append(c, candidate{id: int32(base + i), logit: v})
			}
		}
	}
	for i, v := range l {
		if v >= floor {
			c = append(c, candidate{id: int32(base + i), logit: v})
		}
	}
	return c
}

// The bounds of head: tokens that it collects at about most, and the stride of the sample that it chooses its floor by.
const (
	headSize   = 4096
	headStride = 64
	headLevels = 16
)

// head is collect with a floor between the given one and above largest, the largest of logits: as low as it can be for about headSize
// tokens, and certainly for twice as many. It returns the floor too: no token at or above it is missing.
func head(c []candidate, logits []float32, floor, largest float32) ([]candidate, float32) {
	step := (largest - floor) / headLevels
	if !(step > 0) {
		return c, float32(math.Inf(1))
	}
	var levels [headLevels]int // of the sample, by steps below largest
	for i := 0; i < len(logits); i += headStride {
		if l := logits[i]; l >= floor {
			levels[min(int((largest-l)/step), headLevels-1)]++
		}
	}
	sum, depth := 0, 0
	for depth < headLevels && (sum+levels[depth])*headStride <= headSize {
		sum += levels[depth]
		depth++
	}
	if depth < headLevels {
		floor = largest - float32(depth)*step
	}
	const piece = 1 << 12
	for base := 0; base < len(logits); base += piece {
		n := len(c)
		c = collect(c, logits[base:min(base+piece, len(logits))], floor)
		for i := n; i < len(c); i++ {
			c[i].id += int32(base)
		}
		for len(c) > 2*headSize {
			if floor += step; floor > largest {
				return c[:0], float32(math.Inf(1))
			}
			c = slices.DeleteFunc(c, func(t candidate) bool { return t.logit < floor })
		}
	}
	return c, floor
}

// topK appends to c the k highest-ranked tokens whose logits are at least floor.
func topK(c []candidate, logits []float32, k int, floor float32) []candidate {
	last := func(a, b candidate) bool { return b.before(a) } // the root is the lowest-ranked of those kept
	take := func(id int32, l float32) {
		t := candidate{id: id, logit: l}
		switch {
		case len(c) < k:
			c = append(c, t)
			if len(c) == k {
				heapify(c, last)
				floor = c[0].logit
			}
		case t.before(c[0]):
			c[0] = t
			sink(c, 0, last)
			floor = c[0].logit
		}
	}
	base, l := 0, logits
	for ; len(l) >= 8; base, l = base+8, l[8:] {
		if l[0] < floor && l[1] < floor && l[2] < floor && l[3] < floor && l[4] < floor && l[5] < floor && l[6] < floor && l[7] < floor {
			continue
		}
		for i, v := range l[:8] {
			if v >= floor {
				take(int32(base+i), v)
			}
		}
	}
	for i, v := range l {
		if v >= floor {
			take(int32(base+i), v)
		}
	}
	return c
}

// The table of sumExp: e to the power of minus each of its steps.
const (
	expSteps = 256 // of an e-fold
	expSize  = tail * expSteps
)

var expTable = func() (t [expSize]float32) {
	for i := range t {
		t[i] = float32(math.Exp(-float64(i) / expSteps))
	}
	return t
}()

// sumExp returns the sum of exp((l-largest)*scale) over the logits that are above floor; none may be above largest. Terms below e^-tail are
// left out. A term is a value of the table corrected to the first order, its relative error is below 4e-6: 2e-6 of the correction and as much
// of rounding the exponent. Sums of float32 are of 64 terms, which may add 4e-6.
func sumExp(logits []float32, largest, floor float32, scale float64) float64 {
	const h = 1.0 / expSteps
	a := float32(scale * expSteps)
	floor = max(floor, largest-float32((tail-0.01)/scale)) // within the table
	var sum float64
	for len(logits) > 0 {
		block := logits[:min(256, len(logits))]
		logits = logits[len(block):]
		var s0, s1, s2, s3 float32
		for ; len(block) >= 4; block = block[4:] {
			if l := block[0]; l > floor {
				t := (largest - l) * a
				k := int32(t + 0.5)
				s0 += expTable[k&(expSize-1)] * (1 - h*(t-float32(k)))
			}
			if l := block[1]; l > floor {
				t := (largest - l) * a
				k := int32(t + 0.5)
				s1 += expTable[k&(expSize-1)] * (1 - h*(t-float32(k)))
			}
			if l := block[2]; l > floor {
				t := (largest - l) * a
				k := int32(t + 0.5)
				s2 += expTable[k&(expSize-1)] * (1 - h*(t-float32(k)))
			}
			if l := block[3]; l > floor {
				t := (largest - l) * a
				k := int32(t + 0.5)
				s3 += expTable[k&(expSize-1)] * (1 - h*(t-float32(k)))
			}
		}
		for _, l := range block {
			if l > floor {
				t := (largest - l) * a
				k := int32(t + 0.5)
				s0 += expTable[k&(expSize-1)] * (1 - h*(t-float32(k)))
			}
		}
		sum += float64(s0) + float64(s1) + float64(s2) + float64(s3)
	}
	return sum
}
