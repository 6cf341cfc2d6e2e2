package onnx

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	ort "github.com/yalue/onnxruntime_go"

	"ortserve/internal/testenv"
	"ortserve/onnx/graph"
	"ortserve/onnx/kernel"
)

// product is a matrix product with weights of few bits, as a graph of one MatMulNBits.
type product struct {
	k, n, bits, block int
	zeros, bias       bool
}

func (p product) String() string {
	return fmt.Sprintf("%dx%d, %d bits, block %d, zeros %v, bias %v", p.k, p.n, p.bits, p.block, p.zeros, p.bias)
}

// data is what a product multiplies with.
type data struct {
	product
	blocks               int
	numbers, zeroNumbers []byte // as MatMulNBits has them
	scales, biases       []float32
}

func (p product) make(seed uint64) *data {
	r := rand.New(rand.NewPCG(seed, 1))
	d := &data{product: p, blocks: (p.k + p.block - 1) / p.block}
	d.numbers = make([]byte, p.n*d.blocks*p.block*p.bits/8)
	for i := range d.numbers {
		d.numbers[i] = byte(r.Uint32())
	}
	for range p.n * d.blocks {
		d.scales = append(d.scales, (r.Float32()+0.1)/float32(int(1)<<p.bits))
	}
	d.zeroNumbers = make([]byte, p.n*((d.blocks*p.bits+7)/8))
	for i := range d.zeroNumbers {
		d.zeroNumbers[i] = byte(r.Uint32())
	}
	for range p.n {
		d.biases = append(d.biases, r.Float32()-0.5)
	}
	return d
}

// write writes the graph into a folder, its weights inside the file or beside it.
func (d *data) write(t testing.TB, external bool) string {
	t.Helper()
	dir := t.TempDir()
	tensors := []*graph.Tensor{
		{Name: "w", Type: graph.Uint8, Dims: []int64{int64(d.n), int64(d.blocks), int64(d.block * d.bits / 8)}, Raw: d.numbers},
		graph.Float32Tensor("s", []int64{int64(d.n * d.blocks)}, d.scales...),
	}
	inputs := []string{"x", "w", "s", "", "", ""}
	if d.zeros {
		inputs[3] = "z"
		tensors = append(tensors, &graph.Tensor{Name: "z", Type: graph.Uint8, Dims: []int64{int64(len(d.zeroNumbers))}, Raw: d.zeroNumbers})
	}
	if d.bias {
		inputs[5] = "b"
		tensors = append(tensors, graph.Float32Tensor("b", []int64{int64(d.n)}, d.biases...))
	}
	if external {
		f, err := graph.CreateData(filepath.Join(dir, "model.onnx.data"))
		if err != nil {
			t.Fatal(err)
		}
		for i, x := range tensors {
			if tensors[i], err = f.Add(x.Name, x.Type, x.Dims, x.Raw); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	m := &graph.Model{IRVersion: 8, Opsets: []graph.Opset{{Version: 17}, {Domain: microsoft, Version: 1}}, Graph: &graph.Graph{
		Name: "product", Initializers: tensors,
		Inputs:  []*graph.ValueInfo{graph.Value("x", graph.Float32, "M", d.k)},
		Outputs: []*graph.ValueInfo{graph.Value("y", graph.Float32, "M", d.n)},
		Nodes: []*graph.Node{{
			Name: "product", OpType: "MatMulNBits", Domain: microsoft, Inputs: inputs, Outputs: []string{"y"},
			Attributes: []*graph.Attribute{
				graph.Int("K", int64(d.k)), graph.Int("N", int64(d.n)), graph.Int("bits", int64(d.bits)), graph.Int("block_size", int64(d.block)),
				graph.Int("accuracy_level", 4),
			},
		}},
	}}
	path := filepath.Join(dir, "model.onnx")
	if err := m.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// opened is a product in a session.
type opened struct {
	product
	session *ort.DynamicAdvancedSession
}

// open loads the graph at path with these kernels.
func (p product) open(t testing.TB, path, kernels string, threads int) opened {
	t.Helper()
	return opened{p, openNode(t, path, kernels, threads, []string{"x"}, []string{"y"})}
}

// openNode loads the graph of one node at path with these kernels, which must compute it.
func openNode(t testing.TB, path, kernels string, threads int, in, out []string) *ort.DynamicAdvancedSession {
	t.Helper()
	if _, err := Load(testenv.Runtime(t)); err != nil {
		t.Fatal(err)
	}
	opts, err := ort.NewSessionOptions()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = opts.Destroy() }()
	if err := opts.SetIntraOpNumThreads(threads); err != nil {
		t.Fatal(err)
	}
	isa, err := chooseKernels(Options{Kernels: kernels})
	if err != nil {
		t.Fatal(err)
	}
	s, own, err := loadSession(path, isa, threads, false, in, out, opts)
	if err != nil {
		t.Fatal(err)
	}
	if (own != nil) != (isa != 0) {
		t.Fatalf("kernels %s, replaced %v", kernels, own)
	}
	t.Cleanup(func() { _ = s.Destroy() })
	return s
}

// tensors makes the input of so many rows and the output.
func (o opened) tensors(t testing.TB, x []float32) (in, out *ort.Tensor[float32]) {
	t.Helper()
	rows := int64(len(x) / o.k)
	in, err := ort.NewTensor(ort.NewShape(rows, int64(o.k)), x)
	if err != nil {
		t.Fatal(err)
	}
	if out, err = ort.NewEmptyTensor[float32](ort.NewShape(rows, int64(o.n))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = in.Destroy(), out.Destroy() })
	return in, out
}

// times returns x · wᵀ.
func (o opened) times(t testing.TB, x []float32) []float32 {
	t.Helper()
	in, out := o.tensors(t, x)
	if err := o.session.Run([]ort.Value{in}, []ort.Value{out}); err != nil {
		t.Fatal(err)
	}
	return out.GetData()
}

// activations returns rows of numbers as activations are: most small, a few large.
func activations(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 2))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64() * math.Exp(r.NormFloat64()))
	}
	return x
}

// number returns the number and the zero point of row n at k.
func (d *data) number(n, k int) (q, zero int) {
	b := k / d.block
	at := (n*d.blocks+b)*d.block + k%d.block
	zero = 1 << (d.bits - 1)
	if d.bits == 8 {
		if d.zeros {
			zero = int(d.zeroNumbers[n*d.blocks+b])
		}
		return int(d.numbers[at]), zero
	}
	if d.zeros {
		zero = int(d.zeroNumbers[n*((d.blocks+1)/2)+b/2] >> (b % 2 * 4) & 15)
	}
	return int(d.numbers[at/2] >> (at % 2 * 4) & 15), zero
}

// reference computes one row as matmul.h says, and the sum of the sizes of what is added.
func (d *data) reference(x []float32) (y, size []float32) {
	quantized := make([]int, d.k)
	scales := make([]float32, d.blocks)
	for b := range d.blocks {
		most := float32(0)
		part := x[b*d.block : min((b+1)*d.block, d.k)]
		for _, v := range part {
			most = max(most, float32(math.Abs(float64(v))))
		}
		scales[b] = most / 127
		for i, v := range part {
			quantized[b*d.block+i] = int(math.RoundToEven(float64(v * (127 / most))))
		}
	}
	for n := range d.n {
		var sum, total float32
		for b := range d.blocks {
			exact := 0
			for k := b * d.block; k < min((b+1)*d.block, d.k); k++ {
				q, zero := d.number(n, k)
				exact += quantized[k] * (q - zero)
			}
			term := float64(float32(exact) * scales[b] * 1)
			sum = float32(math.FMA(term, float64(d.scales[n*d.blocks+b]), float64(sum)))
			total += float32(math.Abs(term * float64(d.scales[n*d.blocks+b])))
		}
		if d.bias {
			sum += d.biases[n]
		}
		y, size = append(y, sum), append(size, total)
	}
	return y, size
}

// ownKernels are the instruction sets that this processor has kernels for.
func ownKernels(t testing.TB) []string {
	var all []string
	for i := kernel.Best(); i > 0; i-- {
		if i.Runs() {
			all = append(all, i.String())
		}
	}
	if len(all) == 0 {
		t.Skip("this processor has none of the instruction sets of package kernel")
	}
	return all
}

// TestProduct compares kernels of ours with the reference, one with another and with ONNX Runtime's, and rows in any number with each alone.
func TestProduct(t *testing.T) {
	most := 33
	if testing.Short() {
		most = 13
	}
	f := func(p product) {
		t.Helper()
		d := p.make(uint64(p.k*p.n + p.block))
		path := d.write(t, true)
		x := activations(uint64(p.k), most*p.k)
		var first []float32
		for _, kernels := range ownKernels(t) {
			o := p.open(t, path, kernels, 2)
			var alone []float32
			for r := range most {
				alone = append(alone, o.times(t, x[r*p.k:(r+1)*p.k])...)
			}
			for rows := 2; rows <= most; rows++ {
				if !sameBits(o.times(t, x[:rows*p.k]), alone[:rows*p.n]) {
					t.Errorf("%v, %s: %d rows have other bits than each alone", p, kernels, rows)
				}
			}
			if first == nil {
				first = alone
			} else if !sameBits(first, alone) {
				t.Errorf("%v: %s gives other bits", p, kernels)
			}
		}
		for r := range 3 {
			got := first[r*p.n : (r+1)*p.n]
			want, size := d.reference(x[r*p.k : (r+1)*p.k])
			for i := range want {
				if math.Abs(float64(got[i]-want[i])) > 1e-6*float64(size[i]) {
					t.Fatalf("%v: row %d, output %d is %v, want %v", p, r, i, got[i], want[i])
				}
			}
		}
		theirs := p.open(t, path, KernelsORT, 2).times(t, x[:4*p.k])
		if d := apart(first[:4*p.n], theirs); d > 2e-3 {
			t.Errorf("%v: ONNX Runtime's result is %s", p, describeApart(d))
		}
	}
	for _, bits := range []int{4, 8} {
		for _, block := range []int{16, 32, 64, 128, 256} {
			for i, shape := range [][2]int{{512, 64}, {96, 33}, {block*3 + 8, 17}, {1024, 7}} {
				f(product{k: shape[0], n: shape[1], bits: bits, block: block, zeros: i%2 == 0, bias: i > 1})
			}
		}
	}
}

func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) })
}

// BenchmarkProduct measures matrix products of the 1B shape and of SmolLM2 by rows, with kernels of ours and ONNX Runtime's.
func BenchmarkProduct(b *testing.B) {
	for _, p := range []product{
		{k: 2048, n: 8192, bits: 4, block: 128, zeros: true},
		{k: 8192, n: 2048, bits: 4, block: 128, zeros: true},
		{k: 2048, n: 2048, bits: 4, block: 128, zeros: true},
		{k: 576, n: 1536, bits: 8, block: 32},
		{k: 576, n: 1536, bits: 4, block: 32},
		{k: 1536, n: 576, bits: 8, block: 32},
	} {
		path := p.make(1).write(b, true)
		for _, rows := range []int{1, 2, 4, 8, 16, 64, 256} {
			x := activations(1, rows*p.k)
			for _, kernels := range append(ownKernels(b), KernelsORT) {
				for _, threads := range []int{1, 2} {
					b.Run(fmt.Sprintf("%dx%d-%d-%d/rows=%d/threads=%d/%s", p.k, p.n, p.bits, p.block, rows, threads, kernels), func(b *testing.B) {
						o := p.open(b, path, kernels, threads)
						in, out := o.tensors(b, x)
						for b.Loop() {
							if err := o.session.Run([]ort.Value{in}, []ort.Value{out}); err != nil {
								b.Fatal(err)
							}
						}
						b.ReportMetric(float64(rows*p.k*p.n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "Gmac/s")
					})
				}
			}
		}
	}
}
