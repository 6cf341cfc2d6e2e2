// Package llama writes the graph of a Llama-architecture language model, in the layout that ONNX Runtime runs fastest on
// a CPU and that onnxruntime-genai also loads.
//
// Inputs:
//
//	input_ids            int64   [batch_size, sequence_length]
//	attention_mask       int64   [batch_size, total_sequence_length]; a row's sum is its length, new tokens included
//	past_key_values.N.*  float32, float16 or int8 [batch_size, KVHeads, past_sequence_length, HeadSize], key and value of each layer
//	num_logits_to_keep   int64 [1]; optional, 1 unless given, 0 keeps all
//
// Outputs: logits float32 [batch_size, min(num_logits_to_keep, sequence_length), Vocab], of the last positions, and
// present.N.key|value [batch_size, KVHeads, max(past, total)_sequence_length, HeadSize], of the past's type, which may be
// bound to the memory of the past: then only the new rows are written.
//
// A layer is: packed query, key and value product -> GroupQueryAttention with the rotary embedding inside -> output
// product -> SkipSimplifiedLayerNormalization -> gate and up products, SiLU, down product. Mistral adds a window to the
// attention, Qwen2 biases to the packed product, Qwen3 a norm to each query and key head.
package llama

import (
	"errors"
	"fmt"

	"ortserve/onnx/graph"
	"ortserve/onnx/graph/nbits"
)

// Config is the shape of a model.
type Config struct {
	Layers       int
	Hidden       int // width of the residual stream
	Heads        int // query heads
	KVHeads      int // key and value heads; divides Heads
	HeadSize     int
	Intermediate int // width between the up and the down product
	Vocab        int
	Positions    int // context length: the longest sequence the model is made for
	Epsilon      float32
	Rope         Rope

	// Windows says for each layer how many positions a token sees, itself included; 0 is all. Nil is all for every layer.
	Windows []int

	// Float16 makes activations and KV half-precision, as GPUs want them; norms, biases, tables and scales are too, and
	// matrices that are not quantized. Logits are float32 all the same.
	Float16 bool

	// AccuracyLevel is MatMulNBits' attribute: 4 rounds activations to 8 bits, which is what the fast kernels need; 0
	// leaves them in float32, for comparing with a reference.
	AccuracyLevel int
}

// largest values that are believed: each is above every model known, and small enough that no product overflows.
const (
	maxLayers    = 1 << 12
	maxWidth     = 1 << 20
	maxVocab     = 1 << 24
	maxPositions = 1 << 21
)

// Check refuses shapes that the graph cannot have.
func (c Config) Check() error {
	within := func(what string, v, limit int) error {
		if v < 1 || v > limit {
			return fmt.Errorf("%s is %d, not within 1 and %d", what, v, limit)
		}
		return nil
	}
	err := errors.Join(
		within("number of layers", c.Layers, maxLayers),
		within("hidden size", c.Hidden, maxWidth),
		within("number of heads", c.Heads, maxWidth),
		within("number of key and value heads", c.KVHeads, maxWidth),
		within("head size", c.HeadSize, maxWidth),
		within("intermediate size", c.Intermediate, maxWidth),
		within("vocabulary size", c.Vocab, maxVocab),
		within("context length", c.Positions, maxPositions),
	)
	if err != nil {
		return err
	}
	switch {
	case c.Heads%c.KVHeads != 0:
		return fmt.Errorf("%d heads cannot share %d key and value heads", c.Heads, c.KVHeads)
	case c.HeadSize%16 != 0:
		return fmt.Errorf("a head size of %d is not supported: the rotary embedding in GroupQueryAttention needs a multiple of 16", c.HeadSize)
	case !(c.Epsilon > 0 && c.Epsilon < 1):
		return fmt.Errorf("normalization epsilon is %v, not within 0 and 1", c.Epsilon)
	}
	if c.Windows != nil && len(c.Windows) != c.Layers {
		return fmt.Errorf("attention windows of %d layers, the model has %d", len(c.Windows), c.Layers)
	}
	for i, w := range c.Windows {
		if w < 0 || w > maxPositions {
			return fmt.Errorf("layer %d has an attention window of %d", i, w)
		}
	}
	return c.Rope.check(c.HeadSize)
}

// Float is the type of activations and of all that is added to them or multiplied with them.
func (c Config) Float() graph.DataType {
	if c.Float16 {
		return graph.Float16
	}
	return graph.Float32
}

// Vector puts a norm's or a bias's values into the file, in the graph's type.
func (c Config) Vector(d *graph.DataFile, name string, values []float32) (*graph.Tensor, error) {
	return d.Add(name, c.Float(), []int64{int64(len(values))}, c.appendFloats(nil, values))
}

func (c Config) appendFloats(dst []byte, values []float32) []byte {
	if c.Float16 {
		return nbits.AppendFloat16(dst, values)
	}
	return graph.AppendFloat32(dst, values)
}

// QKVRows is the number of rows of the packed product: queries, then keys, then values.
func (c Config) QKVRows() int { return (c.Heads + 2*c.KVHeads) * c.HeadSize }
