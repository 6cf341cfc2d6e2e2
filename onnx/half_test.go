package onnx

import (
	"slices"
	"strings"
	"testing"

	"ortserve/engine"
	"ortserve/internal/testmodel"
	"ortserve/onnx/graph"
)

// TestHalfKV: where kernels of ours compute attention, a float32 cache may be float16: half the memory, nearly the same logits, the same
// bits in every run; prefixes are copied as they are.
func TestHalfKV(t *testing.T) {
	ownKernels(t)
	o := options
	wide := openTest(t, testmodel.Config{}, o)
	o.KV = KVAuto
	if s := openTest(t, testmodel.Config{}, o); s.Contract().KVType != graph.Float32 {
		t.Errorf("of weights of float32 the cache is %s", s.Contract().KVType)
	}
	if s := openTest(t, testmodel.Config{Bits: 4}, o); s.Contract().KVType != graph.Float16 {
		t.Errorf("of weights of 4 bits the cache is %s", s.Contract().KVType)
	}
	o.KV = KVFloat16
	s := openTest(t, testmodel.Config{}, o)
	if s.Contract().KVType != graph.Float16 || 2*s.Contract().SlotBytes(100) != wide.Contract().SlotBytes(100) {
		t.Fatalf("the cache is %s, %d bytes a token of %d", s.Contract().KVType, s.Contract().TokenBytes(), wide.Contract().TokenBytes())
	}
	ids := tokens(1, 60)
	prompt := engine.Row{Tokens: ids[:50], Logits: 1}
	want := forward(t, wide, prompt)
	got := forward(t, s, prompt)
	d := apart(got.Data, want.Data)
	if !(d > 0 && d < 5e-3) {
		t.Errorf("a prompt: %s, want few and not none", describeApart(d))
	}
	t.Logf("float16 against float32: %s", describeApart(d))

	// A prompt in two runs, token by token, and behind a copied prefix.
	forward(t, s, engine.Row{Slot: 1, Tokens: ids[:20]})
	if again := forward(t, s, engine.Row{Slot: 1, Past: 20, Tokens: ids[20:50], Logits: 1}); !sameBits(again.Data, got.Data) {
		t.Error("a prompt in two runs has other bits")
	}
	if err := s.Copy(2, 0, 49); err != nil {
		t.Fatal(err)
	}
	if again := forward(t, s, engine.Row{Slot: 2, Past: 49, Tokens: ids[49:50], Logits: 1}); !sameBits(again.Data, got.Data) {
		t.Error("the last token behind a copied prefix has other bits")
	}
	both := forward(t, s, engine.Row{Slot: 0, Past: 50, Tokens: ids[50:51]}, engine.Row{Slot: 1, Past: 30, Tokens: ids[30:31]})
	alone := slices.Concat(forward(t, s, engine.Row{Slot: 0, Past: 50, Tokens: ids[50:51]}).Data, forward(t, s, engine.Row{Slot: 1, Past: 30, Tokens: ids[30:31]}).Data)
	if !sameBits(both.Data, alone) {
		t.Error("two rows have other bits than each alone")
	}
}

// TestHalfKVRefused: what cannot be kept as float16 stays as it is, and is refused where it was asked for.
func TestHalfKVRefused(t *testing.T) {
	c := &Contract{KVType: graph.Int8}
	if got, err := c.For(Options{KV: KVAuto}); err != nil || got != c {
		t.Errorf("int8, auto: %v, %v", got, err)
	}
	if _, err := c.For(Options{KV: KVFloat16}); err == nil || !strings.Contains(err.Error(), "--kv f16: the graph's cache is int8") {
		t.Errorf("int8, f16: %v", err)
	}
	c = &Contract{KVType: graph.Float32, HalfKV: true, Quantized: true}
	for _, o := range []Options{{KV: KVAuto, Kernels: KernelsORT}, {KV: KVFloat32}, {}, {KV: KVAuto, Provider: "openvino"}} {
		if got, err := c.For(o); err != nil || got.KVType != graph.Float32 {
			t.Errorf("%+v: %v, %v", o, got, err)
		}
	}
	if _, err := c.For(Options{KV: KVFloat16, Kernels: KernelsORT}); err == nil {
		t.Error("f16 with ONNX Runtime's kernels is not refused")
	}
}
