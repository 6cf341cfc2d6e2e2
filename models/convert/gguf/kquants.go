package gguf

// Superblocks of 256 in sub-blocks of 16 or 32, whose scales and minima are small integers times float16 numbers.

// q2_K: 16 sub-blocks. A byte of scales holds a scale and a minimum, a byte of values those at 0, 32, 64 and 96 from its place.
func q2_K(dst []float32, b []byte) {
	scales, qs, d, least := b[:16], b[16:80], half(b[80:]), half(b[82:])
	for i := range dst {
		s := scales[i/16]
		q := qs[i/128*32+i%32] >> (i / 32 % 4 * 2) & 3
		dst[i] = float32(float32(d*float32(s&15))*float32(q)) - float32(least*float32(s>>4))
	}
}

// q3_K: 16 sub-blocks. Scales are of 6 bits: 8 bytes of low halves, 4 of high pairs. A bit of the mask that is not set takes 4
// from a value.
func q3_K(dst []float32, b []byte) {
	mask, qs, scales, d := b[:32], b[32:96], b[96:108], half(b[108:])
	for sub := range 16 {
		s := int(scales[sub%8]>>(sub/8*4)&15) | int(scales[8+sub%4]>>(sub/4*2)&3)<<4
		dl := d * float32(s-32)
		for j := range 16 {
			i := sub*16 + j
			q := int(qs[i/128*32+i%32]>>(i/32%4*2)&3) - 4 + int(mask[i%32]>>(i/32)&1)<<2
			dst[i] = dl * float32(q)
		}
	}
}

// sixBits are scale and minimum of a sub-block of Q4_K and Q5_K: those of the first four are in the low 6 bits of bytes 0 to 3
// and 4 to 7, those of the last four in the halves of bytes 8 to 11, with their two high bits above the first.
func sixBits(b []byte, sub int) (scale, least float32) {
	if sub < 4 {
		return float32(b[sub] & 63), float32(b[sub+4] & 63)
	}
	low := b[sub+4]
	return float32(low&15 | b[sub-4]>>6<<4), float32(low>>4 | b[sub]>>6<<4)
}

func q4_K(dst []float32, b []byte) {
	d, least, scales, qs := half(b), half(b[2:]), b[4:16], b[16:]
	for sub := range 8 {
		s, m := sixBits(scales, sub)
		s, m = d*s, least*m
		for j, q := range qs[sub/2*32:][:32] {
			dst[sub*32+j] = float32(s*float32(q>>(sub%2*4)&15)) - m
		}
	}
}

func q5_K(dst []float32, b []byte) {
	d, least, scales, high, qs := half(b), half(b[2:]), b[4:16], b[16:48], b[48:]
	for sub := range 8 {
		s, m := sixBits(scales, sub)
		s, m = d*s, least*m
		for j, q := range qs[sub/2*32:][:32] {
			v := q>>(sub%2*4)&15 | high[j]>>sub&1<<4
			dst[sub*32+j] = float32(s*float32(v)) - m
		}
	}
}

// q6_K: 16 sub-blocks with scales of 8 bits. A byte of low halves holds values i and i+64, one of high pairs i, i+32, i+64, i+96.
func q6_K(dst []float32, b []byte) {
	low, high, scales, d := b[:128], b[128:192], b[192:208], half(b[208:])
	for sub := range 16 {
		s := d * float32(int8(scales[sub]))
		for j := range 16 {
			i := sub*16 + j
			q := low[i/128*64+i%64]>>(i/64%2*4)&15 | high[i/128*32+i%32]>>(i/32%4*2)&3<<4
			dst[i] = s * float32(int(q)-32)
		}
	}
}
