package onnx

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	ort "github.com/yalue/onnxruntime_go"

	"ortserve/onnx/graph"
	"ortserve/onnx/kernel"
)

// Kernels that Options.Kernels may name, beside those of an instruction set (kernel.Parse).
const (
	KernelsAuto = "auto"        // the best that the processor has
	KernelsORT  = "onnxruntime" // ONNX Runtime's own
)

// CheckKernels says whether Options.Kernels may have this name. The error names the flag.
func CheckKernels(name string) error {
	_, err := chooseKernels(Options{Kernels: name})
	return err
}

// chooseKernels returns the instruction set that Options ask for, 0 for ONNX Runtime's kernels.
func chooseKernels(o Options) (kernel.ISA, error) {
	switch {
	case o.Provider != "" && o.Provider != ProviderCPU || o.Kernels == KernelsORT:
		return 0, nil
	case o.Kernels == "" || o.Kernels == KernelsAuto:
		return kernel.Best(), nil
	}
	isa, err := kernel.Parse(o.Kernels)
	if err != nil {
		return 0, fmt.Errorf("--kernels: %w", err)
	}
	return isa, nil
}

// rewriting puts operators of ours in the place of ONNX Runtime's in a graph.
type rewriting struct {
	isa     kernel.ISA
	threads int
	half    bool // the cache becomes float16

	graph    *graph.Graph
	cache    map[string]bool          // the inputs and outputs that become float16
	constant map[string]*graph.Tensor // initializers that no input replaces
	replaced int

	folder    string            // of external data
	locations map[string]string // of external data there, by what the graph says, where it is another
	paired    bool              // Contract.PairedRows of what is left
}

// rewriteFile returns the model at path with operators of ours, nil where no node is one that they can compute. Half makes a float32 cache
// float16, see Contract.HalfKV.
func rewriteFile(path string, isa kernel.ISA, threads int, half bool) (_ []byte, _ *rewriting, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	m, err := graph.Read(b)
	if err != nil {
		return nil, nil, err
	}
	r := &rewriting{isa: isa, threads: threads, half: half, graph: m.Graph, cache: map[string]bool{}, constant: map[string]*graph.Tensor{}}
	for _, n := range m.Graph.Nodes {
		if half && ownAttention(m.Graph, n) == kernel.Attention {
			r.cache[n.Inputs[3]], r.cache[n.Inputs[4]], r.cache[n.Outputs[1]], r.cache[n.Outputs[2]] = true, true, true, true
		}
	}
	for _, t := range m.Graph.Initializers {
		if m.Graph.Input(t.Name) == nil {
			r.constant[t.Name] = t
		}
	}
	if r.folder, r.locations, err = followLinks(path, m.Graph.Initializers); err != nil {
		return nil, nil, nil //nolint:nilerr // ONNX Runtime refuses it with the graph's own file
	}
	b, err = graph.Rewrite(b, graph.Changes{Node: r.replace, Initializer: r.relocate, Value: r.retype, Uses: []graph.Opset{{Domain: kernel.Domain, Version: 1}}})
	if err != nil || r.replaced == 0 {
		return nil, nil, err
	}
	eachNode(m.Graph, func(g *graph.Graph, n *graph.Node) {
		if n.OpType == "MatMulNBits" && (g != m.Graph || r.own(n) == nil) { // it stays
			r.paired = r.paired || pairsRows(n)
		}
	})
	return b, r, nil
}

// retype returns v as float16 where it is of the cache and that becomes float16.
func (r *rewriting) retype(v *graph.ValueInfo) *graph.ValueInfo {
	if !r.cache[v.Name] {
		return nil
	}
	half := *v
	half.Type = graph.Float16
	return &half
}

// replace returns the node that takes the place of n, nil where n stays, and counts it.
func (r *rewriting) replace(n *graph.Node) *graph.Node {
	own := r.own(n)
	if own != nil {
		r.replaced++
	}
	return own
}

// own returns the node with an operator of ours for n, nil where there is none.
func (r *rewriting) own(n *graph.Node) *graph.Node {
	if n.OpType == "MatMulNBits" && n.Domain == microsoft {
		return r.matMul(n)
	}
	return r.attention(n)
}

// followLinks returns the folder that the graph's file lies in, and where the external data of tensors lies there. A file that is a link, as in
// Hugging Face's cache, is followed, and so are links of its data. The error says that data lies outside of the folder.
func followLinks(path string, tensors []*graph.Tensor) (folder string, locations map[string]string, err error) {
	file, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", nil, err
	}
	folder, locations = filepath.Dir(file), map[string]string{}
	if real, err := filepath.EvalSymlinks(filepath.Dir(path)); err != nil || real == folder {
		return folder, locations, err // ONNX Runtime follows links within it
	}
	for _, t := range tensors {
		if t.External == nil || locations[t.External.Location] != "" {
			continue
		}
		data, err := filepath.EvalSymlinks(filepath.Join(filepath.Dir(path), t.External.Location))
		if err != nil {
			return "", nil, err
		}
		relative, err := filepath.Rel(folder, data)
		if err != nil || !filepath.IsLocal(relative) || !filepath.IsLocal(t.External.Location) {
			return "", nil, fmt.Errorf("%s is not in the folder of the graph", t.External.Location)
		}
		locations[t.External.Location] = relative
	}
	return folder, locations, nil
}

// relocate returns the initializer with the place of its external data, nil where that stays.
func (r *rewriting) relocate(t *graph.Tensor) *graph.Tensor {
	if t.External == nil || r.locations[t.External.Location] == "" {
		return nil
	}
	own, external := *t, *t.External
	external.Location = r.locations[t.External.Location]
	own.External = &external
	return &own
}

// matMul returns the operator for a MatMulNBits, nil where it is none that it can compute: float32 activations, which the scales tell,
// quantized at run time, and constant weights in the order of K with whole-numbered zero points.
func (r *rewriting) matMul(n *graph.Node) *graph.Node {
	bits, block := n.Int("bits", 4), n.Int("block_size", 0)
	if n.Int("accuracy_level", 0) != 4 || bits != 4 && bits != 8 || !slices.Contains([]int64{16, 32, 64, 128, 256}, block) || n.Int("weight_prepacked", 0) != 0 {
		return nil
	}
	const weights, scales, zeros, order, bias = 1, 2, 3, 4, 5
	is := func(i int, t graph.DataType, optional bool) bool {
		c := r.constant[n.Input(i)]
		return optional && n.Input(i) == "" || c != nil && c.Type == t
	}
	if !is(weights, graph.Uint8, false) || !is(scales, graph.Float32, false) || !is(zeros, graph.Uint8, true) || n.Input(order) != "" || !is(bias, graph.Float32, true) {
		return nil
	}
	return &graph.Node{
		Name: n.Name, OpType: kernel.MatMul, Domain: kernel.Domain, Outputs: n.Outputs,
		Inputs:     []string{n.Inputs[0], n.Input(weights), n.Input(scales), n.Input(zeros), n.Input(bias)},
		Attributes: matMulAttributes(n.Int("K", 0), n.Int("N", 0), bits, block, r.isa, r.threads),
	}
}

// loadSession lets ONNX Runtime load the graph at path, with kernels of ours where isa is one and the graph has nodes for them. Half makes
// its cache float16.
func loadSession(path string, isa kernel.ISA, threads int, half bool, inputs, outputs []string, opts *ort.SessionOptions) (_ *ort.DynamicAdvancedSession, own *rewriting, err error) {
	var model []byte
	if isa != 0 {
		if model, own, err = rewriteFile(path, isa, threads, half); err != nil {
			return nil, nil, err
		}
	}
	var s *ort.DynamicAdvancedSession
	if own == nil {
		s, err = ort.NewDynamicAdvancedSession(path, inputs, outputs, opts)
	} else if err = tryKernels(); err != nil {
		return nil, nil, err
	} else if err = errors.Join(addOperators(opts), opts.AddSessionConfigEntry("session.model_external_initializers_file_folder_path", own.folder)); err == nil {
		s, err = ort.NewDynamicAdvancedSessionWithONNXData(model, inputs, outputs, opts)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("ONNX Runtime %s cannot load it: %w", Version(), err)
	}
	return s, own, nil
}

// load loads the graph at path with the kernels that o names.
func (r *runner) load(path string, opts *ort.SessionOptions, o Options) error {
	isa, err := chooseKernels(o)
	if err != nil {
		return err
	}
	var own *rewriting
	if r.contract, err = r.contract.For(o); err != nil {
		return err
	}
	half := r.contract.HalfKV && r.contract.KVType == graph.Float16
	if r.session, own, err = loadSession(path, isa, o.Threads, half, r.contract.inputs(), r.contract.outputs(), opts); err != nil {
		return err
	}
	r.kernels = KernelsORT
	if own == nil && half { // the file could not be rewritten, but ONNX Runtime takes it
		c := *r.contract
		c.KVType = graph.Float32
		r.contract = &c
	}
	if own != nil {
		r.kernels = fmt.Sprintf("%s (%d nodes)", isa, own.replaced)
		c := *r.contract
		c.PairedRows = own.paired
		r.contract = &c
	}
	return nil
}
