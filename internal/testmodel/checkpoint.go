package testmodel

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"

	"ortserve/onnx/graph/llama"
)

// Checkpoint is a Hugging Face folder of random bfloat16 weights in a shape of any size.
type Checkpoint struct {
	Type         string // llama, mistral, qwen2 or qwen3
	Layers       int
	Hidden       int
	Heads        int
	KVHeads      int
	HeadSize     int
	Intermediate int
	Vocab        int // at least [Vocab]: the tokenizer is that of the small models
	Positions    int
	Tied         bool
}

// The shapes of published models.
var (
	Llama1B = Checkpoint{"llama", 16, 2048, 32, 8, 64, 8192, 128256, 131072, true}
	Qwen06B = Checkpoint{"qwen3", 28, 1024, 16, 8, 128, 3072, 151936, 40960, true}
	Llama8B = Checkpoint{"llama", 32, 4096, 32, 8, 128, 14336, 128256, 131072, false}
)

// checkpointTensor is a tensor of a checkpoint. Vectors have one dimension.
type checkpointTensor struct {
	name  string
	shape []int
}

func (t checkpointTensor) bytes() int {
	n := 2
	for _, d := range t.shape {
		n *= d
	}
	return n
}

func (c Checkpoint) tensors() []checkpointTensor {
	heads, kv := c.Heads*c.HeadSize, c.KVHeads*c.HeadSize
	list := []checkpointTensor{{"model.embed_tokens.weight", []int{c.Vocab, c.Hidden}}, {"model.norm.weight", []int{c.Hidden}}}
	if !c.Tied {
		list = append(list, checkpointTensor{"lm_head.weight", []int{c.Vocab, c.Hidden}})
	}
	for i := range c.Layers {
		add := func(name string, shape ...int) {
			list = append(list, checkpointTensor{llama.LayerName(i) + name, shape})
		}
		add("input_layernorm.weight", c.Hidden)
		add("self_attn.q_proj.weight", heads, c.Hidden)
		add("self_attn.k_proj.weight", kv, c.Hidden)
		add("self_attn.v_proj.weight", kv, c.Hidden)
		if c.Type == "qwen2" {
			add("self_attn.q_proj.bias", heads)
			add("self_attn.k_proj.bias", kv)
			add("self_attn.v_proj.bias", kv)
		}
		if c.Type == "qwen3" {
			add("self_attn.q_norm.weight", c.HeadSize)
			add("self_attn.k_norm.weight", c.HeadSize)
		}
		add("self_attn.o_proj.weight", c.Hidden, heads)
		add("post_attention_layernorm.weight", c.Hidden)
		add("mlp.gate_proj.weight", c.Intermediate, c.Hidden)
		add("mlp.up_proj.weight", c.Intermediate, c.Hidden)
		add("mlp.down_proj.weight", c.Hidden, c.Intermediate)
	}
	return list
}

// Write writes the folder's files into dir, which must be there: the weights in one file, or in so many parts with an index.
func (c Checkpoint) Write(dir string, parts int) error {
	all := c.tensors()
	index := map[string]string{}
	normals := makeNormals()
	for i := range parts {
		name := "model.safetensors"
		if parts > 1 {
			name = fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, parts)
		}
		some := all[len(all)*i/parts : len(all)*(i+1)/parts]
		for _, t := range some {
			index[t.name] = name
		}
		if err := writeSafetensors(filepath.Join(dir, name), some, normals); err != nil {
			return err
		}
	}
	if parts > 1 {
		if err := llama.WriteJSON(filepath.Join(dir, "model.safetensors.index.json"), map[string]any{"weight_map": index}); err != nil {
			return err
		}
	}
	err := llama.WriteJSON(filepath.Join(dir, "config.json"), map[string]any{
		"model_type": c.Type, "num_hidden_layers": c.Layers, "hidden_size": c.Hidden, "num_attention_heads": c.Heads,
		"num_key_value_heads": c.KVHeads, "head_dim": c.HeadSize, "intermediate_size": c.Intermediate, "vocab_size": c.Vocab,
		"max_position_embeddings": c.Positions, "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "tie_word_embeddings": c.Tied,
		"sliding_window": nil, "bos_token_id": BeginOfText, "eos_token_id": EndOfTurn,
	})
	if err != nil {
		return err
	}
	return writeTokenizer(dir, Config{}.defaults())
}

// makeNormals is random weights of the size that trained ones have, as bfloat16 bytes.
func makeNormals() []byte {
	r := rand.New(rand.NewPCG(11, 11))
	b := make([]byte, 0, 2<<20)
	for range 1 << 20 {
		v := math.Float32bits(float32(r.NormFloat64() * 0.02))
		b = binary.LittleEndian.AppendUint16(b, uint16(v>>16))
	}
	return b
}

// writeSafetensors streams a file: each tensor is pieces of normals from random places.
func writeSafetensors(path string, tensors []checkpointTensor, normals []byte) error {
	type entry struct {
		DType   string `json:"dtype"`
		Shape   []int  `json:"shape"`
		Offsets [2]int `json:"data_offsets"`
	}
	header, at := map[string]any{"__metadata__": map[string]string{"format": "pt"}}, 0
	for _, t := range tensors {
		header[t.name] = entry{"BF16", t.shape, [2]int{at, at + t.bytes()}}
		at += t.bytes()
	}
	b, err := json.Marshal(header)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	r := rand.New(rand.NewPCG(uint64(len(b)), 12))
	_, _ = w.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(b)))) // the writer keeps its error
	_, _ = w.Write(b)
	for _, t := range tensors {
		for left := t.bytes(); left > 0; {
			from := r.IntN(len(normals)/4) * 2
			n := min(left, len(normals)-from)
			_, _ = w.Write(normals[from : from+n])
			left -= n
		}
	}
	if err := w.Flush(); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
