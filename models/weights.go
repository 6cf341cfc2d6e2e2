package models

import (
	"fmt"
	"io/fs"
	"maps"
	"math"
	"path"
	"slices"
	"strings"

	"ortserve/onnx/graph"
)

// maxGraphBytes is the size up to which a graph is read to describe it. A larger one has its weights inside.
const maxGraphBytes = 64 << 20

// weightsKey is the key of the graph's metadata under which our importer names the format of the weights.
const weightsKey = "weights"

// weights is what a graph says of its weights.
type weights struct {
	files  []string         // external data, relative to the model's directory
	counts map[string]int64 // weights of matrices by their kind: "int4", "fp16", …
	label  string           // what the graph's metadata calls their format: "int8 block 64 asymmetric"; empty where it does not
}

// readWeights reads the graph called name. It returns nil where the graph is large or cannot be read: whether it can be
// run is for ONNX Runtime to say.
func readWeights(f files, name string) (*weights, error) {
	info, err := fs.Stat(f.fsys, name)
	if err != nil || info.Size() > maxGraphBytes {
		return nil, nil //nolint:nilerr // the caller looks at the file itself
	}
	data, _, err := f.read(name, maxGraphBytes)
	if err != nil {
		return nil, err
	}
	model, err := graph.Read(data)
	if err != nil || model.Graph == nil {
		return nil, nil //nolint:nilerr // see above
	}
	w := &weights{counts: map[string]int64{}}
	for _, e := range model.Metadata {
		if e.Key == weightsKey {
			w.label = clip(e.Value)
		}
	}
	found := map[string]int64{} // the file and where the last of its tensors ends
	for _, t := range model.Graph.Initializers {
		if t.External == nil {
			continue
		}
		file := path.Join(path.Dir(name), t.External.Location)
		if path.IsAbs(t.External.Location) || !fs.ValidPath(file) || strings.ContainsAny(file, `\:`) {
			return nil, f.fail(name, fmt.Errorf("keeps data in %q, which is not in the directory", clip(t.External.Location)))
		}
		found[file] = max(found[file], endOf(t))
	}
	w.files = slices.Sorted(maps.Keys(found))
	for _, file := range w.files { // one that is missing is an error of its own
		if info, err := fs.Stat(f.fsys, file); err == nil && info.Size() < found[file] {
			return nil, f.fail(file, fmt.Errorf("has %d bytes, the weights in it reach to byte %d: it was cut short", info.Size(), found[file]))
		}
	}
	w.count(model.Graph)
	return w, nil
}

// endOf returns where in its file the values of t end, 0 where that is not known.
func endOf(t *graph.Tensor) int64 {
	n := t.External.Length
	if n < 0 {
		n, _ = t.Bytes() // of a type whose size is not known: 0
	}
	if t.External.Offset < 0 || n > math.MaxInt64-t.External.Offset {
		return math.MaxInt64
	}
	return t.External.Offset + n
}

// count sums up the matrices of g: initializers of two dimensions or more, and those packed for operators that quantize.
func (w *weights) count(g *graph.Graph) {
	inputs := map[string]bool{} // counted, or no weights
	initializers := map[string]*graph.Tensor{}
	for _, t := range g.Initializers {
		initializers[t.Name] = t
	}
	packed := func(n *graph.Node, at int, kind string, elements int64) {
		if at < len(n.Inputs) && initializers[n.Inputs[at]] != nil && !inputs[n.Inputs[at]] {
			inputs[n.Inputs[at]] = true
			w.counts[kind] += elements
		}
	}
	for _, n := range g.Nodes {
		switch n.OpType {
		case "MatMulNBits": // packed, scales and zero points are inputs 1, 2, 3
			packed(n, 1, fmt.Sprintf("int%d", n.Int("bits", 4)), n.Int("K", 0)*n.Int("N", 0))
		case "GatherBlockQuantized": // packed, indices, scales, zero points
			if len(n.Inputs) > 0 && initializers[n.Inputs[0]] != nil {
				bits := n.Int("bits", 4)
				elements := product(initializers[n.Inputs[0]].Dims)
				if initializers[n.Inputs[0]].Type == graph.Uint8 {
					elements *= 8 / max(bits, 1)
				}
				packed(n, 0, fmt.Sprintf("int%d", bits), elements)
			}
		case "GroupQueryAttention", "RotaryEmbedding": // cosines and sines
		default:
			continue
		}
		for _, name := range n.Inputs {
			inputs[name] = true
		}
	}
	names := map[graph.DataType]string{
		graph.Float32: "fp32", graph.Float16: "fp16", graph.BFloat16: "bf16", graph.Int8: "int8", graph.Uint8: "int8",
		graph.Int4: "int4", graph.Uint4: "int4",
	}
	for _, t := range g.Initializers {
		if kind := names[t.Type]; kind != "" && len(t.Dims) >= 2 && !inputs[t.Name] {
			w.counts[kind] += product(t.Dims)
		}
	}
}

func product(dims []int64) int64 {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	return n
}

// quantization is the format that the graph names, else the kind of most weights; empty where there are none.
func (w *weights) quantization() string {
	if w.label != "" {
		return w.label
	}
	best := ""
	for _, kind := range slices.Sorted(maps.Keys(w.counts)) {
		if w.counts[kind] > 0 && (best == "" || w.counts[kind] > w.counts[best]) {
			best = kind
		}
	}
	return best
}

// total is the number of weights.
func (w *weights) total() int64 {
	n := int64(0)
	for _, c := range w.counts {
		n += c
	}
	return n
}
