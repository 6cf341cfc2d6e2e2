package nbits

import (
	"fmt"

	"ortserve/onnx/graph"
)

// Matrix is a matrix [N, K] in a model's external file.
type Matrix struct {
	Format
	N, K       int
	Weight     *graph.Tensor
	Scales     *graph.Tensor // nil unless quantized
	ZeroPoints *graph.Tensor // nil unless quantized and asymmetric

	weight, scales, zeros *graph.Room
}

// Create takes room in the file for a matrix. The tensors are called name.weight, name.scales and name.zero_points.
func Create(d *graph.DataFile, name string, f Format, n, k int) (*Matrix, error) {
	if err := f.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if n <= 0 || k <= 0 {
		return nil, fmt.Errorf("%s: a matrix of %d x %d", name, n, k)
	}
	m := &Matrix{Format: f, N: n, K: k}
	var err error
	switch f.Bits {
	case 32:
		m.Weight, m.weight, err = d.Tensor(name+".weight", graph.Float32, int64(n), int64(k))
		return m, err
	case 16:
		m.Weight, m.weight, err = d.Tensor(name+".weight", graph.Float16, int64(n), int64(k))
		return m, err
	}
	blocks := int64(f.Blocks(k))
	if m.Weight, m.weight, err = d.Tensor(name+".weight", graph.Uint8, int64(n), blocks, int64(f.Block*f.Bits/8)); err != nil {
		return nil, err
	}
	scale := graph.Float32
	if f.Half {
		scale = graph.Float16
	}
	if m.Scales, m.scales, err = d.Tensor(name+".scales", scale, int64(n), blocks); err != nil {
		return nil, err
	}
	if !f.Symmetric {
		m.ZeroPoints, m.zeros, err = d.Tensor(name+".zero_points", graph.Uint8, int64(n), int64(f.ZeroBytes(k)))
	}
	return m, err
}

// Write stores rows from row on. Different rows may be written by several goroutines at once.
func (m *Matrix) Write(row int, r *Rows) error {
	if _, err := m.weight.WriteAt(r.Weight, int64(row)*int64(m.RowBytes(m.K))); err != nil {
		return err
	}
	if !m.Quantized() {
		return nil
	}
	scales, size := graph.AppendFloat32, int64(4)
	if m.Half {
		scales, size = AppendFloat16, 2
	}
	if _, err := m.scales.WriteAt(scales(nil, r.Scales), int64(row)*int64(m.Blocks(m.K))*size); err != nil {
		return err
	}
	if m.Symmetric {
		return nil
	}
	_, err := m.zeros.WriteAt(r.Zeros, int64(row)*int64(m.ZeroBytes(m.K)))
	return err
}
