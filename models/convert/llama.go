package convert

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"ortserve/models/convert/gguf"
	"ortserve/onnx/graph/llama"
)

// llamaSource is a GGUF file of the Llama architecture: its shape, and its tensors with their shapes checked.
type llamaSource struct {
	config          llama.Config
	embedding, head *gguf.Tensor // the same where tied
	norm            *gguf.Tensor
	layers          []llamaLayer
	tied            bool
}

type llamaLayer struct {
	inputNorm, postNorm       *gguf.Tensor
	query, key, value, output *gguf.Tensor
	gate, up, down            *gguf.Tensor
}

// llamaKeys are the settings that are read or that say nothing about the answers. Any other is refused.
var llamaKeys = []string{
	"context_length", "embedding_length", "block_count", "feed_forward_length", "vocab_size", "tensor_data_layout",
	"attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length",
	"attention.layer_norm_rms_epsilon", "attention.sliding_window", "attention.causal", "expert_count", "expert_used_count",
	"rope.dimension_count", "rope.freq_base", "rope.scale_linear", "rope.scaling.type", "rope.scaling.factor",
	"rope.scaling.original_context_length", "rope.scaling.low_freq_factor", "rope.scaling.high_freq_factor",
	"rope.scaling.finetuned",
}

const prefix = "llama."

func readLlama(f *gguf.File) (*llamaSource, error) {
	m := f.Metadata
	if a := m.Text("general.architecture", ""); a != "llama" {
		return nil, errors.Join(m.Err(), fmt.Errorf("architecture %q is not supported (llama is)", a))
	}
	if n := m.Int("split.count", 0); n > 1 {
		return nil, fmt.Errorf("this is one of %d parts of a model: put them together first (llama-gguf-split --merge)", n)
	}
	for _, key := range m.Keys() {
		if rest, ok := strings.CutPrefix(key, prefix); ok && !slices.Contains(llamaKeys, rest) {
			return nil, fmt.Errorf("the setting %s is not known, and ignoring it might change the model's answers", key)
		}
	}
	s := &llamaSource{}
	if err := s.readConfig(m, f); err != nil {
		return nil, err
	}
	if err := s.readRope(m, f); err != nil {
		return nil, err
	}
	if err := s.config.Check(); err != nil {
		return nil, err
	}
	return s, s.readTensors(f)
}

func (s *llamaSource) readConfig(m *gguf.Metadata, f *gguf.File) error {
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
	if t := f.Tensor("token_embd.weight"); t != nil {
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
	if n := get("attention.sliding_window", 0); n > 0 {
		return fmt.Errorf("a sliding attention window (of %d) is not supported", n)
	}
	if !m.Bool(prefix+"attention.causal", true) {
		return errors.New("attention that is not causal is not supported")
	}
	return m.Err()
}

// readRope reads the rotary embedding. Converters write Llama 3.1's scaling as a factor for each pair (rope_freqs.weight);
// its four numbers are found again from them, so that config.json can say them.
func (s *llamaSource) readRope(m *gguf.Metadata, f *gguf.File) error {
	c := &s.config
	r := &c.Rope
	r.Base = m.Float(prefix+"rope.freq_base", 10000)
	r.Linear = m.Float(prefix+"rope.scale_linear", 0)
	if n := m.Int(prefix+"rope.dimension_count", int64(c.HeadSize)); n != int64(c.HeadSize) {
		return fmt.Errorf("a rotary embedding of %d of a head's %d elements is not supported", n, c.HeadSize)
	}
	number := func(key string) float64 { return m.Float(prefix+"rope.scaling."+key, 0) }
	switch kind := m.Text(prefix+"rope.scaling.type", "none"); kind {
	case "none":
	case "linear":
		r.Linear = number("factor")
	case "llama3":
		r.Llama3 = &llama.Llama3{
			Factor: number("factor"), LowFreq: number("low_freq_factor"), HighFreq: number("high_freq_factor"),
			Original: float64(m.Int(prefix+"rope.scaling.original_context_length", 0)),
		}
	default:
		return fmt.Errorf("rope scaling of type %q is not supported (linear and llama3 are)", kind)
	}
	if err := m.Err(); err != nil {
		return err
	}
	if r.Linear == 1 {
		r.Linear = 0
	}
	t := f.Tensor("rope_freqs.weight")
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

// readTensors finds every tensor of the model, and refuses the file if there is one more.
func (s *llamaSource) readTensors(f *gguf.File) error {
	c := s.config
	used := map[string]bool{"rope_freqs.weight": true}
	var errs []error
	take := func(name string, rows, length int) *gguf.Tensor {
		used[name] = true
		t := f.Tensor(name)
		switch {
		case t == nil:
			errs = append(errs, fmt.Errorf("tensor %q is missing", name))
		case t.Rows() != int64(rows) || t.RowLength() != int64(length) || len(t.Dims) > 2:
			errs = append(errs, fmt.Errorf("tensor %q has the shape %v, [%d %d] is expected", name, t.Dims, length, rows))
		default:
			errs = append(errs, t.Check())
		}
		return t
	}
	heads, kv := c.Heads*c.HeadSize, c.KVHeads*c.HeadSize
	s.embedding = take("token_embd.weight", c.Vocab, c.Hidden)
	s.norm = take("output_norm.weight", 1, c.Hidden)
	s.head, s.tied = s.embedding, f.Tensor("output.weight") == nil
	if !s.tied {
		s.head = take("output.weight", c.Vocab, c.Hidden)
	}
	if c.Layers > len(f.Tensors) {
		return fmt.Errorf("%d layers, but only %d tensors", c.Layers, len(f.Tensors))
	}
	for i := range c.Layers {
		p := "blk." + strconv.Itoa(i) + "."
		s.layers = append(s.layers, llamaLayer{
			inputNorm: take(p+"attn_norm.weight", 1, c.Hidden),
			query:     take(p+"attn_q.weight", heads, c.Hidden),
			key:       take(p+"attn_k.weight", kv, c.Hidden),
			value:     take(p+"attn_v.weight", kv, c.Hidden),
			output:    take(p+"attn_output.weight", c.Hidden, heads),
			postNorm:  take(p+"ffn_norm.weight", 1, c.Hidden),
			gate:      take(p+"ffn_gate.weight", c.Intermediate, c.Hidden),
			up:        take(p+"ffn_up.weight", c.Intermediate, c.Hidden),
			down:      take(p+"ffn_down.weight", c.Hidden, c.Intermediate),
		})
	}
	for _, t := range f.Tensors {
		if !used[t.Name] {
			errs = append(errs, fmt.Errorf("tensor %q is not known, and leaving it out might change the model's answers", t.Name))
		}
	}
	return firstFew(errs)
}

// firstFew joins errors, but not hundreds: a file of another type has the same fault in every tensor.
func firstFew(errs []error) error {
	const few = 3
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) > few {
		more := len(errs) - few
		errs = append(errs[:few:few], fmt.Errorf("and %d more", more))
	}
	return errors.Join(errs...)
}

// shortest is the double that prints as the float32 does: 0.1f is stored as 0.10000000149, and means 0.1.
func shortest(v float64) float64 {
	if float64(float32(v)) != v {
		return v
	}
	s, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', -1, 32), 64)
	if err != nil {
		return v
	}
	return s
}
