package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ortserve/internal/testenv"
	"ortserve/internal/testmodel"
	"ortserve/models/convert"
	"ortserve/models/convert/gguf"
	"ortserve/models/convert/safetensors"
	"ortserve/onnx/graph"
	"ortserve/onnx/graph/nbits"
)

// BenchmarkImport imports random weights in the exact shapes of published models with the real program and says how long it takes
// and how much memory at most; then it checks every weight of the graph against the source. The 8B shape has two layers.
func BenchmarkImport(b *testing.B) {
	slice := testmodel.Llama8B
	slice.Layers = 2
	for _, m := range []struct {
		name  string
		c     testmodel.Checkpoint
		parts int
	}{
		{"Llama-3.2-1B", testmodel.Llama1B, 2},
		{"Qwen3-0.6B", testmodel.Qwen06B, 1},
		{"Llama-3.1-8B, 2 layers", slice, 3},
	} {
		b.Run(m.name, func(b *testing.B) {
			home := b.TempDir()
			binary, err := testenv.Build(home, false)
			if err != nil {
				b.Fatal(err)
			}
			source := filepath.Join(home, "source")
			if err := os.Mkdir(source, 0o755); err != nil {
				b.Fatal(err)
			}
			if err := m.c.Write(source, m.parts); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				ctx, cancel := context.WithTimeout(b.Context(), 20*time.Minute)
				cmd := exec.CommandContext(ctx, binary, "import", source, "--name", "m", "--bits", "4", "--block", "32", "--head-bits", "8")
				cmd.Env = append(os.Environ(), "ORTSERVE_HOME="+home)
				start := time.Now()
				out, err := cmd.CombinedOutput()
				took := time.Since(start)
				cancel()
				if err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
				peak := int64(0)
				if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
					peak = u.Maxrss // KiB
				}
				b.ReportMetric(took.Seconds(), "s/import")
				b.ReportMetric(float64(peak)/1024, "peak-MiB")
			}
			checkImport(b, source, filepath.Join(home, "models", "m@latest"))
		})
	}
}

// TestImportShapes does in small what the benchmark does: each architecture, single and in parts, every form.
func TestImportShapes(t *testing.T) {
	for _, kind := range []string{"llama", "mistral", "qwen2", "qwen3"} {
		c := testmodel.Checkpoint{
			Type: kind, Layers: 3, Hidden: 128, Heads: 4, KVHeads: 2, HeadSize: 32, Intermediate: 192, Vocab: 600, Positions: 64, Tied: kind != "llama",
		}
		for parts, o := range map[int]convert.Options{
			1: {Bits: 4, Block: 32, HeadBits: 8},
			2: {Bits: 4, Block: 64, Symmetric: true},
			3: {Bits: 4, Block: 128, EdgeBits: 8, Float16: true},
			5: {Bits: 8},
			6: {Bits: 32},
			7: {Bits: 16, Float16: true},
		} {
			source, dir := t.TempDir(), filepath.Join(t.TempDir(), "m")
			if err := c.Write(source, parts); err != nil {
				t.Fatal(err)
			}
			if _, err := convert.Import(t.Context(), source, dir, o); err != nil {
				t.Fatalf("%s, %+v: %v", kind, o, err)
			}
			checkImport(t, source, dir)
		}
	}
}

// checkImport compares every weight of every product in the model's graph with the source. A float is the source's, rounded to its
// type; an integer is the one whose value is nearest.
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
	products := 0
	for _, n := range m.Graph.Nodes {
		weight := ""
		switch n.OpType {
		case "MatMulNBits":
			weight = n.Inputs[1]
		case "Transpose":
			weight = n.Inputs[0]
		default:
			continue
		}
		products++
		name := strings.TrimSuffix(weight, ".weight")
		f := nbits.Format{Bits: int(n.Int("bits", 0)), Block: int(n.Int("block_size", 0)), Symmetric: m.Graph.Initializer(name+".zero_points") == nil}
		checkMatrix(t, m.Graph, dir, name, f, partsOf(folder, name))
	}
	layers := strings.Count(strings.Join(folder.Names(), " "), "input_layernorm")
	if products != 5*layers+1 {
		t.Errorf("%d products in a graph of %d layers", products, layers)
	}
}

// partsOf are the source's tensors that a matrix consists of.
func partsOf(folder *safetensors.Folder, name string) []*safetensors.Tensor {
	names := []string{name}
	if p, packed := strings.CutSuffix(name, "qkv_proj"); packed {
		names = []string{p + "q_proj", p + "k_proj", p + "v_proj"}
	}
	var parts []*safetensors.Tensor
	for _, n := range names {
		parts = append(parts, folder.Tensor(n+".weight"))
	}
	return parts
}

func checkMatrix(t testing.TB, g *graph.Graph, dir, name string, f nbits.Format, parts []*safetensors.Tensor) {
	t.Helper()
	data := func(suffix string) []byte {
		x := g.Initializer(name + suffix)
		if x == nil {
			return nil
		}
		b, err := x.Data(dir)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	weight, scales, zeros := data(".weight"), data(".scales"), data(".zero_points")
	if x := g.Initializer(name + ".weight"); f.Bits == 0 {
		f = nbits.Format{Bits: x.Type.Bits()}
	}
	if x := g.Initializer(name + ".scales"); x != nil {
		f.Half = x.Type == graph.Float16
	}
	row := 0
	for _, p := range parts {
		if p == nil {
			t.Fatalf("%s: the source has no such tensor", name)
		}
		k, n := int(p.RowLength()), int(p.Rows())
		var rows sync.WaitGroup
		var once sync.Once
		step := (n + runtime.NumCPU() - 1) / runtime.NumCPU()
		for from := 0; from < n; from += step {
			rows.Go(func() {
				for i := from; i < min(from+step, n); i++ {
					if err := checkRow(f, weight, scales, zeros, row+i, p, i, k); err != nil {
						once.Do(func() { t.Errorf("%s, row %d: %v", name, row+i, err) })
						return
					}
				}
			})
		}
		rows.Wait()
		row += n
	}
	if want := row * f.RowBytes(int(parts[0].RowLength())); len(weight) != want {
		t.Errorf("%s has %d bytes, want %d", name, len(weight), want)
	}
}

// checkRow compares a row of the matrix with one of the source's tensor.
func checkRow(f nbits.Format, weight, scales, zeros []byte, row int, p *safetensors.Tensor, i, k int) error {
	raw, want := make([]byte, 2*k), make([]float32, k)
	if err := p.Read(raw, i); err != nil {
		return err
	}
	gguf.BF16.Dequantize(want, raw)
	size, blocks := f.RowBytes(k), f.Blocks(k)
	one := nbits.Rows{Weight: weight[row*size : (row+1)*size], Scales: make([]float32, blocks)}
	kind, bytes := gguf.F32, 4
	if f.Half {
		kind, bytes = gguf.F16, 2
	}
	if f.Quantized() {
		kind.Dequantize(one.Scales, scales[row*blocks*bytes:(row+1)*blocks*bytes])
		one.Zeros = zeros[row*f.ZeroBytes(k) : (row+1)*f.ZeroBytes(k)]
	}
	got := make([]float32, k)
	if err := f.Dequantize(got, &one, 1, k); err != nil {
		return err
	}
	for j, v := range want {
		if f.Quantized() {
			if !nearest(f, &one, j, v, got[j]) {
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

// nearest says whether got is within half a step of v, or the end of the block's range that v is beyond.
func nearest(f nbits.Format, r *nbits.Rows, j int, v, got float32) bool {
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
	half := 0.5001 * max(scale, -scale)
	return v-got <= half && got-v <= half || v < low && got == low || v > high && got == high
}
