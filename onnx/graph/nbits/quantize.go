package nbits

import "math"

// row quantizes one row; q and zeros are zero before.
func (f Format) row(q []byte, scales []float32, zeros []byte, row []float32) {
	for b := range scales {
		from := b * f.Block
		x := row[from:min(from+f.Block, len(row))]
		scale, zero := f.fit(x)
		if f.Half {
			scale = FromFloat16(Float16(scale))
		}
		scales[b] = scale
		if !f.Symmetric {
			Set(zeros, b, f.Bits, zero)
		}
		f.round(q, from, x, scale, zero)
	}
}

// round stores the integers of a block whose elements begin at from; q is zero there before.
func (f Format) round(q []byte, from int, x []float32, scale float32, zero int) {
	levels, inverse := 1<<f.Bits-1, float32(0)
	if scale != 0 {
		inverse = 1 / scale
	}
	for j := range f.Block {
		v := zero
		if j < len(x) {
			v = clamp(nearest(x[j]*inverse)+zero, levels)
		}
		Set(q, from+j, f.Bits, v)
	}
}

// fit chooses the scale and the zero point of a block. Symmetric: the element of the largest magnitude is at the end of
// the range that reaches further, -2^(bits-1). Asymmetric: least and largest are at the two ends, and 0 is exact.
func (f Format) fit(x []float32) (scale float32, zero int) {
	half, levels := 1<<(f.Bits-1), 1<<f.Bits-1
	low, high := float32(0), float32(0)
	for _, v := range x {
		low, high = min(low, v), max(high, v)
	}
	if f.Symmetric {
		if -low > high {
			return low / float32(-half), half
		}
		return high / float32(-half), half
	}
	scale = (high - low) / float32(levels)
	if scale == 0 {
		return 0, half
	}
	return scale, clamp(nearest(-low/scale), levels)
}

func nearest(v float32) int {
	return int(math.RoundToEven(float64(v)))
}

func clamp(v, levels int) int {
	return max(0, min(v, levels))
}
