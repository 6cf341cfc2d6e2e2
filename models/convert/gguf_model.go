package convert

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"ortserve/models/convert/gguf"
	"ortserve/onnx/graph/llama"
)

// ggufKeys are the settings that are read or that say nothing about the answers. Any other is refused.
var ggufKeys = []string{
	"context_length", "embedding_length", "block_count", "feed_forward_length", "vocab_size", "tensor_data_layout",
	"attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length",
	"attention.layer_norm_rms_epsilon", "attention.sliding_window", "attention.causal", "expert_count", "expert_used_count",
	"rope.dimension_count", "rope.freq_base", "rope.scale_linear", "rope.scaling.type", "rope.scaling.factor",
	"rope.scaling.original_context_length", "rope.scaling.low_freq_factor", "rope.scaling.high_freq_factor",
	"rope.scaling.attn_factor", "rope.scaling.yarn_ext_factor", "rope.scaling.yarn_attn_factor",
	"rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow", "rope.scaling.finetuned",
}

// ggufNames are GGUF's names of tensors (gguf-py/gguf/constants.py of ggml-org/llama.cpp).
var ggufNames = names{
	embedding: "token_embd", norm: "output_norm", head: "output", layer: "blk.%d.",
	inputNorm: "attn_norm", postNorm: "ffn_norm",
	query: "attn_q", key: "attn_k", value: "attn_v", output: "attn_output", queryNorm: "attn_q_norm", keyNorm: "attn_k_norm",
	gate: "ffn_gate", up: "ffn_up", down: "ffn_down",
}

const ropeFactors = "rope_freqs.weight"

// readGGUF reads the shape of the model in a file and finds its tensors.
func readGGUF(f *gguf.File) (*source, error) {
	m := f.Metadata
	s := &source{architecture: m.Text("general.architecture", ""), files: f.Paths}
	switch s.architecture {
	case "llama":
		s.interleaved = true
		s.qkvBias = f.Tensor("blk.0.attn_q.bias") != nil
		s.outputBias = f.Tensor("blk.0.attn_output.bias") != nil
	case "qwen2":
		s.qkvBias = true
	case "qwen3":
		s.headNorms = true
	default:
		return nil, errors.Join(m.Err(), fmt.Errorf("architecture %q is not supported (llama, qwen2 and qwen3 are)", s.architecture))
	}
	prefix := s.architecture + "."
	for _, key := range m.Keys() {
		if rest, ok := strings.CutPrefix(key, prefix); ok && !slices.Contains(ggufKeys, rest) {
			return nil, fmt.Errorf("the setting %s is not known, and ignoring it might change the model's answers", key)
		}
	}
	if err := s.readGGUFConfig(m, f, prefix); err != nil {
		return nil, err
	}
	if err := s.readGGUFRope(m, f, prefix); err != nil {
		return nil, err
	}
	if err := s.config.Check(); err != nil {
		return nil, err
	}
	if s.config.Layers > len(f.Tensors) {
		return nil, fmt.Errorf("%d layers, but only %d tensors", s.config.Layers, len(f.Tensors))
	}
	s.tied = f.Tensor(ggufNames.head+".weight") == nil
	find := ggufFinder(f)
	all := make([]string, len(f.Tensors))
	for i, t := range f.Tensors {
		all[i] = t.Name
	}
	return s, errors.Join(s.readTensors(find, ggufNames), find.unknown(all))
}

// ggufFinder finds tensors in a file. GGUF says the length of a row first.
func ggufFinder(f *gguf.File) *finder {
	return &finder{
		used: map[string]bool{ropeFactors: true},
		want: func(rows, length int) string { return fmt.Sprint([]int{length, rows}) },
		find: func(name string) (*tensor, string, error) {
			t := f.Tensor(name)
			if t == nil {
				return nil, "", nil
			}
			return &tensor{
				name: name, kind: t.Type, rows: int(t.Rows()), length: int(t.RowLength()), read: t.Read,
			}, fmt.Sprint(t.Dims), t.Check()
		},
	}
}

func (s *source) readGGUFConfig(m *gguf.Metadata, f *gguf.File, prefix string) error {
	get := func(key string, missing int64) int {
		return int(max(-1, min(m.Int(prefix+key, missing), math.MaxInt32)))
	}
	c := &s.config
	c.Layers = get("block_count", 0)
	c.Hidden = get("embedding_length", 0)
	c.Intermediate = get("feed_forward_length", 0)
	c.Heads = get("attention.head_count", 0)
	c.KVHeads = get("attention.head_count_kv", int64(c.Heads))
	c.Positions = get("context_length", 0)
	c.Epsilon = float32(m.Float(prefix+"attention.layer_norm_rms_epsilon", 0))
	c.AccuracyLevel = 4
	if c.Heads > 0 {
		c.HeadSize = get("attention.key_length", int64(c.Hidden/c.Heads))
	}
	if t := f.Tensor(ggufNames.embedding + ".weight"); t != nil {
		c.Vocab = int(min(t.Rows(), math.MaxInt32))
	}
	if err := m.Err(); err != nil {
		return err
	}
	if v := get("attention.value_length", int64(c.HeadSize)); v != c.HeadSize {
		return fmt.Errorf("values of %d and keys of %d elements a head: they must be as long", v, c.HeadSize)
	}
	if v := get("vocab_size", int64(c.Vocab)); v != c.Vocab {
		return fmt.Errorf("%svocab_size is %d, the embedding has %d rows", prefix, v, c.Vocab)
	}
	if n := get("expert_count", 0); n > 0 {
		return fmt.Errorf("a mixture of %d experts is not supported", n)
	}
	if n := get("attention.sliding_window", 0); n != 0 && c.Layers > 0 && c.Layers <= len(f.Tensors) {
		c.Windows = slices.Repeat([]int{n}, c.Layers)
		if s.architecture == "llama" {
			s.architecture = "mistral"
		}
	}
	if !m.Bool(prefix+"attention.causal", true) {
		return errors.New("attention that is not causal is not supported")
	}
	return m.Err()
}

// readGGUFRope reads the rotary embedding. Converters write Llama 3.1's scaling as a factor for each pair; its four numbers
// are found again from them, so that config.json can say them.
func (s *source) readGGUFRope(m *gguf.Metadata, f *gguf.File, prefix string) error {
	c := &s.config
	r := &c.Rope
	r.Base = m.Float(prefix+"rope.freq_base", 10000)
	r.Linear = m.Float(prefix+"rope.scale_linear", 0)
	if n := m.Int(prefix+"rope.dimension_count", int64(c.HeadSize)); n != int64(c.HeadSize) {
		return fmt.Errorf("a rotary embedding of %d of a head's %d elements is not supported", n, c.HeadSize)
	}
	number := func(key string, missing float64) float64 {
		return shortest(m.Float(prefix+"rope.scaling."+key, missing))
	}
	original := float64(m.Int(prefix+"rope.scaling.original_context_length", int64(c.Positions)))
	switch kind := m.Text(prefix+"rope.scaling.type", "none"); kind {
	case "none":
	case "linear":
		r.Linear = number("factor", 0)
	case "llama3":
		r.Llama3 = &llama.Llama3{Factor: number("factor", 0), LowFreq: number("low_freq_factor", 0), HighFreq: number("high_freq_factor", 0), Original: original}
	case "yarn":
		r.Yarn = &llama.Yarn{
			Factor: number("factor", 0), Original: original,
			FastTurns: number("yarn_beta_fast", 32), SlowTurns: number("yarn_beta_slow", 1),
		}
		r.Yarn.Magnitude = yarnMagnitude(r.Yarn.Factor) * number("attn_factor", 1) * number("yarn_attn_factor", 1)
		if x := number("yarn_ext_factor", 1); x != 1 {
			return fmt.Errorf("an extrapolation factor of %v in yarn's rope scaling is not supported", x)
		}
	default:
		return fmt.Errorf("rope scaling of type %q is not supported (linear, llama3 and yarn are)", kind)
	}
	if err := m.Err(); err != nil {
		return err
	}
	if r.Linear == 1 {
		r.Linear = 0
	}
	t := f.Tensor(ropeFactors)
	if t == nil {
		return nil
	}
	if t.Rows() != 1 || t.RowLength() != int64(c.HeadSize/2) {
		return fmt.Errorf("tensor %q has the shape %v, %d factors are expected", t.Name, t.Dims, c.HeadSize/2)
	}
	factors, err := t.Float32s()
	if err != nil {
		return err
	}
	if r.Llama3 = findLlama3(*r, factors); r.Llama3 == nil {
		r.Factors = factors
	}
	return nil
}

// yarnMagnitude is the paper's attention factor: the square root of its temperature's inverse.
func yarnMagnitude(factor float64) float64 {
	if !(factor > 1) {
		return 1
	}
	return 0.1*math.Log(factor) + 1
}

// findLlama3 returns Llama 3.1's scaling if it gives just these factors, with the numbers that all published models have.
func findLlama3(r llama.Rope, factors []float32) *llama.Llama3 {
	if len(factors) == 0 {
		return nil
	}
	guess := &llama.Llama3{Factor: float64(slices.Max(factors)), LowFreq: 1, HighFreq: 4, Original: 8192}
	if guess.Factor <= 1 {
		return nil
	}
	plain := llama.Rope{Base: r.Base}.Frequencies(2 * len(factors))
	scaled := llama.Rope{Base: r.Base, Llama3: guess}.Frequencies(2 * len(factors))
	for i, f := range factors {
		if !(math.Abs(plain[i]/scaled[i]/float64(f)-1) < 1e-4) {
			return nil
		}
	}
	return guess
}
