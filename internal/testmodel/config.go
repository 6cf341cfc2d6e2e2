// Package testmodel makes small Llama models with known weights, for tests: a whole model directory in the layout our
// importer writes, and a forward pass in plain Go that says what its logits must be.
//
// The forward pass shares no code with the graph: only the pseudo-random weights and, where they are quantized, the
// integers and scales they are rounded to.
package testmodel

import "ortserve/onnx/graph/nbits"

// Config says which model. The zero value is one of 2 layers, 64 wide, with 4 heads, 2 key and value heads of 16, 512
// tokens and float32 weights.
type Config struct {
	Seed         uint64
	Layers       int
	Hidden       int
	Heads        int
	KVHeads      int
	HeadSize     int
	Intermediate int
	Positions    int

	Tied   bool // head and embedding are one matrix
	Llama3 bool // Llama 3.1's rope scaling: factor 8, over an original context of a quarter of Positions

	// Bits 4 or 8 stores weights for MatMulNBits, in blocks of Block (32 unless given); 0 is float32.
	Bits, Block int
	Symmetric   bool
	// AccuracyLevel is MatMulNBits' attribute. At 4, as in imported models, activations are rounded to 8 bits and logits
	// are near the reference's, not equal; at 0 they are equal up to float32's rounding.
	AccuracyLevel int

	EOS []int32 // ids that end a text; unless given [EndOfText] and [EndOfTurn]
}

// Vocab is the number of tokens: a token for each byte (its id is the byte), pairs of letters, control tokens.
const Vocab = 512

// The control tokens. Unless the model is tied their logits are 0, so that greedy decoding never meets one.
const (
	BeginOfText int32 = 500 + iota
	EndOfText
	StartHeader
	EndHeader
	EndOfTurn
	firstReserved
)

const epsilon = 1e-5

func (c Config) defaults() Config {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&c.Layers, 2)
	set(&c.Hidden, 64)
	set(&c.Heads, 4)
	set(&c.KVHeads, 2)
	set(&c.HeadSize, 16)
	set(&c.Intermediate, 128)
	set(&c.Positions, 2048)
	if c.Bits == 0 || c.Bits == 32 {
		c.Bits, c.Block, c.Symmetric = 32, 0, false
	} else {
		set(&c.Block, 32)
	}
	if c.EOS == nil {
		c.EOS = []int32{EndOfText, EndOfTurn}
	}
	return c
}

func (c Config) format() nbits.Format {
	return nbits.Format{Bits: c.Bits, Block: c.Block, Symmetric: c.Symmetric}
}
