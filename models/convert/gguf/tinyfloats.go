package gguf

import (
	"math"
)

// The ternary types, and those of 4-bit floating-point numbers.

// tq1_0: a byte holds five values as digits in base 3, the first in the highest place; the last four bytes hold four.
func tq1_0(dst []float32, b []byte) {
	d := half(b[52:])
	digit := func(q byte, place int) float32 {
		q *= [5]byte{1, 3, 9, 27, 81}[place] // the overflow drops the digits before
		return float32(int(uint16(q)*3>>8)-1) * d
	}
	for i := range 160 {
		dst[i] = digit(b[i%32], i/32)
	}
	for i := range 80 {
		dst[160+i] = digit(b[32+i%16], i/16)
	}
	for i := range 16 {
		dst[240+i] = digit(b[48+i%4], i/4)
	}
}

func tq2_0(dst []float32, b []byte) {
	d := half(b[64:])
	for i := range dst {
		dst[i] = float32(int(b[i/128*32+i%32]>>(i/32%4*2)&3)-1) * d
	}
}

// twice is the values of E2M1 (OCP Microscaling Formats, version 1.0), doubled.
var twice = [16]float32{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}

// mxfp4: the scale is a power of two, halved because the values are doubled.
func mxfp4(dst []float32, b []byte) {
	bits := uint32(b[0]-1) << 23
	if b[0] < 2 {
		bits = 0x00200000 << b[0]
	}
	d := math.Float32frombits(bits)
	for i, q := range b[1:17] {
		dst[i] = d * twice[q&15]
		dst[i+16] = d * twice[q>>4]
	}
}

// nvfp4: each 16 values have a scale of 4 bits of exponent and 3 of fraction, without a sign.
func nvfp4(dst []float32, b []byte) {
	for sub := range 4 {
		x := b[sub]
		d := float32(0)
		switch exponent, fraction := int(x>>3&15), float64(x&7); {
		case x == 0 || x == 0x7f:
		case exponent == 0:
			d = float32(math.Ldexp(fraction, -10))
		default:
			d = float32(math.Ldexp(1+fraction/8, exponent-8))
		}
		for i, q := range b[4+sub*8:][:8] {
			dst[sub*16+i] = d * twice[q&15]
			dst[sub*16+i+8] = d * twice[q>>4]
		}
	}
}
