package onnx

import (
	"slices"

	"ortserve/onnx/graph"
	"ortserve/onnx/kernel"
)

// attentionAttributes are those of GroupQueryAttention that package kernel heeds, or whose usual values are all it can do.
var attentionAttributes = []string{
	"num_heads", "kv_num_heads", "scale", "do_rotary", "rotary_interleaved", "local_window_size", "softcap", "smooth_softmax", "qk_output",
	"k_quant_type", "v_quant_type", "kv_cache_bit_width", "causal", "sliding_window_cache",
}

// attention returns the operator for a GroupQueryAttention, nil where it is none that it can compute: float32, a cache of float32 or int8
// that is an input of the graph, and neither a bias, nor a sink, nor normalized heads, nor a cap, nor a cache that wraps.
func (r *rewriting) attention(n *graph.Node) *graph.Node {
	const key, value, pastKey, pastValue, cos, bias, last = 1, 2, 3, 4, 7, 10, 13
	input := func(i int) string {
		if i < len(n.Inputs) {
			return n.Inputs[i]
		}
		return ""
	}
	for _, a := range n.Attributes {
		if !slices.Contains(attentionAttributes, a.Name) {
			return nil
		}
	}
	if a := n.Attribute("softcap"); a != nil && a.Float != 0 {
		return nil
	}
	if n.Int("smooth_softmax", -1) > 0 || n.Int("qk_output", 0) != 0 || n.Int("causal", 1) != 1 || n.Int("sliding_window_cache", 0) != 0 {
		return nil
	}
	if input(bias) != "" || input(bias+1) != "" || slices.ContainsFunc(n.Inputs[min(last+1, len(n.Inputs)):], func(s string) bool { return s != "" }) {
		return nil
	}
	if len(n.Outputs) < 3 || slices.Contains(n.Outputs[:3], "") || slices.ContainsFunc(n.Outputs[3:], func(s string) bool { return s != "" }) {
		return nil
	}
	if (input(key) == "") != (input(value) == "") {
		return nil
	}
	past := r.graph.Input(input(pastKey))
	if past == nil || r.graph.Input(input(pastValue)) == nil || len(past.Shape) != 4 || !kernel.HeadSize(int(past.Shape[3].Value)) {
		return nil
	}
	own := &graph.Node{Name: n.Name, Domain: kernel.Domain, Inputs: n.Inputs, Outputs: n.Outputs[:3]}
	switch {
	case past.Type == graph.Float32:
		own.OpType = kernel.Attention
	case past.Type == graph.Int8 && n.Int("kv_cache_bit_width", 0) == 8 && n.Int("do_rotary", 0) == 1 && scaled(n, "k_quant_type") && scaled(n, "v_quant_type"):
		// The activations may be float16 all the same: the rotary tables are of their type.
		if slices.ContainsFunc(rotaryTables(r.graph, input(cos)), func(t *graph.Tensor) bool { return t.Type != graph.Float32 }) {
			return nil
		}
		own.OpType = kernel.AttentionInt8
	default:
		return nil
	}
	scale := float32(0)
	if a := n.Attribute("scale"); a != nil {
		scale = a.Float
	}
	own.Attributes = []*graph.Attribute{
		graph.Int("num_heads", n.Int("num_heads", 0)), graph.Int("kv_num_heads", n.Int("kv_num_heads", 0)), graph.Float("scale", scale),
		graph.Int("do_rotary", n.Int("do_rotary", 0)), graph.Int("rotary_interleaved", n.Int("rotary_interleaved", 0)),
		graph.Int("local_window_size", n.Int("local_window_size", -1)), graph.Int("isa", int64(r.isa)), graph.Int("threads", int64(r.threads)),
	}
	return own
}

// scaled says whether an attribute names the scales of an int8 cache: one, or one for each number of a head.
func scaled(n *graph.Node, attribute string) bool {
	a := n.Attribute(attribute)
	return a != nil && (a.String == "PER_TENSOR" || a.String == "PER_CHANNEL")
}
