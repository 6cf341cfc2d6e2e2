package convert

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"ortserve/models/convert/gguf"
	"ortserve/onnx/graph/llama"
	"ortserve/onnx/graph/nbits"
)

// TestRepackIsExact: what is only moved stands for the same values, bit for bit, in each format that holds them.
func TestRepackIsExact(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	f := func(typ gguf.Type, format nbits.Format) {
		t.Helper()
		if !holds(format, typ) {
			t.Fatalf("%v does not hold %v", format, typ)
		}
		const n, k = 5, 96
		_, size := typ.Block()
		raw := make([]byte, n*k/32*size)
		for i := range raw {
			raw[i] = byte(r.Uint32())
			if i%size == 1 {
				raw[i] = raw[i]&0x83 | 0x2c // scales that are numbers
			}
		}
		want := make([]float32, n*k)
		typ.Dequantize(want, raw)
		var rows nbits.Rows
		repack(&rows, format, typ, raw, n, k)
		got := make([]float32, n*k)
		if err := format.Dequantize(got, &rows, n, k); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v in %v: values differ", typ, format)
		}
	}
	for _, symmetric := range []bool{true, false} {
		f(gguf.Q8_0, nbits.Format{Bits: 8, Block: 32, Symmetric: symmetric})
		f(gguf.Q4_0, nbits.Format{Bits: 8, Block: 32, Symmetric: symmetric})
		f(gguf.Q4_0, nbits.Format{Bits: 4, Block: 32, Symmetric: symmetric})
	}
	for _, bad := range []nbits.Format{{Bits: 8, Block: 64}, {Bits: 4, Block: 32}} {
		if holds(bad, gguf.Q8_0) {
			t.Errorf("%v is said to hold Q8_0", bad)
		}
	}
}

func TestFormat(t *testing.T) {
	f := func(o Options, want nbits.Format, types ...gguf.Type) {
		t.Helper()
		if got := o.format(0, types...); got != want {
			t.Errorf("%+v for %v: %v, want %v", o, types, got, want)
		}
	}
	f(Options{}, nbits.Format{Bits: 8, Block: 64}, gguf.Q4_1)
	f(Options{}, nbits.Format{Bits: 8, Block: 32, Symmetric: true}, gguf.Q8_0, gguf.Q8_0)
	f(Options{}, nbits.Format{Bits: 4, Block: 32, Symmetric: true}, gguf.Q4_0)
	f(Options{}, nbits.Format{Bits: 8, Block: 64}, gguf.Q4_0, gguf.Q4_1)
	f(Options{Bits: 8}, nbits.Format{Bits: 8, Block: 64}, gguf.Q4_0)
	f(Options{Bits: 4}, nbits.Format{Bits: 4, Block: 32}, gguf.F16)
	f(Options{Bits: 4, Block: 128}, nbits.Format{Bits: 4, Block: 128}, gguf.Q4_0)
	f(Options{Block: 32}, nbits.Format{Bits: 8, Block: 32, Symmetric: true}, gguf.Q8_0)
	f(Options{Bits: 32}, nbits.Format{Bits: 32}, gguf.Q8_0)
}

// TestFindLlama3 goes from Llama 3.2's numbers to factors and back.
func TestFindLlama3(t *testing.T) {
	want := llama.Llama3{Factor: 32, LowFreq: 1, HighFreq: 4, Original: 8192}
	plain := llama.Rope{Base: 500000}.Frequencies(64)
	scaled := llama.Rope{Base: 500000, Llama3: &want}.Frequencies(64)
	factors := make([]float32, len(plain))
	for i := range factors {
		factors[i] = float32(plain[i] / scaled[i])
	}
	got := findLlama3(llama.Rope{Base: 500000}, factors)
	if got == nil || *got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	factors[10] *= 1.01
	if got := findLlama3(llama.Rope{Base: 500000}, factors); got != nil {
		t.Errorf("%+v for other factors", *got)
	}
	// Llama-3.2-1B's by the model card's formula: the first, one that is blended, the last.
	for i, want := range map[int]float64{0: 1, 16: 4.295567966e-4, 31: 9.41830672e-8} {
		if math.Abs(scaled[i]/want-1) > 1e-6 {
			t.Errorf("frequency %d is %v, want %v", i, scaled[i], want)
		}
	}
}
