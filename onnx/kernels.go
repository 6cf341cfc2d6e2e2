package onnx

import (
	"errors"
	"fmt"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"ortserve/onnx/graph"
	"ortserve/onnx/kernel"
)

// tryKernels lets ONNX Runtime compute a small product with the operators of package kernel, of each instruction set that the processor has,
// once. The error says what of the library does not go with them.
var tryKernels = sync.OnceValue(func() error {
	for isa := kernel.Best(); isa > 0; isa-- {
		if !isa.Runs() {
			continue
		}
		if err := tryKernel(isa); err != nil {
			return fmt.Errorf("the kernels for %s do not go with ONNX Runtime %s (--kernels onnxruntime takes none): %w", isa, Version(), err)
		}
	}
	return nil
})

// tryKernel computes 1 · w, where each number of w's row n is n % 7, and its block's scale 2.
func tryKernel(isa kernel.ISA) (err error) {
	const k, n, block = 64, 24, 32
	x := make([]float32, k)
	var numbers []byte
	var scales []float32
	for row := range n {
		for range k / 2 {
			numbers = append(numbers, byte(8+row%7)*0x11) // the zero point is 8
		}
		scales = append(scales, 2, 2)
	}
	for i := range x {
		x[i] = 1
	}
	m := graph.Model{IRVersion: 8, Opsets: []graph.Opset{{Version: 17}, {Domain: kernel.Domain, Version: 1}}, Graph: &graph.Graph{
		Name:    "trial",
		Inputs:  []*graph.ValueInfo{graph.Value("x", graph.Float32, 1, k)},
		Outputs: []*graph.ValueInfo{graph.Value("y", graph.Float32, 1, n)},
		Initializers: []*graph.Tensor{
			{Name: "w", Type: graph.Uint8, Dims: []int64{n, k / block, block / 2}, Raw: numbers},
			graph.Float32Tensor("s", []int64{n, k / block}, scales...),
		},
		Nodes: []*graph.Node{{
			OpType: kernel.MatMul, Domain: kernel.Domain, Inputs: []string{"x", "w", "s"}, Outputs: []string{"y"},
			Attributes: matMulAttributes(k, n, 4, block, isa, 1),
		}},
	}}
	opts, err := ort.NewSessionOptions()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opts.Destroy()) }()
	if err := errors.Join(opts.SetIntraOpNumThreads(1), addOperators(opts)); err != nil {
		return err
	}
	s, err := ort.NewDynamicAdvancedSessionWithONNXData(m.Marshal(), []string{"x"}, []string{"y"}, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Destroy()) }()
	in, err := ort.NewTensor(ort.NewShape(1, k), x)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Destroy()) }()
	out := []ort.Value{nil}
	if err := s.Run([]ort.Value{in}, out); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out[0].Destroy()) }()
	y, ok := out[0].(*ort.Tensor[float32])
	if !ok || len(y.GetData()) != n {
		return fmt.Errorf("the result is %v", out[0].GetShape())
	}
	for row, got := range y.GetData() {
		if want := float32(2 * k * (row % 7)); got-want > 1e-4*k || want-got > 1e-4*k {
			return fmt.Errorf("output %d of a product is %v, want %v", row, got, want)
		}
	}
	return nil
}

// matMulAttributes are those of kernel.MatMul.
func matMulAttributes(k, n, bits, block int64, isa kernel.ISA, threads int) []*graph.Attribute {
	return []*graph.Attribute{
		graph.Int("K", k), graph.Int("N", n), graph.Int("bits", bits), graph.Int("block_size", block),
		graph.Int("isa", int64(isa)), graph.Int("threads", int64(threads)),
	}
}
