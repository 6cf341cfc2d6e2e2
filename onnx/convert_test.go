package onnx

import (
	"math"
	"testing"
	"unsafe"

	"ortserve/onnx/graph"
	"ortserve/onnx/graph/nbits"
)

// TestWiden converts every half-precision and every bfloat16 number.
func TestWiden(t *testing.T) {
	src := make([]uint16, 1<<16)
	for i := range src {
		src[i] = uint16(i)
	}
	raw := memory(unsafe.Slice((*byte)(unsafe.Pointer(&src[0])), 2*len(src)))
	got := make([]float32, len(src))
	same := func(a, b float32) bool {
		return math.Float32bits(a) == math.Float32bits(b) || math.IsNaN(float64(a)) && math.IsNaN(float64(b))
	}
	if err := widen(got, raw, graph.Float16); err != nil {
		t.Fatal(err)
	}
	for i, v := range got {
		if want := nbits.FromFloat16(uint16(i)); !same(v, want) {
			t.Fatalf("float16 %04x: %g, want %g", i, v, want)
		}
	}
	if err := widen(got, raw, graph.BFloat16); err != nil {
		t.Fatal(err)
	}
	for i, v := range got { // sign, 8 bits of exponent, 7 of fraction
		sign, exponent, fraction := 1-2*float64(i>>15), i>>7&255, float64(i&127)/128
		want := sign * math.Ldexp(1+fraction, exponent-127)
		switch exponent {
		case 0:
			want = sign * math.Ldexp(fraction, -126)
		case 255:
			want = sign * math.Inf(1)
			if fraction != 0 {
				want = math.NaN()
			}
		}
		if float64(v) != want && !(v != v && want != want) {
			t.Fatalf("bfloat16 %04x: %g, want %g", i, v, want)
		}
	}
	if err := widen(got, raw, graph.Int8); err == nil {
		t.Error("int8 logits were read")
	}
}

func BenchmarkWidenFloat16(b *testing.B) {
	src, dst := make([]uint16, 128256), make([]float32, 128256)
	for i := range src {
		src[i] = nbits.Float16(float32(i%997)/50 - 10)
	}
	b.SetBytes(int64(len(dst)))
	for b.Loop() {
		widenFloat16(dst, src)
	}
}
