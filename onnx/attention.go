package onnx

import (
	"fmt"
	"slices"

	"ortserve/onnx/graph"
	"ortserve/onnx/kernel"
)

// attentionAttributes are those of GroupQueryAttention that package kernel heeds, or whose usual values are all it can do.
var attentionAttributes = []string{
	"num_heads", "kv_num_heads", "scale", "do_rotary", "rotary_interleaved", "local_window_size", "softcap", "smooth_softmax", "qk_output",
	"k_quant_type", "v_quant_type", "kv_cache_bit_width", "causal", "sliding_window_cache",
}

// attention returns the operator for a GroupQueryAttention, nil where there is none.
func (r *rewriting) attention(n *graph.Node) *graph.Node {
	op := ownAttention(r.graph, n)
	if op == "" {
		return nil
	}
	if op == kernel.Attention && r.half {
		op = kernel.AttentionFloat16
	}
	scale := float32(0)
	if a := n.Attribute("scale"); a != nil {
		scale = a.Float
	}
	return &graph.Node{Name: n.Name, Domain: kernel.Domain, OpType: op, Inputs: n.Inputs, Outputs: n.Outputs[:3], Attributes: []*graph.Attribute{
		graph.Int("num_heads", n.Int("num_heads", 0)), graph.Int("kv_num_heads", n.Int("kv_num_heads", 0)), graph.Float("scale", scale),
		graph.Int("do_rotary", n.Int("do_rotary", 0)), graph.Int("rotary_interleaved", n.Int("rotary_interleaved", 0)),
		graph.Int("local_window_size", n.Int("local_window_size", -1)), graph.Int("isa", int64(r.isa)), graph.Int("threads", int64(r.threads)),
	}}
}

// ownAttention returns the name of the operator for a GroupQueryAttention of a graph, "" where the node is none that there is one for: float32, a
// cache of float32 or int8 that is an input of the graph, and neither a bias, nor a sink, nor normalized heads, nor a cap, nor a cache that
// wraps.
func ownAttention(g *graph.Graph, n *graph.Node) string {
	if n.OpType != "GroupQueryAttention" || n.Domain != microsoft {
		return ""
	}
	const key, value, pastKey, pastValue, cos, bias, last = 1, 2, 3, 4, 7, 10, 13
	for _, a := range n.Attributes {
		if !slices.Contains(attentionAttributes, a.Name) {
			return ""
		}
	}
	if a := n.Attribute("softcap"); a != nil && a.Float != 0 {
		return ""
	}
	if n.Int("smooth_softmax", -1) > 0 || n.Int("qk_output", 0) != 0 || n.Int("causal", 1) != 1 || n.Int("sliding_window_cache", 0) != 0 {
		return ""
	}
	if n.Input(bias) != "" || n.Input(bias+1) != "" || slices.ContainsFunc(n.Inputs[min(last+1, len(n.Inputs)):], func(s string) bool { return s != "" }) {
		return ""
	}
	if len(n.Outputs) < 3 || slices.Contains(n.Outputs[:3], "") || slices.ContainsFunc(n.Outputs[3:], func(s string) bool { return s != "" }) {
		return ""
	}
	if (n.Input(key) == "") != (n.Input(value) == "") {
		return ""
	}
	past := g.Input(n.Input(pastKey))
	if past == nil || g.Input(n.Input(pastValue)) == nil || len(past.Shape) != 4 || !kernel.HeadSize(int(past.Shape[3].Value)) {
		return ""
	}
	switch {
	case past.Type == graph.Float32:
		return kernel.Attention
	case past.Type == graph.Int8 && n.Int("kv_cache_bit_width", 0) == 8 && n.Int("do_rotary", 0) == 1 && scaled(n, "k_quant_type") && scaled(n, "v_quant_type"):
		// The activations may be float16 all the same: the rotary tables are of their type.
		if !slices.ContainsFunc(rotaryTables(g, n.Input(cos)), func(t *graph.Tensor) bool { return t.Type != graph.Float32 }) {
			return kernel.AttentionInt8
		}
	}
	return ""
}

// Types of KV memory that Options.KV may name.
const (
	KVAuto    = "auto" // float16 where weights are quantized and kernels of ours read it, else the graph's
	KVFloat32 = "f32"  // the graph's, also where that is another than float32
	KVFloat16 = "f16"
)

// readHalf notes whether kernels of ours may keep a float32 cache as float16: nothing else reads or writes it.
func (c *Contract) readHalf(g *graph.Graph) {
	cache, nodes := map[string]bool{}, 0
	for _, kv := range c.KV {
		cache[kv.Past], cache[kv.Present] = true, true
	}
	c.HalfKV = len(c.KV) > 0 && c.KVType == graph.Float32
	eachNode(g, func(g *graph.Graph, n *graph.Node) {
		if ownAttention(g, n) == kernel.Attention {
			nodes++
			return
		}
		if slices.ContainsFunc(append(slices.Clone(n.Inputs), n.Outputs...), func(s string) bool { return cache[s] }) {
			c.HalfKV = false
		}
	})
	c.HalfKV = c.HalfKV && 2*nodes == len(c.KV)
}

// For returns what the graph asks for once it is opened with o: kernels of ours may keep a float32 cache as float16, see Options.KV. The
// error says that they cannot, and names the flag.
func (c *Contract) For(o Options) (*Contract, error) {
	isa, err := chooseKernels(o)
	if err != nil {
		return nil, err
	}
	if o.KV != KVAuto && o.KV != KVFloat16 || c.KVType == graph.Float16 || o.KV == KVAuto && !c.Quantized {
		return c, nil
	}
	if !c.HalfKV || isa == 0 {
		if o.KV == KVFloat16 {
			return nil, fmt.Errorf("--kv f16: the graph's cache is %s, and what computes its attention cannot keep it as float16 (auto takes it as it is)", c.KVType)
		}
		return c, nil
	}
	half := *c
	half.KVType = graph.Float16
	return &half, nil
}

// scaled says whether an attribute names the scales of an int8 cache: one, or one for each number of a head.
func scaled(n *graph.Node, attribute string) bool {
	a := n.Attribute(attribute)
	return a != nil && (a.String == "PER_TENSOR" || a.String == "PER_CHANNEL")
}
