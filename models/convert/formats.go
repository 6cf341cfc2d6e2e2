package convert

import (
	"errors"
	"fmt"
	"slices"

	"ortserve/models/convert/gguf"
	"ortserve/onnx/graph/nbits"
)

func (o Options) check() error {
	if o.Bits == 16 && !o.Float16 {
		return errors.New("weights of 16 bits are for graphs of float16: --dtype fp16")
	}
	if o.Bits == 32 && o.Float16 {
		return errors.New("weights of 32 bits are for graphs of float32: --dtype fp32")
	}
	for _, bits := range []int{o.HeadBits, o.EdgeBits} {
		if bits != 0 && bits != 4 && bits != 8 {
			return fmt.Errorf("weights of %d bits are not supported for the head or the edge layers (4 and 8 are)", bits)
		}
		if bits != 0 && (o.Bits == 16 || o.Bits == 32) {
			return fmt.Errorf("the head or the edge layers in %d bits, but all else in floating-point numbers", bits)
		}
	}
	f := o.quantized(o.Bits)
	if f.Bits == 0 {
		f.Bits = 8
	}
	if f.Quantized() && f.Block == 0 {
		f.Block = 32
	}
	return f.Check()
}

// quantized is the form of so many bits, as far as the options say.
func (o Options) quantized(bits int) nbits.Format {
	return nbits.Format{Bits: bits, Block: o.Block, Symmetric: o.Symmetric, Half: o.Float16 && bits != 16}
}

// exact is the smallest format that holds all values of a type that is quantized in blocks without minima.
func (o Options) exact(t gguf.Type) (nbits.Format, bool) {
	switch t {
	case gguf.Q8_0:
		return nbits.Format{Bits: 8, Block: 32, Symmetric: true, Half: o.Float16}, true
	case gguf.Q4_0:
		return nbits.Format{Bits: 4, Block: 32, Symmetric: true, Half: o.Float16}, true
	}
	return nbits.Format{}, false
}

// format chooses for weights of these types what the options leave open; bits, if not 0, goes before Options.Bits. Blocks of
// 64 with 8 bits lose as little as blocks of 32 and are read faster; with 4 bits they lose more. bench/quality.py measures it.
func (o Options) format(bits int, types ...gguf.Type) nbits.Format {
	if bits == 0 {
		bits = o.Bits
	}
	f := o.quantized(bits)
	if f.Bits == 16 || f.Bits == 32 {
		return f
	}
	if best, ok := o.exact(types[0]); ok && !slices.ContainsFunc(types, func(t gguf.Type) bool { return t != types[0] }) {
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

// formats are the forms of a model's weights.
type formats struct {
	layers    []nbits.Format
	head      nbits.Format
	embedding nbits.Format
}

func (o Options) formats(s *source) formats {
	types := s.products()
	f := formats{layers: slices.Repeat([]nbits.Format{o.format(0, types...)}, len(s.layers)), head: o.format(o.HeadBits, s.head.kind)}
	if o.EdgeBits != 0 {
		edge := o.format(o.EdgeBits, types...)
		f.layers[0], f.layers[len(f.layers)-1] = edge, edge
	}
	f.embedding = o.embeddingFormat(s, f.head)
	return f
}

// embeddingFormat is the head's where both are one matrix whose rows are whole blocks: then they share their bytes. Else
// it is the smallest that holds the values as they are, or float16.
func (o Options) embeddingFormat(s *source, head nbits.Format) nbits.Format {
	if !head.Quantized() || s.tied && s.config.Hidden%head.Block == 0 {
		return head
	}
	if f, ok := o.exact(s.embedding.kind); ok {
		return f
	}
	return nbits.Format{Bits: 16}
}

// holds says whether the format stores every value of the type as it is.
func holds(f nbits.Format, t gguf.Type) bool {
	switch t {
	case gguf.Q8_0:
		return f.Bits == 32 || f.Bits == 8 && f.Block == 32
	case gguf.Q4_0:
		return f.Bits == 32 || f.Quantized() && f.Block == 32
	case gguf.F16:
		return f.Bits == 16 || f.Bits == 32
	}
	return f.Bits == 32
}
