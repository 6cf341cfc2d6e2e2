package gguf

import "encoding/binary"

// Blocks of 32 with a float16 scale and, in the types that end in 1, a float16 minimum. A byte of 4-bit integers holds values i
// and i+16.

func q4_0(dst []float32, b []byte) {
	d := half(b)
	for i, q := range b[2:18] {
		dst[i] = float32(int(q&15)-8) * d
		dst[i+16] = float32(int(q>>4)-8) * d
	}
}

func q4_1(dst []float32, b []byte) {
	d, m := half(b), half(b[2:])
	for i, q := range b[4:20] {
		dst[i] = float32(float32(q&15)*d) + m // the conversion keeps the product from being fused with the sum
		dst[i+16] = float32(float32(q>>4)*d) + m
	}
}

// fifths are the integers of 5 bits in 16 bytes of low halves and a word of high bits.
func fifths(high uint32, low []byte, i int) (first, second int) {
	return int(low[i]&15) | int(high>>i&1)<<4, int(low[i]>>4) | int(high>>(i+16)&1)<<4
}

func q5_0(dst []float32, b []byte) {
	d, high := half(b), binary.LittleEndian.Uint32(b[2:])
	for i := range 16 {
		x, y := fifths(high, b[6:22], i)
		dst[i] = float32(x-16) * d
		dst[i+16] = float32(y-16) * d
	}
}

func q5_1(dst []float32, b []byte) {
	d, m, high := half(b), half(b[2:]), binary.LittleEndian.Uint32(b[4:])
	for i := range 16 {
		x, y := fifths(high, b[8:24], i)
		dst[i] = float32(float32(x)*d) + m
		dst[i+16] = float32(float32(y)*d) + m
	}
}

func q8_0(dst []float32, b []byte) {
	d := half(b)
	for i, q := range b[2:34] {
		dst[i] = float32(int8(q)) * d
	}
}
