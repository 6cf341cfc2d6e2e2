package gguf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

const (
	magic      = "GGUF"
	maxKey     = 1<<16 - 1 // the format's own limit
	maxName    = 64        // the same for names of tensors, which some writers exceed
	maxNameOur = 4 * maxName
	maxDims    = 4
	alignment  = 32 // unless general.alignment says another
)

// File is an open GGUF file.
type File struct {
	Version  int
	Metadata *Metadata
	Tensors  []*Tensor // in the order of the file
	Size     int64     // of all parts, in bytes
	Paths    []string  // of all parts

	files  []*os.File
	byName map[string]*Tensor
}

// Open reads the file's metadata and the list of its tensors; values stay in the file. Where path is the first of several
// parts, the others beside it are read too.
func Open(path string) (*File, error) {
	f, err := openPart(path)
	if err != nil {
		return nil, err
	}
	if err := f.openParts(path); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func openPart(path string) (*File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	f := &File{Paths: []string{path}, files: []*os.File{file}, byName: map[string]*Tensor{}}
	if err := f.read(file); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// Close closes all parts.
func (f *File) Close() error {
	var errs []error
	for _, file := range f.files {
		errs = append(errs, file.Close())
	}
	return errors.Join(errs...)
}

// Tensor returns the tensor called name, or nil.
func (f *File) Tensor(name string) *Tensor { return f.byName[name] }

func (f *File) read(file *os.File) error {
	st, err := file.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return errors.New("is not a regular file")
	}
	f.Size = st.Size()
	s := &scanner{r: bufio.NewReaderSize(file, 1<<16), left: f.Size}
	if head := s.bytes(4); string(head) != magic {
		return fmt.Errorf("is not a GGUF file: it begins with %q, not %q", head, magic)
	}
	version := s.u32()
	switch {
	case s.err != nil:
		return s.fail("version")
	case version == 1:
		return errors.New("is of GGUF version 1, which is not supported (2 and 3 are)")
	case version&0xffff == 0:
		return errors.New("is a big-endian GGUF file, which is not supported")
	case version != 2 && version != 3:
		return fmt.Errorf("is of GGUF version %d, which is not supported (2 and 3 are)", version)
	}
	f.Version = int(version)
	tensors, pairs := s.u64(), s.u64()
	if s.err != nil {
		return s.fail("counts of tensors and metadata")
	}
	if f.Metadata, err = readMetadata(s, pairs); err != nil {
		return err
	}
	return f.readTensors(file, s, tensors)
}

// readTensors reads the descriptions of tensors and checks that their values are inside the file.
func (f *File) readTensors(file *os.File, s *scanner, count uint64) error {
	const least = 8 + 4 + 8 + 4 + 8 // bytes of a description
	if count > uint64(s.left)/least {
		return fmt.Errorf("damaged: %d tensors in the %d bytes that are left", count, s.left)
	}
	for i := range count {
		t := &Tensor{file: file}
		t.Name = s.text(maxNameOur)
		dims := s.u32()
		if s.err == nil && dims > maxDims {
			return fmt.Errorf("damaged: tensor %q has %d dimensions, at most %d are allowed", t.Name, dims, maxDims)
		}
		elements := int64(1)
		for range dims {
			d := s.u64()
			if s.err == nil && (d == 0 || d > math.MaxInt64/64/uint64(elements)) {
				return fmt.Errorf("damaged: tensor %q has a dimension of %d", t.Name, d)
			}
			elements *= max(1, int64(d))
			t.Dims = append(t.Dims, int64(d))
		}
		t.Type = Type(s.u32())
		offset := s.u64()
		if s.err != nil {
			return s.fail(fmt.Sprintf("description of tensor %d of %d", i, count))
		}
		if offset > uint64(f.Size) {
			return fmt.Errorf("damaged: tensor %q begins at %d of the data, the file has %d bytes", t.Name, offset, f.Size)
		}
		t.offset, t.elements = int64(offset), elements
		if f.byName[t.Name] != nil {
			return fmt.Errorf("damaged: two tensors are called %q", t.Name)
		}
		f.byName[t.Name] = t
		f.Tensors = append(f.Tensors, t)
	}
	align := f.Metadata.Int("general.alignment", alignment)
	if err := f.Metadata.Err(); err != nil {
		return err
	}
	if align < 1 || align > 1<<20 {
		return fmt.Errorf("damaged: general.alignment is %d", align)
	}
	start := (f.Size - s.left + align - 1) / align * align
	for _, t := range f.Tensors {
		if err := t.place(start, f.Size); err != nil {
			return err
		}
	}
	return nil
}

// scanner reads the head of a file. The first error stays, and later reads give zeros.
type scanner struct {
	r    *bufio.Reader
	left int64 // bytes of the file not yet read
	err  error
	buf  [8]byte
}

func (s *scanner) fail(what string) error {
	if errors.Is(s.err, io.EOF) || errors.Is(s.err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("damaged: the file ends inside the %s", what)
	}
	return fmt.Errorf("%s: %w", what, s.err)
}

func (s *scanner) read(b []byte) bool {
	if s.err == nil && int64(len(b)) > s.left {
		s.err = io.ErrUnexpectedEOF
	}
	if s.err == nil {
		_, s.err = io.ReadFull(s.r, b)
	}
	if s.err != nil {
		clear(b)
		return false
	}
	s.left -= int64(len(b))
	return true
}

// bytes reads n bytes, and takes memory only if the file has as many.
func (s *scanner) bytes(n uint64) []byte {
	if s.err == nil && n > uint64(s.left) {
		s.err = io.ErrUnexpectedEOF
	}
	if s.err != nil {
		return nil
	}
	b := make([]byte, n)
	s.read(b)
	return b
}

func (s *scanner) u32() uint32 {
	s.read(s.buf[:4])
	return binary.LittleEndian.Uint32(s.buf[:4])
}

func (s *scanner) u64() uint64 {
	s.read(s.buf[:8])
	return binary.LittleEndian.Uint64(s.buf[:8])
}

// text reads a string: its length, then its bytes.
func (s *scanner) text(limit uint64) string {
	n := s.u64()
	if s.err == nil && n > limit {
		s.err = fmt.Errorf("damaged: a string of %d bytes, at most %d are allowed", n, limit)
	}
	return string(s.bytes(n))
}
