package testmodel

import (
	"encoding/binary"
	"math"
	"os"
	"slices"

	"ortserve/onnx/graph"
)

// GGUF is a GGUF file (version 3) to be: what [Config.GGUF] makes of a model, for a test to change before it is written.
type GGUF struct {
	Metadata map[string]any // uint32, int32, float32, bool, string, []string, []int32 or []float32
	Tensors  []GGUFTensor
}

// GGUFTensor is a tensor of a GGUF file. Dims has the length of a row first.
type GGUFTensor struct {
	Name string
	Dims []uint64
	Type uint32 // enum ggml_type: 0 is float32
	Data []byte
}

// GGUF makes the file that llama.cpp's converter would make of the model with float32 weights: query and key rows are in
// its order, Llama 3.1's rope scaling is a tensor of factors. pre names the pre-tokenizer.
func (c Config) GGUF(pre string) *GGUF {
	c = c.defaults()
	texts, merges := pieces()
	types := make([]int32, Vocab)
	for i := range types {
		types[i] = 1
		if i >= int(BeginOfText) {
			types[i] = 3
		}
	}
	joined := make([]string, len(merges))
	for i, m := range merges {
		joined[i] = m[0] + " " + m[1]
	}
	g := &GGUF{Metadata: map[string]any{
		"general.architecture":                   "llama",
		"general.name":                           "test",
		"llama.context_length":                   uint32(c.Positions),
		"llama.embedding_length":                 uint32(c.Hidden),
		"llama.block_count":                      uint32(c.Layers),
		"llama.feed_forward_length":              uint32(c.Intermediate),
		"llama.attention.head_count":             uint32(c.Heads),
		"llama.attention.head_count_kv":          uint32(c.KVHeads),
		"llama.attention.key_length":             uint32(c.HeadSize),
		"llama.attention.value_length":           uint32(c.HeadSize),
		"llama.attention.layer_norm_rms_epsilon": float32(epsilon),
		"llama.rope.freq_base":                   float32(ropeBase),
		"llama.rope.dimension_count":             uint32(c.HeadSize),
		"llama.vocab_size":                       uint32(Vocab),
		"tokenizer.ggml.model":                   "gpt2",
		"tokenizer.ggml.pre":                     pre,
		"tokenizer.ggml.tokens":                  texts,
		"tokenizer.ggml.token_type":              types,
		"tokenizer.ggml.merges":                  joined,
		"tokenizer.ggml.bos_token_id":            uint32(BeginOfText),
		"tokenizer.ggml.eos_token_id":            uint32(EndOfTurn),
		"tokenizer.chat_template":                ChatTemplate,
	}}
	w := makeWeights(c)
	vector := func(name string, v []float32) {
		g.Tensors = append(g.Tensors, GGUFTensor{Name: name, Dims: []uint64{uint64(len(v))}, Data: graph.AppendFloat32(nil, v)})
	}
	put := func(name string, m matrix) {
		g.Tensors = append(g.Tensors, GGUFTensor{Name: name, Dims: []uint64{uint64(m.k), uint64(m.n)}, Data: graph.AppendFloat32(nil, m.values)})
	}
	put("token_embd.weight", w.embedding)
	vector("output_norm.weight", w.norm)
	if !c.Tied {
		put("output.weight", w.head)
	}
	if c.Llama3 {
		factors := make([]float32, c.HeadSize/2)
		for i := range factors {
			wave := 2 * math.Pi * math.Pow(ropeBase, float64(i)/float64(len(factors)))
			factors[i] = float32(c.slower(wave))
		}
		vector("rope_freqs.weight", factors)
	}
	for i, l := range w.layers {
		p := "blk." + string(rune('0'+i)) + "."
		vector(p+"attn_norm.weight", l.inputNorm)
		put(p+"attn_q.weight", c.neighbours(l.query))
		put(p+"attn_k.weight", c.neighbours(l.key))
		put(p+"attn_v.weight", l.value)
		put(p+"attn_output.weight", l.output)
		vector(p+"ffn_norm.weight", l.postNorm)
		put(p+"ffn_gate.weight", l.gate)
		put(p+"ffn_up.weight", l.up)
		put(p+"ffn_down.weight", l.down)
	}
	return g
}

// neighbours puts the two rows of each rotary pair of a head side by side, as GGUF has them.
func (c Config) neighbours(m matrix) matrix {
	out := matrix{n: m.n, k: m.k}
	half := c.HeadSize / 2
	for head := 0; head < m.n; head += c.HeadSize {
		for i := range half {
			out.values = append(append(out.values, m.row(head+i)...), m.row(head+half+i)...)
		}
	}
	return out
}

// Write writes the file.
func (g *GGUF) Write(path string) error { return os.WriteFile(path, g.Bytes(), 0o644) }

// Bytes are the bytes of the file: metadata in the order of its keys, tensors aligned to 32 bytes.
func (g *GGUF) Bytes() []byte {
	sizes := make([]int, len(g.Tensors))
	for i, t := range g.Tensors {
		sizes[i] = len(t.Data)
	}
	b := g.Header(sizes)
	for _, t := range g.Tensors {
		b = append(b, t.Data...)
		b = append(b, make([]byte, -len(t.Data)&31)...)
	}
	return b
}

// Header is what comes before the data of tensors of these sizes in bytes, each of which is followed by zeros up to a multiple of 32.
func (g *GGUF) Header(sizes []int) []byte {
	le := binary.LittleEndian
	text := func(b []byte, s string) []byte { return append(le.AppendUint64(b, uint64(len(s))), s...) }
	b := le.AppendUint32([]byte("GGUF"), 3)
	b = le.AppendUint64(b, uint64(len(g.Tensors)))
	b = le.AppendUint64(b, uint64(len(g.Metadata)))
	keys := make([]string, 0, len(g.Metadata))
	for k := range g.Metadata {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		b = text(b, k)
		switch v := g.Metadata[k].(type) {
		case uint32:
			b = le.AppendUint32(le.AppendUint32(b, 4), v)
		case int32:
			b = le.AppendUint32(le.AppendUint32(b, 5), uint32(v))
		case float32:
			b = le.AppendUint32(le.AppendUint32(b, 6), math.Float32bits(v))
		case bool:
			b = append(le.AppendUint32(b, 7), 0)
			if v {
				b[len(b)-1] = 1
			}
		case string:
			b = text(le.AppendUint32(b, 8), v)
		case []string:
			b = le.AppendUint64(le.AppendUint32(le.AppendUint32(b, 9), 8), uint64(len(v)))
			for _, s := range v {
				b = text(b, s)
			}
		case []float32:
			b = le.AppendUint64(le.AppendUint32(le.AppendUint32(b, 9), 6), uint64(len(v)))
			b = graph.AppendFloat32(b, v)
		case []int32:
			b = le.AppendUint64(le.AppendUint32(le.AppendUint32(b, 9), 5), uint64(len(v)))
			for _, n := range v {
				b = le.AppendUint32(b, uint32(n))
			}
		}
	}
	at := 0
	for i, t := range g.Tensors {
		b = le.AppendUint32(text(b, t.Name), uint32(len(t.Dims)))
		for _, d := range t.Dims {
			b = le.AppendUint64(b, d)
		}
		b = le.AppendUint64(le.AppendUint32(b, t.Type), uint64(at))
		at += (sizes[i] + 31) &^ 31
	}
	return append(b, make([]byte, -len(b)&31)...)
}
