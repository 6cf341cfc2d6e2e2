package gguf

import (
	"fmt"
	"os"
)

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
		return fmt.Errorf("tensor %q is of type %v, which is not supported", t.Name, t.Type)
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
