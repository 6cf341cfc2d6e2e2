package nbits

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestError: a value comes back within half a step of its block, and 0 comes back as 0.
func TestError(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	f := func(f Format, n, k int) {
		t.Helper()
		if err := f.Check(); err != nil {
			t.Fatal(err)
		}
		x := make([]float32, n*k)
		for i := range x {
			x[i] = float32(r.NormFloat64())
			if r.IntN(8) == 0 {
				x[i] = 0
			}
		}
		clear(x[:min(f.Block, k)]) // a block of zeros
		var rows Rows
		if err := f.Quantize(&rows, x, k); err != nil {
			t.Fatal(err)
		}
		got := make([]float32, len(x))
		if err := f.Dequantize(got, &rows, n, k); err != nil {
			t.Fatal(err)
		}
		for i := range x {
			step := float32(0)
			if f.Quantized() {
				step = rows.Scales[i/k*f.Blocks(k)+i%k/f.Block]
			}
			limit := math.Abs(float64(step)) / 2
			if f.Symmetric { // the end of the range that is one step short
				limit *= 2
			}
			if f.Half { // a scale that is rounded moves the ends of the range
				limit += math.Abs(float64(step)) * float64(int(1)<<f.Bits) / 2048
			}
			if f.Bits == 16 {
				limit = math.Abs(float64(x[i])) / 2048
			}
			if d := math.Abs(float64(x[i] - got[i])); d > limit*1.0001 || x[i] == 0 && got[i] != 0 {
				t.Fatalf("%v: element %d: %v comes back as %v, step %v", f, i, x[i], got[i], step)
			}
		}
		if f.Half {
			return
		}
		// What is quantized already stays as it is.
		again := make([]float32, len(x))
		if err := f.Quantize(&rows, got, k); err != nil {
			t.Fatal(err)
		}
		if err := f.Dequantize(again, &rows, n, k); err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if d := math.Abs(float64(got[i] - again[i])); d > 1e-5*math.Abs(float64(got[i])) {
				t.Fatalf("%v: element %d: %v becomes %v when quantized again", f, i, got[i], again[i])
			}
		}
	}
	for _, bits := range []int{4, 8} {
		for _, block := range []int{16, 32, 64, 128, 256} {
			for i := range 4 {
				symmetric, half := i%2 == 1, i/2 == 1
				f(Format{Bits: bits, Block: block, Symmetric: symmetric, Half: half}, 3, 256)
				f(Format{Bits: bits, Block: block, Symmetric: symmetric, Half: half}, 2, 160) // the last block of some is not full
			}
		}
	}
	f(Format{Bits: 16}, 2, 30)
	f(Format{Bits: 32}, 2, 30)
}

func TestPacking(t *testing.T) {
	f := Format{Bits: 4, Block: 16, Symmetric: true}
	x := make([]float32, 16)
	for i := range x {
		x[i] = float32(i - 8)
	}
	var r Rows
	if err := f.Quantize(&r, x, 16); err != nil {
		t.Fatal(err)
	}
	want := []byte{0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe}
	if !slices.Equal(r.Weight, want) || r.Scales[0] != 1 {
		t.Errorf("weights %x scales %v, want %x and 1", r.Weight, r.Scales, want)
	}
	f.Symmetric = false
	for i := range x {
		x[i] = float32(i) - 3
	}
	if err := f.Quantize(&r, x, 16); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.Weight, want) || r.Scales[0] != 1 || !slices.Equal(r.Zeros, []byte{3}) {
		t.Errorf("weights %x scales %v zero points %v, want %x, 1 and 3", r.Weight, r.Scales, r.Zeros, want)
	}
}

func TestCheck(t *testing.T) {
	f := func(f Format, ok bool) {
		t.Helper()
		if err := f.Check(); (err == nil) != ok {
			t.Errorf("%+v: %v", f, err)
		}
	}
	f(Format{Bits: 4, Block: 32, Symmetric: false}, true)
	f(Format{Bits: 8, Block: 128, Symmetric: true}, true)
	f(Format{Bits: 16}, true)
	f(Format{Bits: 4, Block: 48, Symmetric: false}, false)
	f(Format{Bits: 4, Block: 0, Symmetric: false}, false)
	f(Format{Bits: 4, Block: 512, Symmetric: false}, false)
	f(Format{Bits: 5, Block: 32, Symmetric: false}, false)
	f(Format{Bits: 32, Block: 32, Symmetric: false}, false)
}

// TestFloat16 goes through all half-precision numbers, there and back, and through what lies between two of them.
func TestFloat16(t *testing.T) {
	for h := range 1 << 16 {
		v := FromFloat16(uint16(h))
		if math.IsNaN(float64(v)) {
			if h&0x7c00 != 0x7c00 || h&0x3ff == 0 || Float16(v)&0x7fff != 0x7e00 {
				t.Fatalf("%#x is %v", h, v)
			}
			continue
		}
		if got := Float16(v); got != uint16(h) {
			t.Fatalf("%#x -> %v -> %#x", h, v, got)
		}
		if next := FromFloat16(uint16(h + 1)); h&0x7fff < 0x7bff {
			middle := (v + next) / 2
			even := uint16(h + h&1)
			if got := Float16(middle); got != even {
				t.Fatalf("%v between %#x and %#x becomes %#x, not %#x", middle, h, h+1, got, even)
			}
			if got := Float16(math.Nextafter32(middle, v)); got != uint16(h) {
				t.Fatalf("just before the middle after %#x: %#x", h, got)
			}
		}
	}
	for v, want := range map[float32]float32{1: 1, -2.5: -2.5, 65504: 65504, 6.1035156e-05: 6.1035156e-05, 5.9604645e-08: 5.9604645e-08} {
		if got := FromFloat16(Float16(v)); got != want {
			t.Errorf("%v comes back as %v", v, got)
		}
	}
	if got := fmt.Sprint(FromFloat16(0x3555), FromFloat16(0x7c00), FromFloat16(0xfc00)); got != "0.33325195 +Inf -Inf" {
		t.Error(got)
	}
}
