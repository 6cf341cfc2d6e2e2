package convert

import (
	"errors"
	"slices"

	"ortserve/models/convert/gguf"
	"ortserve/onnx/graph/nbits"
)

func (o Options) check() error {
	if o.Bits == 16 {
		return errors.New("weights of 16 bits are not supported (4 and 8 are)")
	}
	f := nbits.Format{Bits: o.Bits, Block: o.Block, Symmetric: o.Symmetric}
	if f.Bits == 0 {
		f.Bits = 8
	}
	if f.Quantized() && f.Block == 0 {
		f.Block = 32
	}
	return f.Check()
}

// exact is the smallest format that holds all values of a type that is quantized in blocks without minima.
func exact(t gguf.Type) (nbits.Format, bool) {
	switch t {
	case gguf.Q8_0:
		return nbits.Format{Bits: 8, Block: 32, Symmetric: true}, true
	case gguf.Q4_0:
		return nbits.Format{Bits: 4, Block: 32, Symmetric: true}, true
	}
	return nbits.Format{}, false
}

// format chooses for weights of these types what the options leave open. Blocks of 64 with 8 bits lose as little as
// blocks of 32 and are read faster; with 4 bits they lose more. bench/quality.py measures it.
func (o Options) format(types ...gguf.Type) nbits.Format {
	f := nbits.Format{Bits: o.Bits, Block: o.Block, Symmetric: o.Symmetric}
	if f.Bits == 32 {
		return f
	}
	if best, ok := exact(types[0]); ok && !slices.ContainsFunc(types, func(t gguf.Type) bool { return t != types[0] }) {
		if (f.Bits == 0 || f.Bits == best.Bits) && (f.Block == 0 || f.Block == best.Block) {
			return best
		}
	}
	if f.Bits == 0 {
		f.Bits = 8
	}
	if f.Block == 0 {
		f.Block = 32
		if f.Bits == 8 {
			f.Block = 64
		}
	}
	return f
}

// embeddingFormat is the head's where both are one matrix whose rows are whole blocks: then they share their bytes. Else
// it is the smallest that holds the values as they are, or float16.
func embeddingFormat(s *llamaSource, head nbits.Format) nbits.Format {
	if !head.Quantized() || s.tied && s.config.Hidden%head.Block == 0 {
		return head
	}
	if f, ok := exact(s.embedding.Type); ok {
		return f
	}
	return nbits.Format{Bits: 16}
}

// products are the types of all matrices of the layers.
func (s *llamaSource) products() []gguf.Type {
	var types []gguf.Type
	for _, l := range s.layers {
		for _, t := range []*gguf.Tensor{l.query, l.key, l.value, l.output, l.gate, l.up, l.down} {
			types = append(types, t.Type)
		}
	}
	return types
}
