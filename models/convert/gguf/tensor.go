package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"

	"ortserve/onnx/graph/nbits"
)

// Type is how a tensor's values are stored (enum ggml_type of ggml.h).
type Type uint32

// The types whose values this package reads.
const (
	F32  Type = 0
	F16  Type = 1
	Q4_0 Type = 2
	Q4_1 Type = 3
	Q8_0 Type = 8
	BF16 Type = 30
)

var typeNames = map[Type]string{
	F32: "F32", F16: "F16", Q4_0: "Q4_0", Q4_1: "Q4_1", 6: "Q5_0", 7: "Q5_1", Q8_0: "Q8_0", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K",
	12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL",
	21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", BF16: "BF16",
	34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}

func (t Type) String() string {
	if s, ok := typeNames[t]; ok {
		return s
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// Block is the number of consecutive values of a row that are stored together, and the number of bytes they take; 0
// for types that this package does not read.
func (t Type) Block() (values, bytes int) {
	switch t {
	case F32:
		return 1, 4
	case F16, BF16:
		return 1, 2
	case Q4_0:
		return 32, 2 + 16
	case Q4_1:
		return 32, 2 + 2 + 16
	case Q8_0:
		return 32, 2 + 32
	}
	return 0, 0
}

// Tensor is a tensor of a file. Rows run along the first dimension, as GGUF lists them.
type Tensor struct {
	Name string
	Dims []int64
	Type Type

	file     *os.File
	offset   int64 // of the first byte
	elements int64
}

// place makes the offset one in the file and checks that the values are inside it. Values of a type that is not read are
// not checked: they are refused when they are asked for.
func (t *Tensor) place(start, size int64) error {
	t.offset += start
	values, bytes := t.Type.Block()
	if values == 0 {
		return nil
	}
	if t.RowLength()%int64(values) != 0 {
		return fmt.Errorf("damaged: rows of tensor %q have %d values, %v comes in blocks of %d", t.Name, t.RowLength(), t.Type, values)
	}
	if need := t.elements / int64(values) * int64(bytes); t.offset > size || need > size-t.offset {
		return fmt.Errorf("damaged: tensor %q takes bytes [%d, %d), the file has %d", t.Name, t.offset, t.offset+need, size)
	}
	return nil
}

// RowLength is the number of values in a row.
func (t *Tensor) RowLength() int64 {
	if len(t.Dims) == 0 {
		return 1
	}
	return t.Dims[0]
}

// Rows is the number of rows.
func (t *Tensor) Rows() int64 { return t.elements / t.RowLength() }

// Check refuses types that cannot be read.
func (t *Tensor) Check() error {
	if values, _ := t.Type.Block(); values == 0 {
		return fmt.Errorf("tensor %q is of type %v, which is not supported (F32, F16, BF16, Q8_0, Q4_0 and Q4_1 are)", t.Name, t.Type)
	}
	return nil
}

// RowBytes is the number of bytes of a row. The type must be one that can be read.
func (t *Tensor) RowBytes() int {
	values, bytes := t.Type.Block()
	return int(t.RowLength()) / values * bytes
}

// Bytes is the number of bytes of all values. The type must be one that can be read.
func (t *Tensor) Bytes() int64 { return t.Rows() * int64(t.RowBytes()) }

// Read reads rows from row on, as the file has them, until dst is full.
func (t *Tensor) Read(dst []byte, row int) error {
	at := int64(row) * int64(t.RowBytes())
	if row < 0 || int64(len(dst)) > t.Bytes()-at {
		return fmt.Errorf("tensor %q: rows from %d on are outside its %d", t.Name, row, t.Rows())
	}
	if _, err := t.file.ReadAt(dst, t.offset+at); err != nil {
		return fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	return nil
}

// Float32s returns all values.
func (t *Tensor) Float32s() ([]float32, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	raw := make([]byte, t.Bytes())
	if err := t.Read(raw, 0); err != nil {
		return nil, err
	}
	out := make([]float32, t.elements)
	t.Type.Dequantize(out, raw)
	return out, nil
}

// Dequantize writes the values that raw holds to dst: whole blocks, of a type that can be read.
func (t Type) Dequantize(dst []float32, raw []byte) {
	half := func(b []byte) float32 { return nbits.FromFloat16(binary.LittleEndian.Uint16(b)) }
	values, bytes := t.Block()
	for ; len(dst) >= values && len(raw) >= bytes && values > 0; dst, raw = dst[values:], raw[bytes:] {
		switch t {
		case F32:
			dst[0] = math.Float32frombits(binary.LittleEndian.Uint32(raw))
		case F16:
			dst[0] = half(raw)
		case BF16:
			dst[0] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(raw)) << 16)
		case Q8_0:
			d := half(raw)
			for i, q := range raw[2:34] {
				dst[i] = float32(int8(q)) * d
			}
		case Q4_0: // a byte holds values i and i+16
			d := half(raw)
			for i, q := range raw[2:18] {
				dst[i] = float32(int(q&15)-8) * d
				dst[i+16] = float32(int(q>>4)-8) * d
			}
		case Q4_1:
			d, m := half(raw), half(raw[2:])
			for i, q := range raw[4:20] {
				dst[i] = float32(float32(q&15)*d) + m // the conversion keeps the product from being fused with the sum
				dst[i+16] = float32(float32(q>>4)*d) + m
			}
		}
	}
}
