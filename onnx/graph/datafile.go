package graph

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// Tensors of at least a page start on a page, so that a runtime can map each by itself; smaller ones start on a cache
// line and share pages.
const (
	page = 4096
	line = 64
)

// DataFile is an external file of tensor values while it is written. It hands out room; the values go there in any
// order and from any number of goroutines.
type DataFile struct {
	file *os.File
	name string

	mu   sync.Mutex
	size int64
}

// CreateData makes the file, in the folder where the model's own file will lie.
func CreateData(path string) (*DataFile, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &DataFile{file: f, name: filepath.Base(path)}, nil
}

// Tensor takes room for a tensor and returns it with the writer of its bytes, of which position 0 is the first value.
// Bytes that are never written are zeros.
func (d *DataFile) Tensor(name string, t DataType, dims ...int64) (*Tensor, *Room, error) {
	n, err := bytesOf(t, dims)
	if err != nil {
		return nil, nil, fmt.Errorf("tensor %q: %w", name, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	align := int64(line)
	if n >= page {
		align = page
	}
	at := (d.size + align - 1) / align * align
	d.size = at + n
	x := &External{Location: d.name, Offset: at, Length: n}
	return &Tensor{Name: name, Type: t, Dims: dims, External: x}, &Room{file: d.file, at: at, size: n}, nil
}

// Add writes a whole tensor.
func (d *DataFile) Add(name string, t DataType, dims []int64, values []byte) (*Tensor, error) {
	tensor, room, err := d.Tensor(name, t, dims...)
	if err != nil {
		return nil, err
	}
	if int64(len(values)) != room.size {
		return nil, fmt.Errorf("tensor %q: %d bytes given, its shape %v of %v asks for %d", name, len(values), dims, t, room.size)
	}
	if _, err := room.WriteAt(values, 0); err != nil {
		return nil, fmt.Errorf("tensor %q: %w", name, err)
	}
	return tensor, nil
}

// Size is the length the file has or will have.
func (d *DataFile) Size() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.size
}

// Close brings the file to its full length, makes it durable and closes it.
func (d *DataFile) Close() error {
	err := d.file.Truncate(d.Size())
	if serr := d.file.Sync(); err == nil {
		err = serr
	}
	if cerr := d.file.Close(); err == nil {
		err = cerr
	}
	return err
}

// Room is where one tensor's values go.
type Room struct {
	file     *os.File
	at, size int64
}

// WriteAt writes at an offset from the tensor's first byte, never outside the tensor.
func (r *Room) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off > r.size || int64(len(p)) > r.size-off {
		return 0, fmt.Errorf("%d bytes at %d of a tensor of %d: %w", len(p), off, r.size, io.ErrShortWrite)
	}
	return r.file.WriteAt(p, r.at+off)
}
