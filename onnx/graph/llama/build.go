package llama

import (
	"fmt"
	"math"
	"slices"

	"ortserve/onnx/graph"
	"ortserve/onnx/graph/nbits"
)

// The versions the graph is written for: read by ONNX Runtime 1.20 and newer.
const (
	irVersion    = 10
	onnxOpset    = 21
	contribOpset = 1
	contrib      = "com.microsoft"
)

// Weights are a model's tensors, already in its external file. Norms are [Hidden], of the graph's type.
type Weights struct {
	Embedding *nbits.Matrix // [Vocab, Hidden]
	Layers    []Layer
	Norm      *graph.Tensor
	Head      *nbits.Matrix // [Vocab, Hidden]; the same as Embedding where the model ties them
	// EmbeddingScale, if not nil, is what the embedding's rows are multiplied with, [Hidden], of the graph's type.
	EmbeddingScale *graph.Tensor
	Cos, Sin       *graph.Tensor // from WriteRotary
}

// Layer is the weights of one layer.
type Layer struct {
	InputNorm *graph.Tensor
	QKV       *nbits.Matrix // [QKVRows, Hidden]; rotary halves are the two halves of a head, as Hugging Face has them
	Output    *nbits.Matrix // [Hidden, Heads*HeadSize]
	PostNorm  *graph.Tensor // the norm before the feed-forward part
	Gate, Up  *nbits.Matrix // [Intermediate, Hidden]
	Down      *nbits.Matrix // [Hidden, Intermediate]

	// Nil where the model has none, all of the graph's type.
	QKVBias, OutputBias *graph.Tensor // [QKVRows] and [Hidden]
	QueryNorm, KeyNorm  *graph.Tensor // [HeadSize], of each head before the rotary embedding; both or none

	// KeyScale and ValueScale are what one step of the int8 cache is worth in each number of a row, float32 [KVHeads*HeadSize], keys after
	// the rotary embedding. Every layer has both, or none: then the cache is of the graph's type. CacheScales makes them.
	KeyScale, ValueScale *graph.Tensor
}

// CacheScales returns Layer's KeyScale and ValueScale of a layer for numbers of the cache up to these sizes. A number that was never seen
// to be other than zero gets a scale too.
func CacheScales(layer int, key, value []float32) (keyScale, valueScale *graph.Tensor) {
	scales := func(side string, sizes []float32) *graph.Tensor {
		s := make([]float32, len(sizes))
		for i, v := range sizes {
			s[i] = max(v, 1e-6) / 127
		}
		return graph.Float32Tensor(LayerName(layer)+"self_attn."+side+"_scale", []int64{int64(len(s))}, s...)
	}
	return scales("key", key), scales("value", value)
}

// cacheType returns the type of the cache, float or int8, as all layers have it.
func (c Config) cacheType(layers []Layer) (graph.DataType, error) {
	scaled := 0
	for i, l := range layers {
		for _, s := range []*graph.Tensor{l.KeyScale, l.ValueScale} {
			if s == nil {
				continue
			}
			if scaled++; s.Type != graph.Float32 || len(s.Dims) != 1 || s.Dims[0] != int64(c.KVHeads*c.HeadSize) {
				return 0, fmt.Errorf("layer %d has scales of the cache %v %v, want float32 [%d]", i, s.Type, s.Dims, c.KVHeads*c.HeadSize)
			}
		}
	}
	switch scaled {
	case 0:
		return c.Float(), nil
	case 2 * len(layers):
		return graph.Int8, nil
	}
	return 0, fmt.Errorf("%d of %d scales of the cache: every layer has two, or none", scaled, 2*len(layers))
}

// Build makes the graph over the weights.
func Build(c Config, w Weights) (*graph.Model, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if len(w.Layers) != c.Layers {
		return nil, fmt.Errorf("weights of %d layers for a model of %d", len(w.Layers), c.Layers)
	}
	cache, err := c.cacheType(w.Layers)
	if err != nil {
		return nil, err
	}
	b := &builder{c: c, cache: cache, g: &graph.Graph{Name: "main_graph"}, known: map[*graph.Tensor]bool{}}
	b.inputs()
	b.lengths()
	b.initializers(w.Cos, w.Sin)

	x, err := b.embed(w.Embedding)
	if err != nil {
		return nil, err
	}
	if w.EmbeddingScale != nil {
		b.initializers(w.EmbeddingScale)
		x = b.op("Mul", "model.embed_tokens.scaled", []string{x, w.EmbeddingScale.Name})
	}
	branch := "" // what the last half layer adds to x
	for i, l := range w.Layers {
		p := LayerName(i)
		var n string
		n, x = b.norm(p+"input_layernorm", x, branch, l.InputNorm)
		branch = b.attention(i, p, n, l, w)
		n, x = b.norm(p+"post_attention_layernorm", x, branch, l.PostNorm)
		branch = b.feedForward(p+"mlp.", n, l)
	}
	n, _ := b.norm("model.norm", x, branch, w.Norm)
	last := b.g.Nodes[len(b.g.Nodes)-1]
	last.Outputs = last.Outputs[:1] // nobody reads the sum
	b.head(n, w.Head)
	b.outputs()
	if b.err != nil {
		return nil, b.err
	}
	return &graph.Model{
		IRVersion:    irVersion,
		ProducerName: "ortserve",
		Opsets:       []graph.Opset{{Domain: "", Version: onnxOpset}, {Domain: contrib, Version: contribOpset}},
		Graph:        b.g,
	}, nil
}

// LayerName begins the names of a layer's nodes and weights.
func LayerName(i int) string { return fmt.Sprintf("model.layers.%d.", i) }

// builder collects nodes. A node's outputs are named after it.
type builder struct {
	c     Config
	cache graph.DataType // of past and present
	g     *graph.Graph
	known map[*graph.Tensor]bool
	err   error // the first
}

func (b *builder) initializers(tensors ...*graph.Tensor) {
	for _, t := range tensors {
		if t != nil && !b.known[t] {
			b.known[t] = true
			b.g.Initializers = append(b.g.Initializers, t)
		}
	}
}

// constant is a small integer tensor inside the model's file; without dims a scalar.
func (b *builder) constant(name string, dims []int64, v int64) string {
	b.initializers(graph.Int64Tensor(name, dims, v))
	return name
}

func (b *builder) node(domain, op, name string, inputs, outputs []string, attributes ...*graph.Attribute) string {
	b.g.Nodes = append(b.g.Nodes, &graph.Node{Name: name, OpType: op, Domain: domain, Inputs: inputs, Outputs: outputs, Attributes: attributes})
	return outputs[0]
}

// op adds a node of ONNX's own operators with one output.
func (b *builder) op(op, name string, inputs []string, attributes ...*graph.Attribute) string {
	return b.node("", op, name, inputs, []string{name + ".out"}, attributes...)
}

func (b *builder) inputs() {
	in := func(v *graph.ValueInfo) { b.g.Inputs = append(b.g.Inputs, v) }
	in(graph.Value("input_ids", graph.Int64, "batch_size", "sequence_length"))
	in(graph.Value("attention_mask", graph.Int64, "batch_size", "total_sequence_length"))
	for i := range b.c.Layers {
		for _, side := range []string{"key", "value"} {
			in(graph.Value(fmt.Sprintf("past_key_values.%d.%s", i, side), b.cache, "batch_size", b.c.KVHeads, "past_sequence_length", b.c.HeadSize))
		}
	}
	// An input with an initializer may be left out of a run; then the initializer is its value.
	in(graph.Value("num_logits_to_keep", graph.Int64, 1))
	b.initializers(graph.Int64Tensor("num_logits_to_keep", []int64{1}, 1))
}

func (b *builder) outputs() {
	out := func(v *graph.ValueInfo) { b.g.Outputs = append(b.g.Outputs, v) }
	// Declared for the usual one row: onnxruntime-genai then takes it for the last position's, and allots one row.
	out(graph.Value("logits", graph.Float32, "batch_size", 1, b.c.Vocab))
	for i := range b.c.Layers {
		for _, side := range []string{"key", "value"} {
			out(graph.Value(fmt.Sprintf("present.%d.%s", i, side), b.cache, "batch_size", b.c.KVHeads, "present_sequence_length", b.c.HeadSize))
		}
	}
}

// lengths makes what GroupQueryAttention asks for of the mask: each row's length less one, and the mask's width.
func (b *builder) lengths() {
	one := b.constant("constants.one", []int64{1}, 1)
	sum := b.op("ReduceSum", "lengths.sum", []string{"attention_mask", one}, graph.Int("keepdims", 0))
	last := b.op("Sub", "lengths.last", []string{sum, one})
	b.node("", "Cast", "lengths.seqlens_k", []string{last}, []string{"seqlens_k"}, graph.Int("to", int64(graph.Int32)))
	width := b.op("Shape", "lengths.width", []string{"attention_mask"}, graph.Int("start", 1), graph.Int("end", 2))
	b.node("", "Cast", "lengths.total", []string{width}, []string{"total_sequence_length"}, graph.Int("to", int64(graph.Int32)))
}

// embed looks the tokens' rows up. Where the head has the same matrix, both read the same bytes of the file.
func (b *builder) embed(m *nbits.Matrix) (string, error) {
	const name = "model.embed_tokens"
	if !m.Quantized() {
		b.initializers(m.Weight)
		rows := b.op("Gather", name, []string{m.Weight.Name, "input_ids"})
		if m.Bits == 16 && !b.c.Float16 {
			rows = b.op("Cast", name+".cast", []string{rows}, graph.Int("to", int64(graph.Float32)))
		}
		return rows, nil
	}
	if m.K%m.Block != 0 {
		return "", fmt.Errorf("an embedding %d wide cannot be in blocks of %d", m.K, m.Block)
	}
	table, err := m.Weight.Share(name+".table", int64(m.N), int64(m.RowBytes(m.K)))
	if err != nil {
		return "", err
	}
	b.initializers(table, m.Scales, m.ZeroPoints)
	inputs := []string{table.Name, "input_ids", m.Scales.Name}
	if m.ZeroPoints != nil {
		inputs = append(inputs, m.ZeroPoints.Name)
	}
	return b.node(contrib, "GatherBlockQuantized", name, inputs, []string{name + ".out"},
		graph.Int("bits", int64(m.Bits)), graph.Int("block_size", int64(m.Block)), graph.Int("gather_axis", 0), graph.Int("quantize_axis", 1)), nil
}

// norm adds branch to x, if there is one, and normalizes: it returns the normalized sum and the sum.
func (b *builder) norm(name, x, branch string, weight *graph.Tensor) (normalized, sum string) {
	b.initializers(weight)
	epsilon := graph.Float("epsilon", b.c.Epsilon)
	if branch == "" {
		return b.op("SimplifiedLayerNormalization", name, []string{x, weight.Name}, epsilon, graph.Int("axis", -1), graph.Int("stash_type", 1)), x
	}
	outputs := []string{name + ".out", "", "", name + ".sum"}
	b.node(contrib, "SkipSimplifiedLayerNormalization", name, []string{x, branch, weight.Name}, outputs, epsilon)
	return outputs[0], outputs[3]
}

// product is x times the transposed matrix, with the bias added if there is one.
func (b *builder) product(name, x string, m *nbits.Matrix, bias *graph.Tensor) string {
	if bias == nil {
		return b.multiply(name, x, m, name+".out")
	}
	b.initializers(bias)
	return b.op("Add", name+".biased", []string{b.multiply(name, x, m, name+".out"), bias.Name})
}

func (b *builder) multiply(name, x string, m *nbits.Matrix, output string) string {
	b.initializers(m.Weight, m.Scales, m.ZeroPoints)
	switch {
	case m.Bits == 16 && b.c.Float16 || m.Bits == 32 && !b.c.Float16:
		turned := b.op("Transpose", name+".transpose", []string{m.Weight.Name}, graph.Ints("perm", 1, 0))
		return b.node("", "MatMul", name, []string{x, turned}, []string{output})
	case !m.Quantized():
		if b.err == nil {
			b.err = fmt.Errorf("%s: a product of float%d weights with %v activations is not supported", name, m.Bits, b.c.Float())
		}
		return output
	case m.Half != b.c.Float16:
		if b.err == nil {
			b.err = fmt.Errorf("%s: %v with %v activations", name, m.Format, b.c.Float())
		}
		return output
	}
	inputs := []string{x, m.Weight.Name, m.Scales.Name}
	if m.ZeroPoints != nil {
		inputs = append(inputs, m.ZeroPoints.Name)
	}
	return b.node(contrib, "MatMulNBits", name, inputs, []string{output},
		graph.Int("K", int64(m.K)), graph.Int("N", int64(m.N)), graph.Int("accuracy_level", int64(b.c.AccuracyLevel)),
		graph.Int("bits", int64(m.Bits)), graph.Int("block_size", int64(m.Block)))
}

func (b *builder) attention(layer int, p, x string, l Layer, w Weights) string {
	p += "self_attn."
	inputs := []string{b.product(p+"qkv_proj", x, l.QKV, l.QKVBias), "", ""}
	if l.QueryNorm != nil && l.KeyNorm != nil {
		inputs = b.headNorms(p, inputs[0], l)
	}
	window := -1
	if b.c.Windows != nil && b.c.Windows[layer] > 0 {
		window = b.c.Windows[layer]
	}
	past := func(side string) string { return fmt.Sprintf("past_key_values.%d.%s", layer, side) }
	present := func(side string) string { return fmt.Sprintf("present.%d.%s", layer, side) }
	inputs = append(inputs, past("key"), past("value"), "seqlens_k", "total_sequence_length", w.Cos.Name, w.Sin.Name)
	attributes := []*graph.Attribute{
		graph.Int("num_heads", int64(b.c.Heads)), graph.Int("kv_num_heads", int64(b.c.KVHeads)),
		graph.Float("scale", float32(1/math.Sqrt(float64(b.c.HeadSize)))), graph.Int("local_window_size", int64(window)),
		graph.Int("do_rotary", 1), graph.Int("rotary_interleaved", 0),
	}
	if b.cache == graph.Int8 {
		b.initializers(l.KeyScale, l.ValueScale)
		inputs = append(inputs, "", "", "", l.KeyScale.Name, l.ValueScale.Name)
		attributes = append(attributes, graph.String("k_quant_type", "PER_CHANNEL"), graph.String("v_quant_type", "PER_CHANNEL"),
			graph.Int("kv_cache_bit_width", 8))
	}
	attended := b.node(contrib, "GroupQueryAttention", p+"attention", inputs,
		[]string{p + "attention.out", present("key"), present("value")}, attributes...)
	return b.product(p+"o_proj", attended, l.Output, l.OutputBias)
}

// headNorms cuts the packed product into queries, keys and values and normalizes each head of the first two.
func (b *builder) headNorms(p, qkv string, l Layer) []string {
	queries, keys := b.c.Heads*b.c.HeadSize, b.c.KVHeads*b.c.HeadSize
	b.initializers(graph.Int64Tensor(p+"split.sizes", []int64{3}, int64(queries), int64(keys), int64(keys)))
	parts := []string{p + "query", p + "key", p + "value"}
	b.node("", "Split", p+"split", []string{qkv, p + "split.sizes"}, slices.Clone(parts), graph.Int("axis", -1))
	for i, weight := range []*graph.Tensor{l.QueryNorm, l.KeyNorm} {
		width := []int{queries, keys}[i]
		heads := b.reshape(parts[i]+".heads", parts[i], b.c.HeadSize)
		normalized, _ := b.norm(parts[i]+"_norm", heads, "", weight)
		parts[i] = b.reshape(parts[i]+".normalized", normalized, width)
	}
	return parts
}

// reshape makes the last dimension of a value [batch_size, ...] of that width.
func (b *builder) reshape(name, x string, width int) string {
	b.initializers(graph.Int64Tensor(name+".shape", []int64{3}, 0, -1, int64(width)))
	return b.op("Reshape", name, []string{x, name + ".shape"})
}

// feedForward is down(SiLU(gate(x)) * up(x)); ONNX Runtime makes Sigmoid and Mul one operator.
func (b *builder) feedForward(p, x string, l Layer) string {
	gate := b.product(p+"gate_proj", x, l.Gate, nil)
	up := b.product(p+"up_proj", x, l.Up, nil)
	sigmoid := b.op("Sigmoid", p+"sigmoid", []string{gate})
	silu := b.op("Mul", p+"silu", []string{gate, sigmoid})
	return b.product(p+"down_proj", b.op("Mul", p+"gated", []string{silu, up}), l.Down, nil)
}

// head computes logits of the last positions only: a whole prompt's would cost more than the rest of a small model.
func (b *builder) head(x string, m *nbits.Matrix) {
	from := b.op("Neg", "logits_to_keep.from", []string{"num_logits_to_keep"})
	end := b.constant("constants.end", []int64{1}, math.MaxInt64)
	rows := b.op("Slice", "logits_to_keep.rows", []string{x, from, end, "constants.one"})
	if !b.c.Float16 {
		b.multiply("lm_head", rows, m, "logits")
		return
	}
	half := b.multiply("lm_head", rows, m, "lm_head.out")
	b.node("", "Cast", "lm_head.cast", []string{half}, []string{"logits"}, graph.Int("to", int64(graph.Float32)))
}
