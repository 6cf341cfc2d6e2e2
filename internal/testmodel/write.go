package testmodel

import (
	"path/filepath"
	"slices"

	"ortserve/onnx/graph"
	"ortserve/onnx/graph/llama"
	"ortserve/onnx/graph/nbits"
)

// Write writes the model's directory: the graph and its weights, the descriptions, the tokenizer, the chat template.
// dir must be there.
func Write(dir string, c Config) error {
	c = c.defaults()
	shape := c.shape()
	if err := shape.Check(); err != nil {
		return err
	}
	data, err := graph.CreateData(filepath.Join(dir, llama.DataFile))
	if err != nil {
		return err
	}
	w, err := store(data, c, shape)
	if cerr := data.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	m, err := llama.Build(shape, w)
	if err != nil {
		return err
	}
	if err := m.WriteFile(filepath.Join(dir, llama.GraphFile)); err != nil {
		return err
	}
	d := llama.Description{BOS: int(BeginOfText), Pad: int(EndOfText), Tied: c.Tied}
	for _, id := range c.EOS {
		d.EOS = append(d.EOS, int(id))
	}
	if err := shape.WriteDescription(dir, d); err != nil {
		return err
	}
	return writeTokenizer(dir, c)
}

func (c Config) shape() llama.Config {
	s := llama.Config{
		Layers: c.Layers, Hidden: c.Hidden, Heads: c.Heads, KVHeads: c.KVHeads, HeadSize: c.HeadSize,
		Intermediate: c.Intermediate, Vocab: Vocab, Positions: c.Positions, Epsilon: epsilon,
		Rope: llama.Rope{Base: ropeBase}, AccuracyLevel: c.AccuracyLevel,
	}
	if c.Llama3 {
		s.Rope.Llama3 = &llama.Llama3{Factor: llama3Factor, LowFreq: llama3Low, HighFreq: llama3High, Original: c.llama3Original()}
	}
	return s
}

// store puts the weights into the external file.
func store(d *graph.DataFile, c Config, shape llama.Config) (llama.Weights, error) {
	var failed error
	put := func(name string, parts ...matrix) *nbits.Matrix {
		all := matrix{k: parts[0].k}
		for _, p := range parts {
			all.n += p.n
			all.values = append(slices.Clip(all.values), p.values...)
		}
		m, err := nbits.Create(d, name, c.format(), all.n, all.k)
		if err == nil {
			var r nbits.Rows
			if err = c.format().Quantize(&r, all.values, all.k); err == nil {
				err = m.Write(0, &r)
			}
		}
		if failed == nil {
			failed = err
		}
		return m
	}
	norm := func(name string, values []float32) *graph.Tensor {
		t, err := d.Add(name+".weight", graph.Float32, []int64{int64(len(values))}, graph.AppendFloat32(nil, values))
		if failed == nil {
			failed = err
		}
		return t
	}

	w := makeWeights(c)
	out := llama.Weights{Embedding: put("model.embed_tokens", w.embedding), Norm: norm("model.norm", w.norm)}
	out.Head = out.Embedding
	if !c.Tied {
		out.Head = put("lm_head", w.head)
	}
	for i, l := range w.layers {
		p := llama.LayerName(i)
		out.Layers = append(out.Layers, llama.Layer{
			InputNorm: norm(p+"input_layernorm", l.inputNorm),
			QKV:       put(p+"self_attn.qkv_proj", l.query, l.key, l.value),
			Output:    put(p+"self_attn.o_proj", l.output),
			PostNorm:  norm(p+"post_attention_layernorm", l.postNorm),
			Gate:      put(p+"mlp.gate_proj", l.gate),
			Up:        put(p+"mlp.up_proj", l.up),
			Down:      put(p+"mlp.down_proj", l.down),
		})
	}
	if failed != nil {
		return llama.Weights{}, failed
	}
	var err error
	out.Cos, out.Sin, err = shape.WriteRotary(d)
	return out, err
}
