package llama

import (
	"encoding/binary"
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
	Factors []float32 // each pair's turn is divided by its factor; nil is none
}

// Llama3 scales the turns as Llama 3.1 does: pairs that turn fully in less than Original/HighFreq positions stay, those
// that need more than Original/LowFreq turn Factor times slower, and those between are blended.
type Llama3 struct {
	Factor, LowFreq, HighFreq, Original float64
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
	return f
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

// WriteRotary writes the tables cos_cache and sin_cache, float32 [Positions+1, HeadSize/2]. One row is beyond the
// context: a run pads shorter sequences of a batch there.
func (c Config) WriteRotary(d *graph.DataFile) (cos, sin *graph.Tensor, err error) {
	pairs := c.HeadSize / 2
	dims := []int64{int64(c.Positions + 1), int64(pairs)}
	cos, cosRoom, err := d.Tensor("cos_cache", graph.Float32, dims...)
	if err != nil {
		return nil, nil, err
	}
	sin, sinRoom, err := d.Tensor("sin_cache", graph.Float32, dims...)
	if err != nil {
		return nil, nil, err
	}
	const chunk = 1024 // positions at a time
	frequencies := c.Rope.Frequencies(c.HeadSize)
	cb, sb := make([]byte, 0, chunk*pairs*4), make([]byte, 0, chunk*pairs*4)
	for from := 0; from <= c.Positions; from += chunk {
		cb, sb = cb[:0], sb[:0]
		for p := from; p < min(from+chunk, c.Positions+1); p++ {
			for _, f := range frequencies {
				s, co := math.Sincos(float64(p) * f)
				cb = binary.LittleEndian.AppendUint32(cb, math.Float32bits(float32(co)))
				sb = binary.LittleEndian.AppendUint32(sb, math.Float32bits(float32(s)))
			}
		}
		at := int64(from) * int64(pairs) * 4
		if _, err := cosRoom.WriteAt(cb, at); err != nil {
			return nil, nil, err
		}
		if _, err := sinRoom.WriteAt(sb, at); err != nil {
			return nil, nil, err
		}
	}
	return cos, sin, nil
}
