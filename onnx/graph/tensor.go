package graph

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
)

// Tensor is a TensorProto: a name, a type, a shape, and values that are in Raw or in an external file.
type Tensor struct {
	Name     string
	Type     DataType
	Dims     []int64 // none: a scalar
	Raw      []byte  // the values, little-endian, rows first; nil where External is set
	Strings  []string
	External *External
}

// External says where the values of a tensor lie: a file in the model's folder, an offset and a length in bytes.
// Length is -1 where the file does not say it (then it reaches to the end).
type External struct {
	Location       string
	Offset, Length int64
}

// Bytes is the number of bytes the values take by type and shape.
func (t *Tensor) Bytes() (int64, error) {
	n, err := bytesOf(t.Type, t.Dims)
	if err != nil {
		return 0, fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	return n, nil
}

// Share makes a second tensor of the same values, with a name and a shape of its own. In an external file both point to
// the same bytes, so they are stored, and mapped, once.
func (t *Tensor) Share(name string, dims ...int64) (*Tensor, error) {
	s := &Tensor{Name: name, Type: t.Type, Dims: dims, Raw: t.Raw, External: t.External}
	was, err := t.Bytes()
	if err != nil {
		return nil, err
	}
	is, err := s.Bytes()
	if err != nil {
		return nil, err
	}
	if was != is {
		return nil, fmt.Errorf("tensor %q of %d bytes cannot share the %d bytes of %q", name, is, was, t.Name)
	}
	return s, nil
}

// Data returns the values as bytes. Those in an external file are read from dir, the folder the model's file lies in.
func (t *Tensor) Data(dir string) ([]byte, error) {
	want, err := t.Bytes()
	if err != nil {
		return nil, err
	}
	if t.External == nil {
		if int64(len(t.Raw)) != want {
			return nil, fmt.Errorf("tensor %q has %d bytes, its shape %v of %v asks for %d", t.Name, len(t.Raw), t.Dims, t.Type, want)
		}
		return t.Raw, nil
	}
	x := t.External
	if !filepath.IsLocal(x.Location) {
		return nil, fmt.Errorf("tensor %q: external data in %q is outside the model's folder", t.Name, x.Location)
	}
	if x.Length >= 0 && x.Length != want {
		return nil, fmt.Errorf("tensor %q: external length %d, its shape %v of %v asks for %d", t.Name, x.Length, t.Dims, t.Type, want)
	}
	f, err := os.Open(filepath.Join(dir, x.Location))
	if err != nil {
		return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	if x.Offset < 0 || x.Offset > st.Size() || want > st.Size()-x.Offset {
		return nil, fmt.Errorf("tensor %q: bytes [%d, %d) are outside %s of %d bytes", t.Name, x.Offset, x.Offset+want, x.Location, st.Size())
	}
	b := make([]byte, want)
	if _, err := io.ReadFull(io.NewSectionReader(f, x.Offset, want), b); err != nil {
		return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	return b, nil
}

// Int64Tensor makes a tensor whose values are inside the model's file. Without dims it is a scalar.
func Int64Tensor(name string, dims []int64, values ...int64) *Tensor {
	raw := make([]byte, 0, 8*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	return &Tensor{Name: name, Type: Int64, Dims: dims, Raw: raw}
}

// Float32Tensor makes a tensor whose values are inside the model's file.
func Float32Tensor(name string, dims []int64, values ...float32) *Tensor {
	return &Tensor{Name: name, Type: Float32, Dims: dims, Raw: AppendFloat32(make([]byte, 0, 4*len(values)), values)}
}

// AppendFloat32 appends the values as an ONNX file holds them.
func AppendFloat32(dst []byte, values []float32) []byte {
	for _, v := range values {
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(v))
	}
	return dst
}
