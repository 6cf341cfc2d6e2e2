package safetensors

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

const (
	maxHeader = 100_000_000 // the reference implementation's limit, in bytes
	maxName   = 1024
	maxDims   = 8
)

// Tensor is a tensor of a file: values of a type in rows, the last dimension within a row.
type Tensor struct {
	Name  string
	DType string // as the file names it: F32, BF16, ...
	Shape []int64

	file   *os.File
	offset int64 // in the file
	bytes  int64
}

// Rows is the number of rows: of a vector or a scalar it is 1.
func (t *Tensor) Rows() int64 {
	n := int64(1)
	for _, d := range t.Shape[:max(len(t.Shape)-1, 0)] {
		n *= d
	}
	return n
}

// RowLength is the number of values in a row.
func (t *Tensor) RowLength() int64 {
	if len(t.Shape) == 0 {
		return 1
	}
	return t.Shape[len(t.Shape)-1]
}

// Read reads rows from row on, as the file has them, until dst is full.
func (t *Tensor) Read(dst []byte, row int) error {
	at := int64(row) * (t.bytes / max(t.Rows(), 1))
	if row < 0 || at > t.bytes || int64(len(dst)) > t.bytes-at {
		return fmt.Errorf("tensor %q: rows from %d on are outside its %d", t.Name, row, t.Rows())
	}
	if _, err := t.file.ReadAt(dst, t.offset+at); err != nil {
		return fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	return nil
}

// sizes are the bits of a value of each type. Types of other names are listed, and refused when they are asked for.
var sizes = map[string]int64{
	"F64": 64, "I64": 64, "U64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16, "I16": 16, "U16": 16,
	"I8": 8, "U8": 8, "BOOL": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8,
}

// file is an open safetensors file.
type file struct {
	path    string
	file    *os.File
	tensors []*Tensor // in the order of their bytes
}

// open reads the header of the file at path; values stay in the file.
func open(path string) (_ *file, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			err = fmt.Errorf("%s: %w", path, err)
		}
	}()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, errors.New("is not a regular file")
	}
	var length [8]byte
	if _, err := io.ReadFull(f, length[:]); err != nil {
		return nil, fmt.Errorf("is not a safetensors file: it has %d bytes", st.Size())
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > maxHeader {
		return nil, fmt.Errorf("is not a safetensors file, or damaged: a header of %d bytes, at most %d are allowed", n, maxHeader)
	}
	if int64(n) > st.Size()-8 {
		return nil, fmt.Errorf("damaged: a header of %d bytes in a file of %d", n, st.Size())
	}
	header := make([]byte, n)
	if _, err := io.ReadFull(f, header); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	tensors, err := parse(header)
	if err != nil {
		return nil, err
	}
	return &file{path, f, tensors}, place(tensors, f, 8+int64(n), st.Size())
}

// place brings tensors into the order of their bytes and checks that each lies inside the file on bytes of its own, with none
// between them that belong to no tensor.
func place(tensors []*Tensor, f *os.File, start, size int64) error {
	at := start
	for _, t := range tensors {
		t.file = f
		t.offset += start
		if t.offset < at {
			return fmt.Errorf("damaged: tensor %q begins at byte %d, inside another", t.Name, t.offset)
		}
		if t.offset > at {
			return fmt.Errorf("damaged: bytes %d to %d, before tensor %q, belong to no tensor", at, t.offset, t.Name)
		}
		if t.bytes > size-at {
			return fmt.Errorf("damaged: tensor %q takes bytes [%d, %d), the file has %d", t.Name, at, at+t.bytes, size)
		}
		at += t.bytes
	}
	if at != size {
		return fmt.Errorf("damaged: the file has %d bytes, its tensors end at %d", size, at)
	}
	return nil
}

// check refuses a shape that its bytes do not hold.
func (t *Tensor) check() error {
	if len(t.Shape) > maxDims {
		return fmt.Errorf("damaged: tensor %q has %d dimensions, at most %d are allowed", t.Name, len(t.Shape), maxDims)
	}
	values := int64(1)
	for _, d := range t.Shape {
		if d < 1 || values > math.MaxInt64/64/d {
			return fmt.Errorf("damaged: tensor %q has the shape %v", t.Name, t.Shape)
		}
		values *= d
	}
	if bits, ok := sizes[t.DType]; ok && values*bits/8 != t.bytes {
		return fmt.Errorf("damaged: tensor %q has %d bytes, its shape %v of %s asks for %d", t.Name, t.bytes, t.Shape, t.DType, values*bits/8)
	}
	return nil
}
