package onnx

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ortserve/engine"
	"ortserve/internal/testenv"
	"ortserve/internal/testmodel"
	"ortserve/onnx/graph"
)

// openTest opens a test model.
func openTest(t *testing.T, c testmodel.Config, o Options) *Session {
	t.Helper()
	if _, err := Load(testenv.Runtime(t)); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := testmodel.Write(dir, c); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "model.onnx")
	contract, err := Inspect(path, Hints{})
	if err != nil {
		t.Fatal(err)
	}
	return openPath(t, path, contract, o)
}

var options = Options{Threads: 2, Slots: 4, MaxLen: 200, Chunk: 64}

// tokens returns n tokens that depend on seed.
func tokens(seed, n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32((seed*7919 + i*i*31 + i*17) % 500)
	}
	return ids
}

// forward runs one batch and returns a copy of the logits.
func forward(t *testing.T, s *Session, rows ...engine.Row) engine.Logits {
	t.Helper()
	for i := range rows {
		if rows[i].Logits == 0 {
			rows[i].Logits = 1
		}
	}
	l, err := s.Forward(&engine.Batch{Rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	l.Data = slices.Clone(l.Data)
	return l
}

// largestDifference returns the largest difference of two rows of logits.
func largestDifference(a, b []float32) float64 {
	d := 0.0
	for i := range a {
		d = max(d, math.Abs(float64(a[i])-float64(b[i])))
	}
	return d
}

// TestLogits compares prefill, chunks and decode with the reference.
func TestLogits(t *testing.T) {
	f := func(name string, c testmodel.Config) {
		t.Run(name, func(t *testing.T) {
			s := openTest(t, c, options)
			ids := tokens(1, 40)
			want := testmodel.Reference(c, ids)
			check := func(what string, got []float32, position int) {
				t.Helper()
				if d := largestDifference(got, want[position]); !(d < 1e-4) {
					t.Errorf("%s: logits at %d differ by %.2g", what, position, d)
				}
			}
			check("prefill", forward(t, s, engine.Row{Slot: 2, Tokens: ids[:30]}).Row(0), 29)
			for i := 30; i < 40; i++ {
				check("decode", forward(t, s, engine.Row{Slot: 2, Past: i, Tokens: ids[i : i+1]}).Row(0), i)
			}
			forward(t, s, engine.Row{Slot: 0, Tokens: ids[:7]})
			forward(t, s, engine.Row{Slot: 0, Past: 7, Tokens: ids[7:9]})
			check("chunks", forward(t, s, engine.Row{Slot: 0, Past: 9, Tokens: ids[9:20]}).Row(0), 19)
			check("one token", forward(t, s, engine.Row{Slot: 1, Tokens: ids[:1]}).Row(0), 0)
			check("shorter again", forward(t, s, engine.Row{Slot: 2, Past: 10, Tokens: ids[10:15]}).Row(0), 14)
		})
	}
	f("float32", testmodel.Config{})
	f("llama3 rope, tied", testmodel.Config{Tied: true, Llama3: true, Seed: 2})
	f("4 bits", testmodel.Config{Bits: 4, Seed: 3})
	f("8 bits", testmodel.Config{Bits: 8, Seed: 4})
}

// TestRaggedBatch decodes rows of unlike lengths in one run, bit for bit as each alone.
func TestRaggedBatch(t *testing.T) {
	f := func(name string, c testmodel.Config) {
		t.Run(name, func(t *testing.T) {
			lengths := []int{3, 50, 1, 17}
			var want [][]float32
			for i, n := range lengths {
				s := openTest(t, c, options)
				ids := tokens(i, n+5)
				forward(t, s, engine.Row{Slot: 0, Tokens: ids[:n]})
				for j := range 5 {
					want = append(want, forward(t, s, engine.Row{Slot: 0, Past: n + j, Tokens: ids[n+j : n+j+1]}).Row(0))
				}
			}
			s := openTest(t, c, options)
			for i, n := range lengths {
				forward(t, s, engine.Row{Slot: i, Tokens: tokens(i, n)})
			}
			for j := range 5 {
				var rows []engine.Row
				for i, n := range lengths {
					rows = append(rows, engine.Row{Slot: i, Past: n + j, Tokens: tokens(i, n+5)[n+j : n+j+1]})
				}
				got := forward(t, s, rows...)
				for i := range lengths {
					if !slices.Equal(got.Row(i), want[i*5+j]) {
						t.Errorf("row %d, step %d: differs by %.2g from alone", i, j, largestDifference(got.Row(i), want[i*5+j]))
					}
				}
			}
		})
	}
	f("float32", testmodel.Config{})
	f("4 bits block 32, int8 activations", testmodel.Config{Bits: 4, AccuracyLevel: 4})
	f("8 bits block 32, int8 activations", testmodel.Config{Bits: 8, AccuracyLevel: 4})
}

// TestPaired shows that in a layout whose kernels compute rows in pairs a deterministic session gives each row the bits it gets alone,
// and that without padding it would not.
func TestPaired(t *testing.T) {
	config := testmodel.Config{Bits: 4, Block: 64, AccuracyLevel: 4, Hidden: 128, Intermediate: 256}
	o := options
	o.Deterministic = true
	run := func(s *Session, neighbours int) (bits []float32) {
		ids := tokens(3, 40)
		at := neighbours / 2 // the slot of the sequence that is looked at
		for _, cut := range [][2]int{{0, 7}, {7, 12}, {12, 33}} {
			bits = append(bits, forward(t, s, engine.Row{Slot: at, Past: cut[0], Tokens: ids[cut[0]:cut[1]]}).Row(0)...)
		}
		for i := range neighbours + 1 {
			if i != at {
				forward(t, s, engine.Row{Slot: i, Tokens: tokens(10+i, 5+i)})
			}
		}
		for p := 33; p < 40; p++ {
			var rows []engine.Row
			for i := range neighbours + 1 {
				if i == at {
					rows = append(rows, engine.Row{Slot: i, Past: p, Tokens: ids[p : p+1]})
				} else {
					rows = append(rows, engine.Row{Slot: i, Past: 5 + i + p - 33, Tokens: tokens(20+i, 1)})
				}
			}
			bits = append(bits, forward(t, s, rows...).Row(at)...)
		}
		return bits
	}
	o.Kernels = KernelsORT
	s := openTest(t, config, o)
	if !s.Contract().PairedRows {
		t.Fatal("4-bit blocks of 64 are not known to compute rows in pairs")
	}
	alone := run(s, 0)
	for n := 1; n < 4; n++ {
		if got := run(s, n); !slices.Equal(got, alone) {
			t.Errorf("with %d neighbours the logits differ by %.2g", n, largestDifference(got, alone))
		}
	}
	o.Deterministic = false
	s = openTest(t, config, o)
	if slices.Equal(run(s, 0), run(s, 1)) && slices.Equal(run(s, 0), run(s, 2)) {
		t.Log("on this machine the kernels give the same bits without padding")
	}
}

// TestSeveralLogits compares the logits of the last positions of one run with those of one run each.
func TestSeveralLogits(t *testing.T) {
	f := func(name string, c testmodel.Config) {
		t.Run(name, func(t *testing.T) {
			s := openTest(t, c, options)
			ids := tokens(2, 40)
			want := testmodel.Reference(c, ids)
			forward(t, s, engine.Row{Slot: 1, Tokens: ids[:20]})
			for _, n := range []int{2, 3, 8, 16} {
				got := forward(t, s, engine.Row{Slot: 1, Past: 20, Tokens: ids[20 : 20+n], Logits: n})
				for i := range n {
					if d := largestDifference(got.Row(i), want[20+i]); !(d < 1e-4) {
						t.Errorf("%d tokens: logits at %d differ by %.2g", n, 20+i, d)
					}
				}
			}
			got := forward(t, s, engine.Row{Slot: 1, Past: 20, Tokens: ids[20:33], Logits: 4})
			for i := range 4 {
				if d := largestDifference(got.Row(i), want[29+i]); !(d < 1e-4) {
					t.Errorf("the last 4 of 13: logits at %d differ by %.2g", 29+i, d)
				}
			}
		})
	}
	f("float32", testmodel.Config{})
	f("rows in pairs", testmodel.Config{Bits: 4, Block: 64, Hidden: 128})
}

// TestCopy continues a sequence in another slot, bit for bit, and leaves the source.
func TestCopy(t *testing.T) {
	s := openTest(t, testmodel.Config{}, options)
	ids := tokens(1, 61)
	forward(t, s, engine.Row{Slot: 0, Tokens: ids[:60]})
	forward(t, s, engine.Row{Slot: 3, Tokens: tokens(5, 64)}) // what must not be left
	if err := s.Copy(3, 0, 60); err != nil {
		t.Fatal(err)
	}
	step := engine.Row{Past: 60, Tokens: ids[60:]}
	want := forward(t, s, step).Row(0)
	step.Slot = 3
	if got := forward(t, s, step).Row(0); !slices.Equal(got, want) {
		t.Errorf("the copy differs by %.2g", largestDifference(got, want))
	}
	for _, bad := range [][3]int{{5, 0, 1}, {0, -1, 1}, {0, 1, 201}} {
		if err := s.Copy(bad[0], bad[1], bad[2]); err == nil {
			t.Errorf("Copy(%v) gave no error", bad)
		}
	}
}

func TestForwardRefuses(t *testing.T) {
	s := openTest(t, testmodel.Config{}, options)
	f := func(rows ...engine.Row) {
		t.Helper()
		if _, err := s.Forward(&engine.Batch{Rows: rows}); err == nil {
			t.Errorf("%v ran", rows)
		}
	}
	one := tokens(1, 1)
	f()
	f(engine.Row{})
	f(engine.Row{Slot: 5, Tokens: one})
	f(engine.Row{Slot: 0, Tokens: one}, engine.Row{Slot: 2, Tokens: one})
	f(engine.Row{Slot: 0, Tokens: tokens(1, 2)}, engine.Row{Slot: 1, Tokens: tokens(1, 2)})
	f(engine.Row{Past: 200, Tokens: one})
	f(engine.Row{Tokens: tokens(1, 65)})
	f(engine.Row{Tokens: tokens(1, 2), Logits: 3})
	f(engine.Row{Tokens: tokens(1, 40), Logits: 17})
}

func TestOpenRefuses(t *testing.T) {
	if _, err := Load(testenv.Runtime(t)); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := testmodel.Write(dir, testmodel.Config{Positions: 100}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "model.onnx")
	contract, err := Inspect(path, Hints{})
	if err != nil {
		t.Fatal(err)
	}
	o := options
	o.MaxLen = contract.MaxLen() + 1
	if _, err := Open(path, contract, o); err == nil || !strings.Contains(err.Error(), "--max-len") {
		t.Errorf("a window above the graph's: %v", err)
	}
	o.MaxLen = contract.MaxLen()
	s, err := Open(path, contract, o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for past := 0; past < o.MaxLen; past += 11 { // up to the very last position
		forward(t, s, engine.Row{Past: past, Tokens: tokens(past, min(11, o.MaxLen-past))})
	}
}

func TestContract(t *testing.T) {
	kv := func(name string, dims ...any) *graph.ValueInfo { return graph.Value(name, graph.Float32, dims...) }
	good := func() *graph.Graph {
		return &graph.Graph{
			Inputs: []*graph.ValueInfo{
				graph.Value("attention_mask", graph.Int64, "b", "t"),
				graph.Value("input_ids", graph.Int64, "b", "s"),
				kv("past_key_values.0.key", "b", 2, "p", "kv_cache_dim"), kv("past_key_values.1.key", "b", 2, "p", "kv_cache_dim"),
				kv("past_key_values.0.value", "b", 2, "p", "kv_cache_dim"), kv("past_key_values.1.value", "b", 2, "p", "kv_cache_dim"),
			},
			Outputs: []*graph.ValueInfo{
				graph.Value("logits", graph.Float32, "b", 1, 512),
				kv("present.0.key", "b", 2, "t", 16), kv("present.0.value", "b", 2, "t", 16),
				kv("present.1.key", "b", 2, "t", 16), kv("present.1.value", "b", 2, "t", 16),
			},
		}
	}
	want := &Contract{
		IDs: "input_ids", Mask: "attention_mask", Logits: "logits",
		KV: []KV{
			{Past: "past_key_values.0.key", Present: "present.0.key"},
			{Past: "past_key_values.0.value", Present: "present.0.value"},
			{Past: "past_key_values.1.key", Present: "present.1.key"},
			{Past: "past_key_values.1.value", Present: "present.1.value"},
		},
		KVHeads: 2, HeadSize: 16, KVType: graph.Float32, LogitsType: graph.Float32, Vocab: 512, OneRow: true,
	}
	got, err := ReadContract(good(), Hints{HeadSize: 16})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Contract{})); d != "" {
		t.Error(d)
	}
	if got.TokenBytes() != 4*2*16*4 {
		t.Errorf("a token takes %d bytes", got.TokenBytes())
	}

	f := func(what string, change func(*graph.Graph), texts ...string) {
		t.Helper()
		g := good()
		change(g)
		_, err := ReadContract(g, Hints{HeadSize: 16})
		if err == nil {
			t.Errorf("%s: accepted", what)
			return
		}
		for _, text := range texts {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v does not say %q", what, err, text)
			}
		}
	}
	f("no ids", func(g *graph.Graph) { g.Inputs[1].Name = "inputs_embeds" }, "no input input_ids, but inputs_embeds", "inputs_embeds (int64 [b, s]) is not known")
	f("ids of int32", func(g *graph.Graph) { g.Inputs[1].Type = graph.Int32 }, "input_ids is int32 [b, s], want int64")
	f("no cache", func(g *graph.Graph) { g.Inputs = g.Inputs[:2] }, "without a KV cache", "text-generation-with-past")
	f("no present", func(g *graph.Graph) { g.Outputs = g.Outputs[:4] }, "output present.1.value")
	f("unlike heads", func(g *graph.Graph) { g.Inputs[3] = kv("past_key_values.1.key", "b", 4, "p", 16) }, "past_key_values.1.key is float32 [b, 4, p, 16], want 2 heads")
	f("a flat cache", func(g *graph.Graph) { g.Inputs[3] = kv("past_key_values.1.key", "b", 2, "p") }, "4 dimensions")
	f("no logits", func(g *graph.Graph) { g.Outputs[0].Name = "scores" }, "no output logits")
	f("no vocabulary", func(g *graph.Graph) { g.Outputs[0] = kv("logits", "b", "s", "v") }, "vocabulary")
	f("cache of float64", func(g *graph.Graph) {
		for _, v := range slices.Concat(g.Inputs[2:], g.Outputs[1:]) {
			v.Type = graph.Float64
		}
	}, "float64, want float32, float16")
	f("logits of int8", func(g *graph.Graph) { g.Outputs[0].Type = graph.Int8 }, "logits is int8 [b, 1, 512], want float32, float16 or bfloat16")
	f("blocks", func(g *graph.Graph) {
		g.Nodes = append(g.Nodes, &graph.Node{OpType: "PagedAttention", Domain: microsoft})
		g.Inputs[1] = graph.Value("input_ids", graph.Int64, "num_tokens")
		g.Inputs = append(g.Inputs, graph.Value("block_table", graph.Int32, "b", "n"))
	}, "it has PagedAttention", "input_ids is int64 [num_tokens], want int64 of 2 dimensions", "block_table (int32 [b, n]) is not known")
	if _, err := ReadContract(good(), Hints{}); err == nil {
		t.Error("a head size that is said nowhere was accepted")
	}
}

func TestLoad(t *testing.T) {
	path := testenv.Runtime(t)
	if got, err := Load(path); err != nil || got != path {
		t.Fatalf("got %q, %v", got, err)
	}
	if _, err := Load("/nowhere/libonnxruntime.so"); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a second library: %v", err)
	}
	if older(Version(), MinVersion) {
		t.Errorf("version %s is older than %s", Version(), MinVersion)
	}
	for _, c := range []struct {
		v, w string
		want bool
	}{{"1.9.0", "1.28", true}, {"1.28.0", "1.28", false}, {"2.0", "1.28", false}, {"1.28", "1.28.1", true}, {"", "1.28", true}} {
		if got := older(c.v, c.w); got != c.want {
			t.Errorf("older(%q, %q) = %v", c.v, c.w, got)
		}
	}
}
