package onnx

import (
	"slices"

	"ortserve/onnx/graph"
)

// readOperators reads what the nodes of a graph tell, those of graphs inside them included.
func (c *Contract) readOperators(g *graph.Graph) {
	eachNode(g, func(g *graph.Graph, n *graph.Node) {
		switch n.OpType {
		case "GroupQueryAttention":
			c.SharesBuffer = true
			c.readRotary(g, n, 7)
			c.readWindow(n)
		case "RotaryEmbedding":
			if n.Domain == microsoft { // ONNX's own has no position cache of a fixed place
				c.readRotary(g, n, 2)
			}
		case "MatMulNBits":
			c.Quantized = true
			c.PairedRows = c.PairedRows || pairsRows(n)
		case "DynamicQuantizeLinear", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "DynamicQuantizeLSTM":
			c.WholeTensorScale = true
		case "PagedAttention":
			c.paged = true
		}
	})
}

// microsoft is the domain of ONNX Runtime's own operators.
const microsoft = "com.microsoft"

// eachNode calls f for every node of g and of the graphs inside its nodes (If, Loop). What is nested too deep was refused on reading.
func eachNode(g *graph.Graph, f func(*graph.Graph, *graph.Node)) {
	for _, n := range g.Nodes {
		f(g, n)
		for _, a := range n.Attributes {
			if a.Graph != nil {
				eachNode(a.Graph, f)
			}
			for _, inner := range a.Graphs {
				eachNode(inner, f)
			}
		}
	}
}

// readRotary takes the number of positions from a node's rotary cache, input at, [positions, rotated size / 2]. The smallest counts. Where an
// If chooses between two caches by the length of the mask (LongRoPE, as Phi-3 has it) that is the one for short texts: what was stored with
// it would be wrong beside the other.
func (c *Contract) readRotary(g *graph.Graph, n *graph.Node, at int) {
	if at >= len(n.Inputs) || n.Inputs[at] == "" {
		return
	}
	tables := rotaryTables(g, n.Inputs[at])
	for _, t := range tables {
		if len(t.Dims) != 2 || t.Dims[0] <= 0 || t.Dims[0] > maxDimension {
			continue
		}
		if positions := int(t.Dims[0]); c.MaxPositions == 0 || positions < c.MaxPositions {
			c.MaxPositions = positions
		}
	}
	c.TwoTables = c.TwoTables || len(tables) > 1
}

// rotaryTables returns what a value may be: a tensor of the graph, or one of each branch of an If.
func rotaryTables(g *graph.Graph, name string) []*graph.Tensor {
	if t := g.Initializer(name); t != nil {
		return []*graph.Tensor{t}
	}
	for _, n := range g.Nodes {
		i := slices.Index(n.Outputs, name)
		if i < 0 {
			continue
		}
		if a := n.Attribute("value"); n.OpType == "Constant" && a != nil && a.Tensor != nil {
			return []*graph.Tensor{a.Tensor}
		}
		if n.OpType != "If" {
			return nil
		}
		var all []*graph.Tensor
		for _, a := range n.Attributes {
			if a.Graph != nil && i < len(a.Graph.Outputs) {
				all = append(all, rotaryTables(a.Graph, a.Graph.Outputs[i].Name)...)
			}
		}
		return all
	}
	return nil
}

// readWindow notes which layers' caches may be shorter than a sequence: those of nodes with sliding_window_cache (ONNX Runtime 1.29). The
// cache needs at least local_window_size rows and wraps: newer rows take the place of the oldest.
func (c *Contract) readWindow(n *graph.Node) {
	window := n.Int("local_window_size", -1)
	if n.Int("sliding_window_cache", 0) != 1 || window <= 0 || window > maxDimension {
		return
	}
	for i := range c.KV {
		for _, at := range []int{3, 4} { // past_key, past_value
			if at < len(n.Inputs) && n.Inputs[at] == c.KV[i].Past {
				c.KV[i].Window = int(window)
			}
		}
	}
}

// pairsRows says whether a node's kernel computes rows in pairs with another order of sums than a single row. Measured on x86-64 with
// AVX512-VNNI: at accuracy level 4 (int8 activations) 4-bit blocks of 16 and 32 and 8-bit blocks of 16 to 64 do not, all others do.
func pairsRows(n *graph.Node) bool {
	bits, block := n.Int("bits", 4), n.Int("block_size", 32)
	exact := bits == 4 && block <= 32 || bits == 8 && block <= 64
	return !exact || n.Int("accuracy_level", 0) != 4
}
