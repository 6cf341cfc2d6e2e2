package onnx

import (
	"context"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"ortserve/engine"
	"ortserve/internal/testenv"
	"ortserve/internal/testmodel"
	"ortserve/models/convert"
)

// importTest imports a test model with float32 weights, and with what o says beside.
func importTest(t *testing.T, c testmodel.Config, o convert.Options) (string, *Contract) {
	t.Helper()
	if _, err := Load(testenv.Runtime(t)); err != nil {
		t.Fatal(err)
	}
	gguf, dir := filepath.Join(t.TempDir(), "tiny.gguf"), filepath.Join(t.TempDir(), "tiny")
	if err := c.GGUF("smollm").Write(gguf); err != nil {
		t.Fatal(err)
	}
	if _, err := convert.GGUF(t.Context(), gguf, dir, o); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "model.onnx")
	contract, err := Inspect(path, Hints{})
	if err != nil {
		t.Fatal(err)
	}
	return path, contract
}

// int8KV is convert.Options.QuantizeKV of known sizes.
func int8KV(sizes [][2][]float32) func(context.Context, string) ([]convert.CacheSizes, error) {
	return func(context.Context, string) ([]convert.CacheSizes, error) { return sizes, nil }
}

// TestMeasureKV compares what is read in the cache with the reference's keys and values, of texts in one and in several runs.
func TestMeasureKV(t *testing.T) {
	config := testmodel.Config{Llama3: true, Seed: 5}
	f := func(o convert.Options, tolerance float64) {
		t.Helper()
		path, c := importTest(t, config, o)
		texts := [][]int32{tokens(1, 40), tokens(2, 25), tokens(3, 70)}
		got, err := MeasureKV(path, c, Options{Threads: 1, MaxLen: 64, Chunk: 30}, texts)
		if err != nil {
			t.Fatal(err)
		}
		var want [][2][]float32
		for _, ids := range texts {
			for layer, sizes := range testmodel.CacheSizes(config, ids[:min(len(ids), 64)]) {
				if layer == len(want) {
					want = append(want, sizes)
				}
				for side := range sizes {
					for i, v := range sizes[side] {
						want[layer][side][i] = max(want[layer][side][i], v)
					}
				}
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%d layers, want %d", len(got), len(want))
		}
		for layer, r := range got {
			for side, sizes := range [][]float32{r.Key, r.Value} {
				for i, v := range sizes {
					if w := want[layer][side][i]; !(math.Abs(float64(v-w)) <= tolerance*float64(w)) {
						t.Errorf("layer %d, side %d, number %d: %v, want %v", layer, side, i, v, w)
					}
				}
			}
		}
	}
	f(convert.Options{Bits: 32}, 1e-4)
	f(convert.Options{Bits: 16, Float16: true}, 1e-2)

	path, c := exported(t, "genai-llama-int4-kv8")
	if _, err := MeasureKV(path, c, Options{Threads: 1, MaxLen: 64, Chunk: 30}, [][]int32{{1, 2}}); err == nil || !strings.Contains(err.Error(), "the cache is int8") {
		t.Errorf("of a cache of int8: %v", err)
	}
}

// TestInt8KV compares a graph whose cache is int8 with the reference whose keys and values are rounded to the same steps: a prompt, chunks,
// steps, and sequences beside each other.
func TestInt8KV(t *testing.T) {
	config := testmodel.Config{Seed: 6}
	ids := tokens(4, 60)
	sizes := testmodel.CacheSizes(config, ids)
	path, c := importTest(t, config, convert.Options{Bits: 32, QuantizeKV: int8KV(sizes)})
	if c.KVType.String() != "int8" || c.TokenBytes()*4 != int64(len(c.KV)*c.KVHeads*c.HeadSize*4) {
		t.Fatalf("the cache is %s, %d bytes a token", c.KVType, c.TokenBytes())
	}
	s := openPath(t, path, c, options)
	scales := make([][2][]float32, len(sizes))
	for layer := range sizes {
		for side := range sizes[layer] {
			for _, v := range sizes[layer][side] {
				scales[layer][side] = append(scales[layer][side], v/127)
			}
		}
	}
	want, plain := testmodel.ReferenceInt8(config, ids, scales), testmodel.Reference(config, ids)
	check := func(what string, got []float32, position int) {
		t.Helper()
		rounding := largestDifference(want[position], plain[position])
		if d := largestDifference(got, want[position]); !(d < rounding/3) {
			t.Errorf("%s: logits at %d differ by %.2g, rounding the cache changes them by %.2g", what, position, d, rounding)
		}
	}
	check("a prompt", forward(t, s, engine.Row{Slot: 2, Tokens: ids[:50]}).Row(0), 49)
	for i := 50; i < 60; i++ {
		check("a step", forward(t, s, engine.Row{Slot: 2, Past: i, Tokens: ids[i : i+1]}).Row(0), i)
	}
	forward(t, s, engine.Row{Slot: 1, Tokens: ids[:20]})
	check("a chunk", forward(t, s, engine.Row{Slot: 1, Past: 20, Tokens: ids[20:37]}).Row(0), 36)
	both := forward(t, s, engine.Row{Slot: 1, Past: 37, Tokens: ids[37:38]}, engine.Row{Slot: 2, Past: 55, Tokens: ids[55:56]})
	check("a row", both.Row(0), 37)
	check("another row", both.Row(1), 55)
}
