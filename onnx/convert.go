package onnx

import (
	"fmt"
	"math"

	"ortserve/onnx/graph"
)

// widen writes the numbers of src, which are of type t, as float32 to dst. Their count is len(dst).
func widen(dst []float32, src memory, t graph.DataType) error {
	switch t {
	case graph.Float16:
		widenFloat16(dst, view[uint16](src))
	case graph.BFloat16:
		for i, b := range view[uint16](src)[:len(dst)] {
			dst[i] = math.Float32frombits(uint32(b) << 16)
		}
	default:
		return fmt.Errorf("numbers of type %s cannot be read", t)
	}
	return nil
}

// widenFloat16 converts IEEE 754 half-precision numbers. Exponent and fraction are moved to where float32 has them; the product with
// 2^112 mends the exponent's bias, and makes what is below the normal numbers right as well.
func widenFloat16(dst []float32, src []uint16) {
	const (
		bias      = 0x1p112
		exponents = 0x7c00    // all ones: infinite, or not a number
		infinite  = 255 << 23 // the same in float32
	)
	src = src[:len(dst)]
	for i, h := range src {
		bits := uint32(h&0x7fff) << 13
		if h&exponents == exponents {
			bits |= infinite
		} else {
			bits = math.Float32bits(math.Float32frombits(bits) * bias)
		}
		dst[i] = math.Float32frombits(bits | uint32(h&0x8000)<<16)
	}
}
