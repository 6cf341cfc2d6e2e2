package onnx

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ortserve/onnx/kernel"
)

// TestProviders opens a graph for a provider of the pinned library beside the processor's own, which computes no node of it: all fall back
// to the processor, and the answers are the same.
func TestProviders(t *testing.T) {
	const name = "genai-llama-int4"
	path, c := exported(t, name)
	if err := CheckProvider("azure"); err != nil {
		t.Error(err)
	}
	for _, missing := range []string{"openvino", "coreml", "dml", "qnn", "xnnpack", "tensorrt", "webgpu", "azureexecutionprovider", ""} {
		if err := CheckProvider(missing); err == nil || !strings.Contains(err.Error(), "it has azure, cpu (--onnxruntime names another)") {
			t.Errorf("the error of provider %q is %v", missing, err)
		}
	}
	o := wide
	o.Provider, o.ProviderOptions = "openvino", map[string]string{"device_type": "GPU"}
	if _, err := Open(path, c, o); err == nil || !strings.Contains(err.Error(), "was built without openvino") {
		t.Errorf("the error of a provider that is missing is %v", err)
	}
	o.Provider, o.ProviderOptions, o.Profile = "azure", nil, filepath.Join(t.TempDir(), "profile")
	s, err := Open(path, c, o)
	if err != nil {
		t.Fatal(err)
	}
	if d := s.Report().Device; d != "azure" {
		t.Errorf("the device is %q", d)
	}
	prompt, answer := longPrompt(t, name)
	g := &greedy{t: t, m: s}
	g.goOn("with another provider", g.next(prompt...), answer)
	inPlace := slices.IndexFunc(s.Abilities(), func(a Ability) bool { return a.Name == "a cache that stays in place" })
	if a := s.Abilities()[inPlace]; a.On || !strings.Contains(a.Why, "the provider copies it") {
		t.Errorf("%+v", a)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	placement, err := ReadPlacement(o.Profile)
	if err != nil || len(placement) != 1 || placement[0].Provider != "CPUExecutionProvider" {
		t.Fatalf("%+v, %v", placement, err)
	}
	if left, err := filepath.Glob(o.Profile + "*"); err != nil || len(left) > 0 {
		t.Errorf("it left %q, %v", left, err)
	}
	if _, err := ReadPlacement(o.Profile); err == nil {
		t.Error("a profile that is not there was read")
	}
}

// TestPlacement counts nodes whose number is known from the graph's own: what ONNX Runtime does not fuse.
func TestPlacement(t *testing.T) {
	own := kernel.MatMul
	if kernel.Best() == 0 {
		own = "MatMulNBits"
	}
	o := wide
	o.Profile = filepath.Join(t.TempDir(), "profile")
	path, c := exported(t, "genai-llama-int4")
	s, err := Open(path, c, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	placement, err := ReadPlacement(o.Profile)
	if err != nil || len(placement) != 1 {
		t.Fatalf("%+v, %v", placement, err)
	}
	want := map[string]int{"GroupQueryAttention": 2, own: 11, "SkipSimplifiedLayerNormalization": 4}
	sum := 0
	for _, op := range placement[0].Operators {
		sum += op.Nodes
		if n, ok := want[op.Name]; ok && n != op.Nodes {
			t.Errorf("%d nodes of %s, want %d", op.Nodes, op.Name, n)
		}
		delete(want, op.Name)
	}
	if len(want) > 0 || sum != placement[0].Nodes {
		t.Errorf("%+v lacks %v", placement, want)
	}
}

// TestAbilities: what is said of graphs of each kind, as the engine is told.
func TestAbilities(t *testing.T) {
	f := func(name string, deterministic bool, want ...string) {
		t.Helper()
		o := wide
		o.Deterministic = deterministic
		var got []string
		for _, a := range openExported(t, name, o).Abilities() {
			if !a.On {
				got = append(got, a.Name+": "+a.Why)
			}
			if !a.On && a.Why == "" {
				t.Errorf("%s: %s is off without a reason", name, a.Name)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%s: off are %q, want %q", name, got, want)
		}
		for i := range want {
			if !strings.Contains(got[i], want[i]) {
				t.Errorf("%s: %q, want %q in it", name, got[i], want[i])
			}
		}
	}
	f("genai-llama-int4", false)
	f("genai-llama-int4-prune", false, "speculation: the graph gives the logits of the last position alone")
	f("genai-mistral-fp32-window", false)
	f("optimum-llama-q4", false, "in place: the graph gives a new one", "same bits in any batch: rows of one run")
	f("optimum-llama-q4", true, "batching: --deterministic", "chunked prefill: --deterministic", "prefix reuse: a prompt is one run", "speculation: a prompt", "in place")
	f("optimum-llama-int8", false, "batching: the graph quantizes activations", "chunked prefill: the graph quantizes", "prefix reuse: a prompt", "speculation: a prompt", "in place")
}
