package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"ortserve/internal/testmodel"
	"ortserve/onnx/graph"
	"ortserve/onnx/graph/llama"
	"ortserve/onnx/graph/nbits"
)

// shape is that of a Llama model.
type shape struct {
	hidden, heads, kvHeads, headSize, intermediate, layers int
	vocab, context                                         int
	untied                                                 bool // the head is another matrix than the embedding
}

// llama1B is the shape of Llama-3.2-1B, with a shorter context: the rotary tables of an import are as long as it is.
var llama1B = shape{
	hidden: 2048, heads: 32, kvHeads: 8, headSize: 64, intermediate: 8192, layers: 16, vocab: 128256, context: 8192,
}

// llama8B is the shape of Llama-3.1-8B, with a shorter context.
var llama8B = shape{
	hidden: 4096, heads: 32, kvHeads: 8, headSize: 128, intermediate: 14336, layers: 32, vocab: 128256, context: 8192, untied: true,
}

const (
	ropeBase = 500000
	reserved = 256 // control tokens at the end of the vocabulary, as Llama 3 has them

	typeFloat32 = 0 // enum ggml_type
	typeQ4_0    = 2
)

// writeRandom writes a GGUF file of random weights: matrices in Q4_0, Llama 3.2's rotary scaling, a byte-level vocabulary whose
// pieces are the words of the prompts and made-up ones.
func writeRandom(path string, s shape) error {
	tokens, types, merges, err := s.vocabulary()
	if err != nil {
		return err
	}
	control := s.vocab - reserved
	g := &testmodel.GGUF{Metadata: map[string]any{
		"general.architecture":                   "llama",
		"general.name":                           "random",
		"llama.context_length":                   uint32(s.context),
		"llama.embedding_length":                 uint32(s.hidden),
		"llama.block_count":                      uint32(s.layers),
		"llama.feed_forward_length":              uint32(s.intermediate),
		"llama.attention.head_count":             uint32(s.heads),
		"llama.attention.head_count_kv":          uint32(s.kvHeads),
		"llama.attention.key_length":             uint32(s.headSize),
		"llama.attention.value_length":           uint32(s.headSize),
		"llama.attention.layer_norm_rms_epsilon": float32(1e-5),
		"llama.rope.freq_base":                   float32(ropeBase),
		"llama.rope.dimension_count":             uint32(s.headSize),
		"llama.vocab_size":                       uint32(s.vocab),
		"tokenizer.ggml.model":                   "gpt2",
		"tokenizer.ggml.pre":                     "llama-bpe",
		"tokenizer.ggml.tokens":                  tokens,
		"tokenizer.ggml.token_type":              types,
		"tokenizer.ggml.merges":                  merges,
		"tokenizer.ggml.bos_token_id":            uint32(control),
		"tokenizer.ggml.eos_token_id":            uint32(control + 1),
	}}
	r := rand.NewChaCha8([32]byte{1})
	matrix := func(name string, rows, length int) {
		g.Tensors = append(g.Tensors, testmodel.GGUFTensor{
			Name: name, Dims: []uint64{uint64(length), uint64(rows)}, Type: typeQ4_0, Data: randomQ4(r, rows*length/32),
		})
	}
	vector := func(name string, v []float32) {
		g.Tensors = append(g.Tensors, testmodel.GGUFTensor{
			Name: name, Dims: []uint64{uint64(len(v))}, Type: typeFloat32, Data: graph.AppendFloat32(nil, v),
		})
	}
	ones := make([]float32, s.hidden)
	for i := range ones {
		ones[i] = 1
	}
	matrix("token_embd.weight", s.vocab, s.hidden)
	if s.untied {
		matrix("output.weight", s.vocab, s.hidden)
	}
	vector("output_norm.weight", ones)
	vector("rope_freqs.weight", s.ropeFactors())
	for i := range s.layers {
		p := "blk." + strconv.Itoa(i) + "."
		vector(p+"attn_norm.weight", ones)
		matrix(p+"attn_q.weight", s.heads*s.headSize, s.hidden)
		matrix(p+"attn_k.weight", s.kvHeads*s.headSize, s.hidden)
		matrix(p+"attn_v.weight", s.kvHeads*s.headSize, s.hidden)
		matrix(p+"attn_output.weight", s.hidden, s.heads*s.headSize)
		vector(p+"ffn_norm.weight", ones)
		matrix(p+"ffn_gate.weight", s.intermediate, s.hidden)
		matrix(p+"ffn_up.weight", s.intermediate, s.hidden)
		matrix(p+"ffn_down.weight", s.hidden, s.intermediate)
	}
	tmp := filepath.Join(filepath.Dir(path), ".tmp-"+filepath.Base(path))
	defer os.RemoveAll(tmp)
	if err := g.Write(tmp); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// randomQ4 is so many blocks of Q4_0: a float16 scale and 32 values of 4 bits. The weights spread as those of a trained model.
func randomQ4(r io.Reader, blocks int) []byte {
	const size = 2 + 16
	data := make([]byte, blocks*size)
	_, _ = io.ReadFull(r, data) // a generator of random numbers does not fail
	for b := 0; b < len(data); b += size {
		scale := 0.003 + 0.003*float32(data[b])/255
		binary.LittleEndian.PutUint16(data[b:], nbits.Float16(scale))
	}
	return data
}

// ropeFactors are by how much each pair of a head turns slower than without scaling.
func (s shape) ropeFactors() []float32 {
	plain := llama.Rope{Base: ropeBase}.Frequencies(s.headSize)
	scaled := llama.Rope{
		Base: ropeBase, Llama3: &llama.Llama3{Factor: 32, LowFreq: 1, HighFreq: 4, Original: 8192},
	}.Frequencies(s.headSize)
	factors := make([]float32, len(plain))
	for i := range factors {
		factors[i] = float32(plain[i] / scaled[i])
	}
	return factors
}

// vocabulary is a byte-level one: bytes and a few merges, the words of the prompts, made-up words, control tokens.
func (s shape) vocabulary() (tokens []string, types []int32, merges []string, err error) {
	small := testmodel.Config{}.GGUF("llama-bpe").Metadata
	tokens = append(tokens, small["tokenizer.ggml.tokens"].([]string)[:testmodel.BeginOfText]...)
	merges = small["tokenizer.ggml.merges"].([]string)
	end := s.vocab - reserved
	if end < len(tokens)+2*len(words) {
		return nil, nil, nil, fmt.Errorf("a vocabulary of %d has no room for the words", s.vocab)
	}
	seen := map[string]bool{}
	for _, t := range tokens {
		seen[t] = true
	}
	add := func(t string) {
		if !seen[t] && len(tokens) < end {
			seen[t] = true
			tokens = append(tokens, t)
		}
	}
	const blank = "Ġ" // the letter of the byte 0x20
	for _, w := range words {
		add(w)
		add(blank + w)
	}
	for n := 0; len(tokens) < end; n++ {
		add(blank + madeUp(n))
	}
	types = make([]int32, s.vocab)
	for i := range types {
		types[i] = 1
	}
	for i := range reserved {
		name := fmt.Sprintf("<|reserved_special_token_%d|>", i)
		switch i {
		case 0:
			name = "<|begin_of_text|>"
		case 1:
			name = "<|end_of_text|>"
		}
		types[len(tokens)] = 3
		tokens = append(tokens, name)
	}
	return tokens, types, merges, nil
}

// madeUp is the word number n: syllables that tell the number.
func madeUp(n int) string {
	const consonants, vowels = "bdfgklmnprstvz", "aeiou"
	var w []byte
	for ; n > 0 || len(w) < 4; n /= len(consonants) * len(vowels) {
		syllable := n % (len(consonants) * len(vowels))
		w = append(w, consonants[syllable/len(vowels)], vowels[syllable%len(vowels)])
	}
	return string(w)
}
