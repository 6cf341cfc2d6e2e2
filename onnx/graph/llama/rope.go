package llama

import (
	"fmt"
	"math"

	"ortserve/onnx/graph"
)

// Rope says how far each pair of a head's elements turns from one position to the next (the rotary position embedding
// of arXiv 2104.09864).
type Rope struct {
	Base    float64   // theta: pair i of n turns by Base^(-i/n)
	Linear  float64   // all turns are divided by it; 0 is 1
	Llama3  *Llama3   // Llama 3.1's scaling, or nil
	Yarn    *Yarn     // YaRN's scaling, or nil
	Factors []float32 // each pair's turn is divided by its factor; nil is none
}

// Llama3 scales the turns as Llama 3.1 does: pairs that turn fully in less than Original/HighFreq positions stay, those
// that need more than Original/LowFreq turn Factor times slower, and those between are blended.
type Llama3 struct {
	Factor, LowFreq, HighFreq, Original float64
}

// Yarn scales the turns as YaRN does (arXiv 2309.00071): pairs that turn more than FastTurns times in Original positions
// stay, those that turn less than SlowTurns times turn Factor times slower, and those between are blended by their number.
// Queries and keys, and so the tables, are multiplied by Magnitude.
type Yarn struct {
	Factor, Original     float64
	FastTurns, SlowTurns float64 // beta_fast and beta_slow
	Magnitude            float64 // attention_factor
}

func (r Rope) check(headSize int) error {
	finite := func(v float64) bool { return v > 0 && !math.IsInf(v, 0) }
	switch {
	case !finite(r.Base) || r.Base <= 1:
		return fmt.Errorf("rope base is %v, it must be above 1", r.Base)
	case r.Linear != 0 && !finite(r.Linear):
		return fmt.Errorf("rope scaling factor is %v", r.Linear)
	case r.Factors != nil && len(r.Factors) != headSize/2:
		return fmt.Errorf("%d rope factors for %d pairs", len(r.Factors), headSize/2)
	}
	for i, f := range r.Factors {
		if !finite(float64(f)) {
			return fmt.Errorf("rope factor %d is %v", i, f)
		}
	}
	if l := r.Llama3; l != nil && !(finite(l.Factor) && finite(l.LowFreq) && finite(l.Original) && finite(l.HighFreq) && l.HighFreq > l.LowFreq) {
		return fmt.Errorf("llama3 rope scaling %+v: all must be above 0, the high frequency factor above the low one", *l)
	}
	if y := r.Yarn; y != nil && !(finite(y.Factor) && finite(y.Original) && finite(y.SlowTurns) && finite(y.FastTurns) && finite(y.Magnitude)) {
		return fmt.Errorf("yarn rope scaling %+v: all must be above 0", *y)
	}
	return nil
}

// Frequencies returns by how many radians each pair of a head turns at a step, headSize/2 of them.
func (r Rope) Frequencies(headSize int) []float64 {
	f := make([]float64, headSize/2)
	for i := range f {
		f[i] = math.Pow(r.Base, -float64(i)/float64(len(f)))
		if r.Linear != 0 {
			f[i] /= r.Linear
		}
		if r.Llama3 != nil {
			f[i] = r.Llama3.scale(f[i])
		}
		if r.Factors != nil {
			f[i] /= float64(r.Factors[i])
		}
	}
	if r.Yarn != nil {
		r.Yarn.scale(f, r.Base)
	}
	return f
}

// scale blends by pair number. The first and the last number that are blended are whole.
func (y Yarn) scale(f []float64, base float64) {
	n := float64(len(f))
	pair := func(turns float64) float64 { // that turns as often in the original context
		return n * math.Log(y.Original/(turns*2*math.Pi)) / math.Log(base)
	}
	low := max(math.Floor(pair(y.FastTurns)), 0)
	high := min(math.Ceil(pair(y.SlowTurns)), 2*n-1)
	for i := range f {
		slow := min(max((float64(i)-low)/max(high-low, 0.001), 0), 1)
		f[i] = f[i]/y.Factor*slow + f[i]*(1-slow)
	}
}

func (l Llama3) scale(f float64) float64 {
	turns := l.Original * f / (2 * math.Pi) // in the original context
	switch {
	case turns > l.HighFreq:
		return f
	case turns < l.LowFreq:
		return f / l.Factor
	}
	keep := (turns - l.LowFreq) / (l.HighFreq - l.LowFreq)
	return (1-keep)*f/l.Factor + keep*f
}

// WriteRotary writes the tables cos_cache and sin_cache, [Positions+1, HeadSize/2] of the graph's type. One row is beyond
// the context: a run pads shorter sequences of a batch there.
func (c Config) WriteRotary(d *graph.DataFile) (cos, sin *graph.Tensor, err error) {
	pairs := c.HeadSize / 2
	dims := []int64{int64(c.Positions + 1), int64(pairs)}
	cos, cosRoom, err := d.Tensor("cos_cache", c.Float(), dims...)
	if err != nil {
		return nil, nil, err
	}
	sin, sinRoom, err := d.Tensor("sin_cache", c.Float(), dims...)
	if err != nil {
		return nil, nil, err
	}
	const chunk = 1024 // positions at a time
	frequencies := c.Rope.Frequencies(c.HeadSize)
	magnitude, size := 1.0, int64(c.Float().Bits()/8)
	if c.Rope.Yarn != nil {
		magnitude = c.Rope.Yarn.Magnitude
	}
	var cb, sb []byte
	cosines, sines := make([]float32, 0, chunk*pairs), make([]float32, 0, chunk*pairs)
	for from := 0; from <= c.Positions; from += chunk {
		cosines, sines = cosines[:0], sines[:0]
		for p := from; p < min(from+chunk, c.Positions+1); p++ {
			for _, f := range frequencies {
				s, co := math.Sincos(float64(p) * f)
				cosines, sines = append(cosines, float32(co*magnitude)), append(sines, float32(s*magnitude))
			}
		}
		cb, sb = c.appendFloats(cb[:0], cosines), c.appendFloats(sb[:0], sines)
		at := int64(from) * int64(pairs) * size
		if _, err := cosRoom.WriteAt(cb, at); err != nil {
			return nil, nil, err
		}
		if _, err := sinRoom.WriteAt(sb, at); err != nil {
			return nil, nil, err
		}
	}
	return cos, sin, nil
}
