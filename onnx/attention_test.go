package onnx

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	ort "github.com/yalue/onnxruntime_go"

	"ortserve/onnx/graph"
)

// attending is one GroupQueryAttention.
type attending struct {
	heads, kvHeads, size, window int
	packed, interleaved          bool
	positions                    bool // position_ids is an input
	turned                       int
	quant                        string // of an int8 cache: PER_CHANNEL or PER_TENSOR; "": float32
	scale                        float32
}

const attendingRows = 300 // of the rotary tables, and the longest sequence

func (a attending) kvType() graph.DataType {
	if a.quant != "" {
		return graph.Int8
	}
	return graph.Float32
}

// write writes it as a graph.
func (a attending) write(t testing.TB) string {
	t.Helper()
	tables := func(name string, f func(float64) float64) *graph.Tensor {
		var x []float32
		for p := range attendingRows {
			for i := range a.turned / 2 {
				x = append(x, float32(f(float64(p)*math.Pow(10000, -2*float64(i)/float64(a.turned)))))
			}
		}
		return graph.Float32Tensor(name, []int64{attendingRows, int64(a.turned / 2)}, x...)
	}
	rows := func(name string, heads int) *graph.ValueInfo {
		return graph.Value(name, graph.Float32, "B", "S", heads*a.size)
	}
	cache := func(name, length string) *graph.ValueInfo {
		return graph.Value(name, a.kvType(), "B", a.kvHeads, length, a.size)
	}
	inputs := []string{"query", "key", "value", "past_key", "past_value", "seqlens_k", "total", "cos", "sin"}
	in := []*graph.ValueInfo{rows("query", a.heads), rows("key", a.kvHeads), rows("value", a.kvHeads)}
	if a.packed {
		inputs[1], inputs[2] = "", ""
		in = []*graph.ValueInfo{rows("query", a.heads+2*a.kvHeads)}
	}
	in = append(in, cache("past_key", "P"), cache("past_value", "P"), graph.Value("seqlens_k", graph.Int32, "B"), graph.Value("total", graph.Int32, 1))
	if a.positions {
		in = append(in, graph.Value("position_ids", graph.Int64, "B", "S"))
		inputs = append(inputs, "position_ids")
	}
	var tensors []*graph.Tensor
	turns := int64(0)
	if a.turned > 0 {
		turns = 1
		tensors = append(tensors, tables("cos", math.Cos), tables("sin", math.Sin))
	} else {
		inputs[7], inputs[8] = "", ""
	}
	attributes := []*graph.Attribute{
		graph.Int("num_heads", int64(a.heads)), graph.Int("kv_num_heads", int64(a.kvHeads)), graph.Int("do_rotary", turns),
	}
	if a.window > 0 {
		attributes = append(attributes, graph.Int("local_window_size", int64(a.window)))
	}
	if a.scale != 0 {
		attributes = append(attributes, graph.Float("scale", a.scale))
	}
	if a.interleaved {
		attributes = append(attributes, graph.Int("rotary_interleaved", 1))
	}
	if a.quant != "" {
		n := 1
		if a.quant == "PER_CHANNEL" {
			n = a.kvHeads * a.size
		}
		scales := make([]float32, n)
		for i := range scales {
			scales[i] = 0.04 + float32(i%7)*0.005
		}
		for len(inputs) < 12 {
			inputs = append(inputs, "")
		}
		inputs = append(inputs, "k_scale", "v_scale")
		tensors = append(tensors, graph.Float32Tensor("k_scale", []int64{int64(n)}, scales...), graph.Float32Tensor("v_scale", []int64{int64(n)}, scales...))
		attributes = append(attributes, graph.String("k_quant_type", a.quant), graph.String("v_quant_type", a.quant), graph.Int("kv_cache_bit_width", 8))
	}
	m := &graph.Model{IRVersion: 8, Opsets: []graph.Opset{{Version: 17}, {Domain: microsoft, Version: 1}}, Graph: &graph.Graph{
		Name: "attention", Inputs: in, Initializers: tensors,
		Outputs: []*graph.ValueInfo{rows("output", a.heads), cache("present_key", "T"), cache("present_value", "T")},
		Nodes: []*graph.Node{{
			Name: "attention", OpType: "GroupQueryAttention", Domain: microsoft, Inputs: inputs, Outputs: []string{"output", "present_key", "present_value"}, Attributes: attributes,
		}},
	}}
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := m.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// attendingIn is an attending in a session.
type attendingIn struct {
	attending
	session *ort.DynamicAdvancedSession
}

func (a attending) open(t testing.TB, path, kernels string, threads int) attendingIn {
	t.Helper()
	in := []string{"query", "key", "value", "past_key", "past_value", "seqlens_k", "total"}
	if a.packed {
		in = slices.Delete(in, 1, 3)
	}
	if a.positions {
		in = append(in, "position_ids")
	}
	return attendingIn{a, openNode(t, path, kernels, threads, in, []string{"output", "present_key", "present_value"})}
}

// attendingRun is a run: new tokens of each row of a batch behind its past.
type attendingRun struct {
	tokens, total int
	lengths       []int // of the rows, new tokens included
	past          int   // rows of past; present has as many, or total
	shared        bool  // present is past
}

// run computes it on numbers that depend on nothing but the run, and returns the output of tokens that are no padding and the bytes of present.
func (a attendingIn) run(t testing.TB, r attendingRun) (output []float32, key, value []byte) {
	t.Helper()
	random, batch := rand.New(rand.NewPCG(5, uint64(r.tokens))), len(r.lengths)
	var values []ort.Value
	add := func(v ort.Value, err error) ort.Value {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = v.Destroy() })
		values = append(values, v)
		return v
	}
	numbers := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(random.NormFloat64())
		}
		return x
	}
	widths := []int{a.heads, a.kvHeads, a.kvHeads}
	if a.packed {
		widths = []int{a.heads + 2*a.kvHeads}
	}
	for _, w := range widths {
		add(ort.NewTensor(ort.NewShape(int64(batch), int64(r.tokens), int64(w*a.size)), numbers(batch*r.tokens*w*a.size)))
	}
	bytes := a.kvType().Bits() / 8
	cache := func(rows int) []byte {
		b := make([]byte, 0, 1)
		for _, v := range numbers(batch * a.kvHeads * rows * a.size) {
			if bytes == 1 {
				b = append(b, byte(int8(v*40)))
			} else {
				b = graph.AppendFloat32(b, []float32{v})
			}
		}
		return b
	}
	tensor := func(b []byte, rows int) (ort.Value, error) {
		return ort.NewCustomDataTensor(ort.NewShape(int64(batch), int64(a.kvHeads), int64(rows), int64(a.size)), b[:max(len(b), 1)], elementType(a.kvType()))
	}
	key, value = cache(r.past), cache(r.past)
	past := []ort.Value{add(tensor(key, r.past)), add(tensor(value, r.past))}
	present := past
	if !r.shared {
		rows := max(r.past, r.total)
		key, value = make([]byte, batch*a.kvHeads*rows*a.size*bytes), make([]byte, batch*a.kvHeads*rows*a.size*bytes)
		n := len(values)
		present = []ort.Value{add(tensor(key, rows)), add(tensor(value, rows))}
		values = values[:n]
	}
	var lengths []int32
	var positions []int64
	for _, n := range r.lengths {
		lengths = append(lengths, int32(n-1))
		for i := range r.tokens {
			positions = append(positions, int64(min(max(n-r.tokens, 0)+i, attendingRows-1)))
		}
	}
	add(ort.NewTensor(ort.NewShape(int64(batch)), lengths))
	add(ort.NewTensor(ort.NewShape(1), []int32{int32(r.total)}))
	if a.positions {
		add(ort.NewTensor(ort.NewShape(int64(batch), int64(r.tokens)), positions))
	}
	in := slices.Clone(values)
	out, err := ort.NewEmptyTensor[float32](ort.NewShape(int64(batch), int64(r.tokens), int64(a.heads*a.size)))
	add(out, err)
	if err := a.session.Run(in, []ort.Value{out, present[0], present[1]}); err != nil {
		t.Fatal(err)
	}
	for b, n := range r.lengths {
		output = append(output, out.GetData()[b*r.tokens*a.heads*a.size:][:min(n, r.tokens)*a.heads*a.size]...)
	}
	return output, key, value
}

// farthest is the largest difference of two caches in the rows that hold tokens: padding is nobody's. Int8 count as they are.
func (a attending) farthest(r attendingRun, x, y []byte) float64 {
	most, row := 0.0, a.size*a.kvType().Bits()/8
	rows := len(x) / (len(r.lengths) * a.kvHeads * row)
	for b, n := range r.lengths {
		for h := range a.kvHeads {
			x, y := x[(b*a.kvHeads+h)*rows*row:][:n*row], y[(b*a.kvHeads+h)*rows*row:][:n*row]
			if a.quant == "" {
				most = max(most, largestDifference(view[float32](memory(x)), view[float32](memory(y))))
				continue
			}
			for i := range x {
				most = max(most, math.Abs(float64(int8(x[i]))-float64(int8(y[i]))))
			}
		}
	}
	return most
}

// TestAttention compares with ONNX Runtime's operator, and one thread with two.
func TestAttention(t *testing.T) {
	plain := attending{heads: 6, kvHeads: 2, size: 64, turned: 64}
	with := func(f func(*attending)) attending {
		a := plain
		f(&a)
		return a
	}
	runs := []attendingRun{
		{tokens: 1, total: 200, lengths: []int{33, 1, 200, 129}, past: 200, shared: true},
		{tokens: 40, total: 300, lengths: []int{290}, past: 300, shared: true},
		{tokens: 30, total: 300, lengths: []int{30}, past: 300, shared: true},
		{tokens: 20, total: 20, lengths: []int{20, 7, 13}, past: 64, shared: true},
		{tokens: 20, total: 20, lengths: []int{20, 20}, past: 0},
		{tokens: 5, total: 70, lengths: []int{70}, past: 65},
		{tokens: 1, total: 70, lengths: []int{70, 20}, past: 69},
	}
	for _, a := range []attending{
		plain,
		with(func(a *attending) { a.packed, a.scale = true, 0.2 }),
		with(func(a *attending) { a.interleaved, a.positions = true, true }),
		with(func(a *attending) { a.turned, a.size = 32, 80 }),
		with(func(a *attending) { a.turned = 0 }),
		with(func(a *attending) { a.window = 16 }),
		with(func(a *attending) { a.window, a.size, a.turned, a.packed = 1, 128, 128, true }),
		with(func(a *attending) { a.quant, a.packed = "PER_CHANNEL", true }),
		with(func(a *attending) { a.quant = "PER_TENSOR" }),
	} {
		path := a.write(t)
		theirs := a.open(t, path, KernelsORT, 2)
		ours := map[string]attendingIn{}
		for _, kernels := range ownKernels(t) {
			for _, threads := range []int{1, 2} {
				ours[fmt.Sprintf("%s, %d threads", kernels, threads)] = a.open(t, path, kernels, threads)
			}
		}
		for _, r := range runs {
			want, wantKey, wantValue := theirs.run(t, r)
			var first []float32
			for name, own := range ours {
				what := fmt.Sprintf("%+v, %+v, %s", a, r, name)
				got, key, value := own.run(t, r)
				limit := 2e-5
				if a.quant != "" {
					limit = 5e-3 // a key may be rounded to the neighbour
				}
				if d := largestDifference(got, want); !(d <= limit) {
					t.Errorf("%s: off by %g", what, d)
				}
				limit = 1e-6
				if a.quant != "" {
					limit = 1
				}
				if d := max(a.farthest(r, key, wantKey), a.farthest(r, value, wantValue)); !(d <= limit) {
					t.Errorf("%s: present is off by %g", what, d)
				}
				if first == nil {
					first = got
				} else if !sameBits(first, got) {
					t.Errorf("%s: other bits than before", what)
				}
			}
		}
	}
}
