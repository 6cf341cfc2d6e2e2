package nbits

import (
	"encoding/binary"
	"math"
)

// FromFloat16 is the value of an IEEE 754 half-precision number.
func FromFloat16(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exponent, fraction := uint32(h>>10)&31, uint32(h)&1023
	switch exponent {
	case 31:
		return math.Float32frombits(sign | 255<<23 | fraction<<13)
	case 0:
		v := float32(fraction) / (1 << 24) // exact: at most 10 bits
		return math.Float32frombits(sign | math.Float32bits(v))
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
}

// Float16 is the half-precision number nearest to v, ties to even.
func Float16(v float32) uint16 {
	b := math.Float32bits(v)
	sign, b := uint16(b>>16)&0x8000, b&0x7fffffff
	switch {
	case b > 255<<23: // not a number
		return sign | 0x7e00
	case b >= 0x477ff000: // rounds to infinity
		return sign | 0x7c00
	case b < 113<<23: // below the normal numbers: adding 0.5 leaves the rounded fraction in the low bits
		return sign | uint16(math.Float32bits(math.Float32frombits(b)+0.5)-126<<23)
	}
	b += 0xfff + b>>13&1
	return sign | uint16(b>>13-112<<10)
}

// AppendFloat16 appends the half-precision numbers nearest to values, as an ONNX file holds them.
func AppendFloat16(dst []byte, values []float32) []byte {
	for _, v := range values {
		dst = binary.LittleEndian.AppendUint16(dst, Float16(v))
	}
	return dst
}
