package gguf

import (
	_ "embed"
	"encoding/binary"
	"math/bits"
	"sync"
)

// The types that begin with I take groups of 8 or 4 values from a table, the grid, and give them signs and a scale.

//go:embed grids.bin
var gridBytes []byte // testdata/grids.py wrote it: the grids one after the other, values packed in 2 or 4 bits

// grids are the tables, unpacked: one value an element, group after group.
type grids struct {
	iq2xxs, iq2xs, iq2s []int8 // of 8, from 0x08, 0x19 and 0x2b
	iq3xxs, iq3s        []int8 // of 4
	iq1s                []int8 // of 8, from -1, 0 and 1
}

var theGrids = sync.OnceValue(func() *grids {
	rest := gridBytes
	unpack := func(values, bits int, table ...int8) []int8 {
		out := make([]int8, values)
		for i := range out {
			out[i] = table[int(rest[i*bits/8])>>(i*bits%8)&(1<<bits-1)]
		}
		rest = rest[values*bits/8:]
		return out
	}
	two := []int8{0x08, 0x19, 0x2b, 0}
	pad := make([]int8, 8) // the packed values have a bit more than they need
	return &grids{
		iq2xxs: unpack(256*8, 2, two...),
		iq2xs:  unpack(512*8, 2, two...),
		iq2s:   unpack(1024*8, 2, two...),
		iq3xxs: unpack(256*4, 4, append([]int8{0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3e}, pad...)...),
		iq3s:   unpack(512*4, 4, append([]int8{1, 3, 5, 7, 9, 11, 13, 15}, pad...)...),
		iq1s:   unpack(2048*8, 2, -1, 0, 1, 0),
	}
})

// evenSigns makes 8 signs of 7 bits: the eighth makes the number of minuses even.
func evenSigns(b byte) byte { return b | byte(bits.OnesCount8(b)&1)<<7 }

// signed writes scale times the group, with a minus where a bit of signs is set.
func signed(dst []float32, scale float32, group []int8, signs byte) {
	for i, g := range group {
		v := scale * float32(g)
		if signs>>i&1 != 0 {
			v = -v
		}
		dst[i] = v
	}
}

func iq2_xxs(dst []float32, b []byte) {
	g, d := theGrids().iq2xxs, half(b)
	for sub := range 8 {
		word := b[2+sub*8:]
		more := binary.LittleEndian.Uint32(word[4:])
		scale := d * (0.5 + float32(more>>28)) * 0.25
		for k := range 4 {
			signed(dst[sub*32+k*8:], scale, g[int(word[k])*8:][:8], evenSigns(byte(more>>(7*k)&127)))
		}
	}
}

func iq2_xs(dst []float32, b []byte) {
	g, d, scales := theGrids().iq2xs, half(b), b[66:]
	for k := range 32 {
		q := binary.LittleEndian.Uint16(b[2+2*k:])
		scale := d * (0.5 + float32(scales[k/4]>>(k/2%2*4)&15)) * 0.25
		signed(dst[k*8:], scale, g[int(q&511)*8:][:8], evenSigns(byte(q>>9)))
	}
}

func iq2_s(dst []float32, b []byte) {
	g, d, qs, signs, high, scales := theGrids().iq2s, half(b), b[2:34], b[34:66], b[66:74], b[74:]
	for k := range 32 {
		q := int(qs[k]) | int(high[k/4]>>(k%4*2)&3)<<8
		scale := d * (0.5 + float32(scales[k/4]>>(k/2%2*4)&15)) * 0.25
		signed(dst[k*8:], scale, g[q*8:][:8], signs[k])
	}
}

func iq3_xxs(dst []float32, b []byte) {
	g, d, qs, more := theGrids().iq3xxs, half(b), b[2:66], b[66:]
	for k := range 64 {
		word := binary.LittleEndian.Uint32(more[k/8*4:])
		scale := d * (0.5 + float32(word>>28)) * 0.5
		signs := evenSigns(byte(word >> (k / 2 % 4 * 7) & 127))
		signed(dst[k*4:], scale, g[int(qs[k])*4:][:4], signs>>(k%2*4))
	}
}

func iq3_s(dst []float32, b []byte) {
	g, d, qs, high, signs, scales := theGrids().iq3s, half(b), b[2:66], b[66:74], b[74:106], b[106:]
	for k := range 64 {
		q := int(qs[k]) | int(high[k/8]>>(k%8)&1)<<8
		scale := d * float32(1+2*(scales[k/16]>>(k/8%2*4)&15))
		signed(dst[k*4:], scale, g[q*4:][:4], signs[k/2]>>(k%2*4))
	}
}

// shifted writes scale times the group, moved up or down by an eighth.
func shifted(dst []float32, scale float32, group []int8, down bool) {
	delta := float32(0.125)
	if down {
		delta = -delta
	}
	for i, g := range group {
		dst[i] = scale * (float32(g) + delta)
	}
}

func iq1_s(dst []float32, b []byte) {
	g, d, qs := theGrids().iq1s, half(b), b[2:34]
	for k := range 32 {
		high := binary.LittleEndian.Uint16(b[34+k/4*2:])
		q := int(qs[k]) | int(high>>(k%4*3)&7)<<8
		shifted(dst[k*8:], d*float32(2*(high>>12&7)+1), g[q*8:][:8], high&0x8000 != 0)
	}
}

// iq1_m: the float16 scale is in the high quarters of the four words of scales.
func iq1_m(dst []float32, b []byte) {
	g, qs, high := theGrids().iq1s, b[:32], b[32:48]
	var words [4]uint16
	var packed [2]byte
	whole := uint16(0)
	for i := range words {
		words[i] = binary.LittleEndian.Uint16(b[48+2*i:])
		whole |= words[i] >> 12 << (4 * i)
	}
	binary.LittleEndian.PutUint16(packed[:], whole)
	d := half(packed[:])
	for k := range 32 {
		h := high[k/2] >> (k % 2 * 4)
		q := int(qs[k]) | int(h&7)<<8
		s := words[k/8] >> (k / 2 % 4 * 3) & 7
		shifted(dst[k*8:], d*float32(2*s+1), g[q*8:][:8], h&8 != 0)
	}
}

// curve is the values of IQ4_NL and IQ4_XS.
var curve = [16]float32{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

func iq4_nl(dst []float32, b []byte) {
	d := half(b)
	for i, q := range b[2:18] {
		dst[i] = d * curve[q&15]
		dst[i+16] = d * curve[q>>4]
	}
}

func iq4_xs(dst []float32, b []byte) {
	d, high, low, qs := half(b), binary.LittleEndian.Uint16(b[2:]), b[4:8], b[8:]
	for sub := range 8 {
		s := int(low[sub/2]>>(sub%2*4)&15) | int(high>>(2*sub)&3)<<4
		scale := d * float32(s-32)
		for j, q := range qs[sub*16:][:16] {
			dst[sub*32+j] = scale * curve[q&15]
			dst[sub*32+j+16] = scale * curve[q>>4]
		}
	}
}
