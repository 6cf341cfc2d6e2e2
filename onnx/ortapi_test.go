package onnx

import (
	"slices"
	"strings"
	"testing"
	"unsafe"

	ort "github.com/yalue/onnxruntime_go"

	"ortserve/internal/testenv"
	"ortserve/onnx/graph"
)

// The table of the pinned library is laid out as ortapi.go says, and a tensor that it makes is one for the binding: it goes into a run.
func TestAPI(t *testing.T) {
	if _, err := Load(testenv.Runtime(t)); err != nil {
		t.Fatal(err)
	}
	api, err := loadAPI()
	if err != nil {
		t.Fatal(err)
	}
	all, err := api.providers()
	if err != nil || !slices.Contains(all, "CPUExecutionProvider") || slices.Contains(all, "CUDAExecutionProvider") {
		t.Errorf("the providers are %q, %v", all, err)
	}
	if _, err := api.memory("Nowhere", 0); err == nil || !strings.Contains(err.Error(), "not supported") {
		t.Errorf("the error of a memory that nobody knows is %v", err)
	}
	if _, err := CUDAMemory(0); err == nil || !strings.Contains(err.Error(), "was built without CUDA") {
		t.Errorf("the error of CUDAMemory is %v", err)
	}
	cpu, err := api.memory("Cpu", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer api.release(cpu)
	m, err := mapMemory(4 * 8)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.free() }()
	copy(view[float32](m), []float32{1, 2, 3, 4})
	address := uintptr(unsafe.Pointer(&m[0]))
	if _, err := api.tensor(cpu, address, 8, ort.NewShape(2, 2), ort.TensorElementDataTypeFloat); err == nil {
		t.Error("a tensor beyond its memory was made")
	}
	in, err := api.tensor(cpu, address, 16, ort.NewShape(2, 2), ort.TensorElementDataTypeFloat)
	if err != nil {
		t.Fatal(err)
	}
	out, err := api.tensor(cpu, address+16, 16, ort.NewShape(2, 2), ort.TensorElementDataTypeFloat)
	if err != nil {
		t.Fatal(err)
	}
	run(t, in, out)
	for i, want := range []float32{2, 4, 6, 8} {
		if got := view[float32](m)[4+i]; got != want {
			t.Errorf("number %d is %v, want %v", i, got, want)
		}
	}
	for _, v := range []ort.Value{in, out, in} { // twice does no harm
		if err := v.Destroy(); err != nil {
			t.Error(err)
		}
	}
}

// run adds in to itself.
func run(t *testing.T, in, out ort.Value) {
	t.Helper()
	four := []graph.Dim{{Value: 2}, {Value: 2}}
	m := graph.Model{IRVersion: 8, Opsets: []graph.Opset{{Version: 17}}, Graph: &graph.Graph{
		Name:    "double",
		Nodes:   []*graph.Node{{OpType: "Add", Inputs: []string{"x", "x"}, Outputs: []string{"y"}}},
		Inputs:  []*graph.ValueInfo{{Name: "x", Kind: graph.KindTensor, Type: graph.Float32, Shape: four, HasShape: true}},
		Outputs: []*graph.ValueInfo{{Name: "y", Kind: graph.KindTensor, Type: graph.Float32, Shape: four, HasShape: true}},
	}}
	s, err := ort.NewDynamicAdvancedSessionWithONNXData(m.Marshal(), []string{"x"}, []string{"y"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Destroy() }()
	if err := s.Run([]ort.Value{in}, []ort.Value{out}); err != nil {
		t.Fatal(err)
	}
}
