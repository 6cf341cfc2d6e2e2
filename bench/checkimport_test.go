package bench

import (
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"ortserve/models/convert/gguf"
	"ortserve/models/convert/safetensors"
	"ortserve/onnx/graph"
	"ortserve/onnx/graph/nbits"
)

// checkImport compares every weight of every product in the model's graph with the source. A float is the source's, rounded to its
// type; an integer is the one whose value is nearest. What columns are multiplied with before they are rounded to 4 bits, the norm before
// them or the rows of the matrix before them must be divided by.
func checkImport(t testing.TB, source, dir string) {
	t.Helper()
	folder, err := safetensors.OpenFolder(source)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	m, err := graph.ReadFile(filepath.Join(dir, "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	c := checker{t, m.Graph, dir, folder, 0.6 + 4/math.Sqrt(float64(folder.Tensor("model.norm.weight").RowLength()))}
	products, headSize := 0, 0
	var columns []float32 // what those of the next matrix are multiplied with, as the rows before it say
	for _, n := range m.Graph.Nodes {
		weight := ""
		switch n.OpType {
		case "MatMulNBits":
			weight = n.Inputs[1]
		case "Transpose":
			weight = n.Inputs[0]
		case "GroupQueryAttention":
			headSize = int(m.Graph.Input("past_key_values.0.key").Shape[3].Value)
			continue
		default:
			continue
		}
		products++
		name := strings.TrimSuffix(weight, ".weight")
		f := nbits.Format{Bits: int(n.Int("bits", 0)), Block: int(n.Int("block_size", 0)), Symmetric: m.Graph.Initializer(name+".zero_points") == nil}
		layer := name[:strings.LastIndex(strings.TrimSuffix(name, "_proj"), ".")+1]
		switch _, kind, _ := strings.Cut(name, layer); kind {
		case "qkv_proj":
			columns = c.matrix(name, f, c.partsOf(name), c.normScales(strings.TrimSuffix(layer, "self_attn.")+"input_layernorm"), 2)
		case "gate_proj":
			c.matrix(name, f, c.partsOf(name), c.normScales(strings.TrimSuffix(layer, "mlp.")+"post_attention_layernorm"), -1)
		case "up_proj":
			columns = c.matrix(name, f, c.partsOf(name), c.normScales(strings.TrimSuffix(layer, "mlp.")+"post_attention_layernorm"), 0)
		case "o_proj", "down_proj":
			parts := c.partsOf(name)
			if k := int(parts[0].RowLength()); columns != nil && len(columns) < k { // heads that have their values in common
				all := make([]float32, k)
				for i := range all {
					all[i] = columns[i/headSize/(k/len(columns))*headSize+i%headSize]
				}
				columns = all
			}
			c.matrix(name, f, parts, columns, -1)
		default:
			c.matrix(name, f, c.partsOf(name), c.normScales("model.norm"), -1)
		}
	}
	layers := strings.Count(strings.Join(folder.Names(), " "), "input_layernorm")
	if products != 5*layers+1 {
		t.Errorf("%d products in a graph of %d layers", products, layers)
	}
}

// checker compares a graph with its source.
type checker struct {
	testing.TB

	graph  *graph.Graph
	dir    string
	source *safetensors.Folder
	half   float64 // of a step, and what divisors that are estimated of that many columns are wrong by
}

// partsOf are the source's tensors that a matrix consists of.
func (c checker) partsOf(name string) []*safetensors.Tensor {
	names := []string{name}
	if p, packed := strings.CutSuffix(name, "qkv_proj"); packed {
		names = []string{p + "q_proj", p + "k_proj", p + "v_proj"}
	}
	if name == "lm_head" && c.source.Tensor("lm_head.weight") == nil {
		names[0] = "model.embed_tokens"
	}
	var parts []*safetensors.Tensor
	for _, n := range names {
		t := c.source.Tensor(n + ".weight")
		if t == nil {
			c.Fatalf("%s: the source has no such tensor", n)
		}
		parts = append(parts, t)
	}
	return parts
}

// data is an initializer's bytes, nil where there is none.
func (c checker) data(name string) []byte {
	x := c.graph.Initializer(name)
	if x == nil {
		return nil
	}
	b, err := x.Data(c.dir)
	if err != nil {
		c.Fatal(err)
	}
	return b
}

// normScales is by what a norm's weights were divided, nil where they are the source's.
func (c checker) normScales(name string) []float32 {
	x, from := c.graph.Initializer(name+".weight"), c.source.Tensor(name+".weight")
	if x == nil || from == nil {
		c.Fatalf("no norm %s", name)
	}
	kind := gguf.F32
	if x.Type == graph.Float16 {
		kind = gguf.F16
	}
	raw, want := make([]byte, 2*from.RowLength()), make([]float32, from.RowLength())
	if err := from.Read(raw, 0); err != nil {
		c.Fatal(err)
	}
	gguf.BF16.Dequantize(want, raw)
	got := make([]float32, len(want))
	kind.Dequantize(got, c.data(name+".weight"))
	changed := false
	for i, v := range want {
		if kind == gguf.F16 {
			v = nbits.FromFloat16(nbits.Float16(v))
		}
		changed = changed || v != got[i]
		if got[i] = want[i] / got[i]; want[i] == 0 {
			got[i] = 0 // what stands in this column makes no difference
		}
	}
	if !changed {
		return nil
	}
	return got
}

// matrix compares a matrix with the source's parts, whose columns were multiplied with these numbers, if any. The rows of one part, -1 for
// none, may have been divided by numbers of their own, which are returned: they are those that fit best.
func (c checker) matrix(name string, f nbits.Format, parts []*safetensors.Tensor, columns []float32, free int) (divisors []float32) {
	c.Helper()
	weight, scales, zeros := c.data(name+".weight"), c.data(name+".scales"), c.data(name+".zero_points")
	if x := c.graph.Initializer(name + ".weight"); f.Bits == 0 {
		f = nbits.Format{Bits: x.Type.Bits()}
	}
	if x := c.graph.Initializer(name + ".scales"); x != nil {
		f.Half = x.Type == graph.Float16
	}
	row := 0
	for i, p := range parts {
		k, n := int(p.RowLength()), int(p.Rows())
		if columns != nil && i == free {
			divisors = make([]float32, n)
		}
		var rows sync.WaitGroup
		var once sync.Once
		step := (n + runtime.NumCPU() - 1) / runtime.NumCPU()
		for from := 0; from < n; from += step {
			rows.Go(func() {
				for j := from; j < min(from+step, n); j++ {
					var divisor *float32
					if columns != nil && i == free {
						divisor = &divisors[j]
					}
					if err := checkRow(f, weight, scales, zeros, row+j, p, j, k, columns, divisor, float32(c.half)); err != nil {
						once.Do(func() { c.Errorf("%s, row %d: %v", name, row+j, err) })
						return
					}
				}
			})
		}
		rows.Wait()
		row += n
	}
	if want := row * f.RowBytes(int(parts[0].RowLength())); len(weight) != want {
		c.Errorf("%s has %d bytes, want %d", name, len(weight), want)
	}
	return divisors
}

// checkRow compares a row of the matrix with one of the source's tensor.
func checkRow(f nbits.Format, weight, scales, zeros []byte, row int, p *safetensors.Tensor, i, k int, columns []float32, divisor *float32, half float32) error {
	raw, want := make([]byte, 2*k), make([]float32, k)
	if err := p.Read(raw, i); err != nil {
		return err
	}
	gguf.BF16.Dequantize(want, raw)
	size, blocks := f.RowBytes(k), f.Blocks(k)
	one := nbits.Rows{Weight: weight[row*size : (row+1)*size], Scales: make([]float32, blocks)}
	kind, width := gguf.F32, 4
	if f.Half {
		kind, width = gguf.F16, 2
	}
	if f.Quantized() {
		kind.Dequantize(one.Scales, scales[row*blocks*width:(row+1)*blocks*width])
		one.Zeros = zeros[row*f.ZeroBytes(k) : (row+1)*f.ZeroBytes(k)]
	}
	got := make([]float32, k)
	if err := f.Dequantize(got, &one, 1, k); err != nil {
		return err
	}
	if columns == nil {
		half = 0.5001
	} else {
		for j := range want {
			want[j] *= columns[j]
		}
	}
	if divisor != nil {
		both, square := float32(0), float32(0)
		for j, v := range got {
			both, square = both+v*want[j], square+v*v
		}
		*divisor = both / square
		for j := range want {
			want[j] /= *divisor
		}
	}
	for j, v := range want {
		if f.Quantized() {
			if !nearest(f, &one, j, v, got[j], half) {
				return fmt.Errorf("column %d: %v is stored as %v, scale %v", j, v, got[j], one.Scales[j/f.Block])
			}
			continue
		}
		if f.Bits == 16 {
			v = nbits.FromFloat16(nbits.Float16(v))
		}
		if got[j] != v {
			return fmt.Errorf("column %d: %v is stored as %v", j, v, got[j])
		}
	}
	return nil
}

// nearest says whether got is within half, of a step, of v, or the end of the block's range that v is beyond.
func nearest(f nbits.Format, r *nbits.Rows, j int, v, got, half float32) bool {
	scale, zero, levels := r.Scales[j/f.Block], 1<<(f.Bits-1), 1<<f.Bits-1
	if b := j / f.Block; !f.Symmetric && f.Bits == 8 {
		zero = int(r.Zeros[b])
	} else if !f.Symmetric {
		zero = int(r.Zeros[b/2]>>(4*(b%2))) & 15
	}
	low, high := scale*float32(-zero), scale*float32(levels-zero)
	if low > high {
		low, high = high, low
	}
	half *= max(scale, -scale)
	return v-got <= half && got-v <= half || v < low && got == low || v > high && got == high
}
