package onnx

import "ortserve/onnx/graph"

// Weights is what a decode step reads of a graph's constants: all of every matrix, but of an embedding or a rotary cache one row, which
// does not count.
type Weights struct {
	Bytes      int64 // with scales and zero points
	Parameters int64 // numbers of the matrices before they were quantized
}

// Bits is how many bits a parameter takes, scales and zero points included; 0 where there are none.
func (w Weights) Bits() float64 {
	if w.Parameters == 0 {
		return 0
	}
	return 8 * float64(w.Bytes) / float64(w.Parameters)
}

// ReadWeights counts the weights of the graph in the file path.
func ReadWeights(path string) (Weights, error) {
	m, err := graph.ReadFile(path)
	if err != nil {
		return Weights{}, err
	}
	return countWeights(m.Graph)
}

// countWeights counts each constant once, however many nodes read it.
func countWeights(g *graph.Graph) (w Weights, err error) {
	seen := map[*graph.Tensor]bool{}
	eachNode(g, func(in *graph.Graph, n *graph.Node) {
		first := 0
		switch n.OpType {
		case "Gather", "GatherBlockQuantized":
			return
		case "GroupQueryAttention", "RotaryEmbedding":
			first = len(n.Inputs) // rotary caches; they have no other matrix
		}
		rows, columns := n.Int("K", 0), n.Int("N", 0) // of operators whose weights are packed
		for i, name := range n.Inputs[first:] {
			t := in.Initializer(name)
			if t == nil {
				t = g.Initializer(name) // a graph inside a node sees the outer one's
			}
			if t == nil || seen[t] {
				continue
			}
			seen[t] = true
			bytes, berr := t.Bytes()
			if berr != nil {
				err = berr
				return
			}
			w.Bytes += bytes
			switch {
			case rows > 0 && columns > 0:
				if i == 1 {
					w.Parameters += rows * columns
				}
			case len(t.Dims) == 2 && t.Type.Bits() > 0 && t.Type.Bits() < 64:
				w.Parameters += bytes * 8 / int64(t.Type.Bits())
			}
		}
	})
	return w, err
}
