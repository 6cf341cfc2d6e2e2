// Package nbits stores matrices as ONNX Runtime's operators MatMulNBits and GatherBlockQuantized read them
// (com.microsoft version 1, docs/ContribOperators.md of microsoft/onnxruntime).
//
// A matrix of N rows and K columns is cut along K into blocks. A block of 4 or 8 bits has one scale and one integer zero
// point, and a value is scale * (integer - zero point):
//
//   - weight: uint8 [N, blocks, Block*Bits/8]; at 4 bits element 2i is the low half of byte i. The last block is full,
//     with elements beyond K that nothing reads.
//   - scales: float32 [N, blocks], or float16 in graphs whose activations are.
//   - zero points: uint8 [N, ceil(blocks*Bits/8)], packed as the weights are. A symmetric matrix has none: they are
//     2^(Bits-1).
//
// The same type also holds plain float16 and float32 matrices [N, K], so that who writes a model has one path.
package nbits

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Format says how a matrix is stored.
type Format struct {
	Bits      int  // 4 or 8, or 16 and 32: plain floating-point numbers
	Block     int  // elements that share a scale: 16, 32, 64, 128 or 256; 0 where Bits is 16 or 32
	Symmetric bool // no zero points
	Half      bool // scales are float16; false where Bits is 16 or 32
}

// Quantized says whether values are integers with a scale.
func (f Format) Quantized() bool { return f.Bits == 4 || f.Bits == 8 }

// Check refuses what the operators do not read.
func (f Format) Check() error {
	switch {
	case f.Bits == 16 || f.Bits == 32:
		if f.Block != 0 || f.Symmetric || f.Half {
			return fmt.Errorf("%d-bit weights have no blocks", f.Bits)
		}
		return nil
	case !f.Quantized():
		return fmt.Errorf("weights of %d bits are not supported (4 and 8 are)", f.Bits)
	}
	switch f.Block {
	case 16, 32, 64, 128, 256:
		return nil
	}
	return fmt.Errorf("a block of %d is not supported (32, 64 and 128 are)", f.Block)
}

func (f Format) String() string {
	if !f.Quantized() {
		return fmt.Sprintf("float%d", f.Bits)
	}
	s := "asymmetric"
	if f.Symmetric {
		s = "symmetric"
	}
	s = fmt.Sprintf("int%d block %d %s", f.Bits, f.Block, s)
	if f.Half {
		s += ", float16 scales"
	}
	return s
}

// Blocks is the number of blocks in a row of k elements.
func (f Format) Blocks(k int) int {
	if !f.Quantized() {
		return 0
	}
	return (k + f.Block - 1) / f.Block
}

// RowBytes is the size of a row of k elements, without its scales.
func (f Format) RowBytes(k int) int {
	if !f.Quantized() {
		return k * f.Bits / 8
	}
	return f.Blocks(k) * f.Block * f.Bits / 8
}

// ZeroBytes is the size of the zero points of a row of k elements.
func (f Format) ZeroBytes(k int) int {
	if !f.Quantized() || f.Symmetric {
		return 0
	}
	return (f.Blocks(k)*f.Bits + 7) / 8
}

// Rows are some rows of a matrix in a format.
type Rows struct {
	Weight []byte
	Scales []float32
	Zeros  []byte
}

// Resize gives r the room of n rows of k elements, all zero. Memory is reused.
func (r *Rows) Resize(f Format, n, k int) {
	r.Weight = resize(r.Weight, n*f.RowBytes(k))
	r.Scales = resize(r.Scales, n*f.Blocks(k))
	r.Zeros = resize(r.Zeros, n*f.ZeroBytes(k))
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}

const infinity = 0x7c00 // in float16

var errRows = errors.New("nbits: values are not whole rows")

// Quantize fills r with the rows that values holds, k elements each.
func (f Format) Quantize(r *Rows, values []float32, k int) error {
	if k <= 0 || len(values)%k != 0 {
		return errRows
	}
	n := len(values) / k
	r.Resize(f, n, k)
	size, blocks, zeros := f.RowBytes(k), f.Blocks(k), f.ZeroBytes(k)
	for i := range n {
		row, dst := values[i*k:(i+1)*k], r.Weight[i*size:(i+1)*size]
		switch f.Bits {
		case 32:
			for j, v := range row {
				binary.LittleEndian.PutUint32(dst[4*j:], math.Float32bits(v))
			}
		case 16:
			for j, v := range row {
				h := Float16(v)
				if h&0x7fff == infinity && !math.IsInf(float64(v), 0) {
					return fmt.Errorf("%v is beyond float16's 65504: use float32", v)
				}
				binary.LittleEndian.PutUint16(dst[2*j:], h)
			}
		default:
			f.row(dst, r.Scales[i*blocks:(i+1)*blocks], r.Zeros[i*zeros:(i+1)*zeros], row)
		}
	}
	return nil
}

// Dequantize writes the values that n rows of k elements stand for to dst.
func (f Format) Dequantize(dst []float32, r *Rows, n, k int) error {
	if k <= 0 || len(dst) != n*k || len(r.Weight) != n*f.RowBytes(k) || len(r.Scales) != n*f.Blocks(k) || len(r.Zeros) != n*f.ZeroBytes(k) {
		return errRows
	}
	size, blocks, zeros := f.RowBytes(k), f.Blocks(k), f.ZeroBytes(k)
	for i := range n {
		row, w := dst[i*k:(i+1)*k], r.Weight[i*size:(i+1)*size]
		for j := range row {
			switch f.Bits {
			case 32:
				row[j] = math.Float32frombits(binary.LittleEndian.Uint32(w[4*j:]))
			case 16:
				row[j] = FromFloat16(binary.LittleEndian.Uint16(w[2*j:]))
			default:
				b := j / f.Block
				zero := 1 << (f.Bits - 1)
				if !f.Symmetric {
					zero = element(r.Zeros[i*zeros:(i+1)*zeros], b, f.Bits)
				}
				row[j] = r.Scales[i*blocks+b] * float32(element(w, j, f.Bits)-zero)
			}
		}
	}
	return nil
}

// element is the integer at position i of packed elements.
func element(b []byte, i, bits int) int {
	if bits == 8 {
		return int(b[i])
	}
	return int(b[i/2]>>(4*(i%2))) & 15
}

// Set stores the integer at position i of packed elements that are zero.
func Set(b []byte, i, bits, v int) {
	if bits == 8 {
		b[i] = byte(v)
		return
	}
	b[i/2] |= byte(v&15) << (4 * (i % 2))
}
