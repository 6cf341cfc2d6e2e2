package onnx

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ortserve/engine"
	"ortserve/internal/testenv"
	"ortserve/onnx/graph"
)

// hintsOfGraphs are what the descriptions of all directories in testenv.Graphs say alike.
var hintsOfGraphs = Hints{KVHeads: 2, HeadSize: 16, Vocab: 512}

// exported returns the path of an exporter's graph and its contract.
func exported(t *testing.T, name string) (string, *Contract) {
	t.Helper()
	if _, err := Load(testenv.Runtime(t)); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(testenv.Graphs(t), name, "*.onnx"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%s has graphs %q, %v", name, files, err)
	}
	c, err := Inspect(files[0], hintsOfGraphs)
	if err != nil {
		t.Fatal(err)
	}
	return files[0], c
}

// openExported opens an exporter's graph.
func openExported(t *testing.T, name string, o Options) *Session {
	t.Helper()
	path, c := exported(t, name)
	return openPath(t, path, c, o)
}

func openPath(t *testing.T, path string, c *Contract, o Options) *Session {
	t.Helper()
	s, err := Open(path, c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

var wide = Options{Threads: 1, Slots: 3, MaxLen: 400, Chunk: 300}

// runner of one sequence, for tests.
type greedy struct {
	t    *testing.T
	m    engine.Model
	slot int
	past int
}

// next runs tokens and returns the id of the largest logit.
func (g *greedy) next(tokens ...int32) int32 {
	g.t.Helper()
	l, err := g.m.Forward(&engine.Batch{Rows: []engine.Row{{Slot: g.slot, Past: g.past, Tokens: tokens, Logits: 1}}})
	if err != nil {
		g.t.Fatal(err)
	}
	g.past += len(tokens)
	return largest(l.Row(0))
}

func largest(logits []float32) int32 {
	best := 0
	for i, v := range logits {
		if v > logits[best] {
			best = i
		}
	}
	return int32(best)
}

// goOn runs the answer's tokens one by one and compares what follows each.
func (g *greedy) goOn(what string, first int32, want []int32) {
	g.t.Helper()
	id := first
	for i, w := range want {
		if id != w {
			g.t.Errorf("%s: id %d is %d, want %d", what, i, id, w)
			return
		}
		if i+1 < len(want) {
			id = g.next(w)
		}
	}
}

// longPrompt returns a graph's longest prompt and the ids that must follow on every machine.
func longPrompt(t *testing.T, name string) (prompt, answer []int32) {
	t.Helper()
	best := -1
	all := testenv.ReadExpected(t)[name].Prompts
	for i, p := range all {
		if testenv.Comparable(name, KernelsAuto, p.Margins, len(p.Greedy)) >= 2 && (best < 0 || len(p.IDs) > len(all[best].IDs)) {
			best = i
		}
	}
	if best < 0 {
		t.Fatalf("%s has no prompt with a clear answer", name)
	}
	p := all[best]
	return p.IDs, p.Greedy[:testenv.Comparable(name, KernelsAuto, p.Margins, len(p.Greedy))]
}

// TestExportedCuts computes a prompt in runs of several lengths, continues in a copy, and takes tokens back, with graphs of both families.
func TestExportedCuts(t *testing.T) {
	for _, name := range []string{"genai-llama-int4", "genai-llama-int4-kv8", "genai-llama-int4-kv4", "genai-phi3-int4", "genai-llama-int4-dml", "genai-mistral-fp32-window", "optimum-llama-q4", "optimum-llama-fp16"} {
		t.Run(name, func(t *testing.T) {
			s := openExported(t, name, wide)
			prompt, answer := longPrompt(t, name)
			g := &greedy{t: t, m: s}
			g.goOn("one run", g.next(prompt...), answer)

			g = &greedy{t: t, m: s, slot: 1}
			for _, n := range []int{2, 9, 30} {
				g.next(prompt[g.past : g.past+n]...)
			}
			kept := g.past
			if err := s.Copy(2, 1, kept); err != nil {
				t.Fatal(err)
			}
			g.next(5, 6, 7) // another text
			copied := &greedy{t: t, m: s, slot: 2, past: kept}
			copied.goOn("a copy", copied.next(prompt[kept:]...), answer)
			g.past = kept
			g.goOn("taken back", g.next(prompt[kept:]...), answer)
		})
	}
}

// TestExportedRows decodes three sequences together, of which one ends and one is taken back.
func TestExportedRows(t *testing.T) {
	for _, name := range []string{"genai-llama-int4", "genai-mistral-fp32-window", "optimum-llama-q4"} {
		t.Run(name, func(t *testing.T) {
			s := openExported(t, name, wide)
			all := testenv.ReadExpected(t)[name].Prompts[:3]
			for slot, p := range all {
				g := &greedy{t: t, m: s, slot: slot}
				g.next(p.IDs...)
			}
			step := func(done, slots int) {
				t.Helper()
				var rows []engine.Row
				for slot, p := range all[:slots] {
					rows = append(rows, engine.Row{Slot: slot, Past: len(p.IDs) + done, Tokens: p.Greedy[done : done+1], Logits: 1})
				}
				l, err := s.Forward(&engine.Batch{Rows: rows})
				if err != nil {
					t.Fatal(err)
				}
				for slot, p := range all[:slots] {
					if n := testenv.Comparable(name, KernelsAuto, p.Margins, len(p.Greedy)); done+1 < n && largest(l.Row(slot)) != p.Greedy[done+1] {
						t.Errorf("sequence %d after %d tokens: %d, want %d", slot, done, largest(l.Row(slot)), p.Greedy[done+1])
					}
				}
			}
			for i := range 5 {
				step(i, 3)
			}
			step(2, 3) // two tokens taken back
			for i := 3; i < 8; i++ {
				step(i, 3)
			}
			for i := 8; i < 20; i++ {
				step(i, 2) // the last has ended
			}
		})
	}
}

// TestWrap runs a graph whose cache wraps with as few rows as it may have.
func TestWrap(t *testing.T) {
	const name, slack = "genai-mistral-fp32-window", 12
	path, c := exported(t, name)
	if c.KV[0].Window != 32 {
		t.Fatalf("the window is %d", c.KV[0].Window)
	}
	r, err := newRunner(path, c, wide)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newShared(r, wide, slack)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.kv.slabs[0].rows != 32+slack || s.info.Wrap != 32+slack {
		t.Fatalf("%d rows, %+v", s.kv.slabs[0].rows, s.info)
	}
	prompt, answer := longPrompt(t, name)
	g := &greedy{t: t, m: s}
	g.goOn("one run", g.next(prompt...), answer)
	g = &greedy{t: t, m: s, slot: 1}
	g.next(prompt[:20]...)
	g.next(5, 6, 7, 8, 9, 10) // taken back before the cache wraps
	for g.past = 20; g.past+50 < len(prompt); {
		g.next(prompt[g.past : g.past+50]...)
	}
	if err := s.Copy(2, 1, g.past); err != nil {
		t.Fatal(err)
	}
	for _, slot := range []int{1, 2} {
		copied := &greedy{t: t, m: s, slot: slot, past: g.past}
		copied.goOn("goes on in slot "+strconv.Itoa(slot), copied.next(prompt[g.past:]...), answer)
	}
}

// TestSelfCheckOfGraphs looks at what the self-check of each graph finds.
func TestSelfCheckOfGraphs(t *testing.T) {
	for name, want := range testenv.ReadExpected(t) {
		if want == nil || strings.Contains(name, "qwen3") { // whose heads are larger
			continue
		}
		s := openExported(t, name, wide)
		family, info := "shared buffer", s.Info()
		if strings.HasPrefix(name, "optimum") {
			family = "growing"
		}
		dynamic := strings.HasSuffix(name, "int8")
		if s.Report().Family != family || info.Whole != dynamic || (info.Rows == 1) != dynamic {
			t.Errorf("%s: %+v, %+v", name, info, s.Report())
		}
		for _, f := range s.Report().Findings {
			if (f.Lost != "") != (dynamic && f.Result == "not tried") {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
}

// changed writes an exporter's graph, changed, and returns its path and contract.
func changed(t *testing.T, name string, change func(*graph.Graph)) (string, *Contract) {
	t.Helper()
	path, _ := exported(t, name)
	m, err := graph.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	change(m.Graph)
	path = filepath.Join(t.TempDir(), "model.onnx")
	if err := m.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	c, err := Inspect(path, hintsOfGraphs)
	if err != nil {
		t.Fatal(err)
	}
	return path, c
}

// node makes a node of ONNX's own operators.
func node(op string, out string, in []string, attributes ...*graph.Attribute) *graph.Node {
	return &graph.Node{Name: out, OpType: op, Inputs: in, Outputs: []string{out}, Attributes: attributes}
}

// replaceOutput puts nodes behind an output: they make name from name+".was".
func replaceOutput(g *graph.Graph, name string, nodes ...*graph.Node) {
	for _, n := range g.Nodes {
		for i, o := range n.Outputs {
			if o == name {
				n.Outputs[i] = name + ".was"
			}
		}
		for i, in := range n.Inputs {
			if in == name {
				n.Inputs[i] = name + ".was"
			}
		}
	}
	g.Nodes = append(g.Nodes, nodes...)
}

// replaceInput puts a node before the uses of an input: it makes name+".new" from name.
func replaceInput(g *graph.Graph, name string, n *graph.Node) {
	for _, user := range g.Nodes {
		for i, in := range user.Inputs {
			if in == name {
				user.Inputs[i] = name + ".new"
			}
		}
	}
	g.Nodes = slices.Insert(g.Nodes, 0, n)
}

// TestBFloat16 runs a graph whose KV and logits are made bfloat16.
func TestBFloat16(t *testing.T) {
	const name = "optimum-llama-q4"
	path, c := changed(t, name, func(g *graph.Graph) {
		for _, v := range g.Inputs {
			if strings.HasPrefix(v.Name, "past") {
				v.Type = graph.BFloat16
				replaceInput(g, v.Name, node("Cast", v.Name+".new", []string{v.Name}, graph.Int("to", int64(graph.Float32))))
			}
		}
		for _, v := range g.Outputs {
			v.Type = graph.BFloat16
			replaceOutput(g, v.Name, node("Cast", v.Name, []string{v.Name + ".was"}, graph.Int("to", int64(graph.BFloat16))))
		}
	})
	if c.KVType != graph.BFloat16 || c.LogitsType != graph.BFloat16 {
		t.Fatalf("%+v", c)
	}
	rounded, exact := openPath(t, path, c, wide), openExported(t, name, wide)
	prompt := tokens(1, 60)
	for i, cut := range [][2]int{{0, 30}, {30, 58}, {58, 59}, {59, 60}} {
		row := engine.Row{Past: cut[0], Tokens: prompt[cut[0]:cut[1]]}
		if d := apart(forward(t, rounded, row).Row(0), forward(t, exact, row).Row(0)); !(d < 0.05) || d == 0 {
			t.Errorf("run %d: apart by %g of the spread", i, d)
		}
	}
}

// TestMerged runs a graph that wants to be told whether there is a past, and of how many positions logits are wanted. It answers nonsense
// when it is told wrongly.
func TestMerged(t *testing.T) {
	const name = "optimum-llama-q4"
	for _, scalar := range []bool{false, true} {
		path, c := changed(t, name, func(g *graph.Graph) {
			keep := graph.Value("num_logits_to_keep", graph.Int64, 1)
			if scalar {
				keep = graph.Value("num_logits_to_keep", graph.Int64)
			}
			g.Inputs = append(g.Inputs, graph.Value("use_cache_branch", graph.Bool, 1), keep)
			g.Initializers = append(g.Initializers,
				graph.Int64Tensor("t.zero", []int64{1}, 0), graph.Int64Tensor("t.one", []int64{1}, 1),
				graph.Int64Tensor("t.two", []int64{1}, 2), graph.Int64Tensor("t.end", []int64{1}, 1<<62))
			replaceOutput(g, "logits",
				node("Shape", "t.shape", []string{"past_key_values.0.key"}),
				node("Gather", "t.past", []string{"t.shape", "t.two"}, graph.Int("axis", 0)),
				node("Greater", "t.want", []string{"t.past", "t.zero"}),
				node("Equal", "t.right", []string{"t.want", "use_cache_branch"}),
				node("Cast", "t.factor", []string{"t.right"}, graph.Int("to", int64(graph.Float32))),
				node("Log", "t.penalty", []string{"t.factor"}),
				node("Add", "t.logits", []string{"logits.was", "t.penalty"}),
				node("Reshape", "t.keep", []string{"num_logits_to_keep", "t.one"}),
				node("Neg", "t.from", []string{"t.keep"}),
				node("Slice", "logits", []string{"t.logits", "t.from", "t.end", "t.one"}),
			)
		})
		if c.Branch == "" || c.Keep == "" || c.KeepScalar != scalar {
			t.Fatalf("%+v", c)
		}
		s := openPath(t, path, c, wide)
		prompt, answer := longPrompt(t, name)
		g := &greedy{t: t, m: s}
		g.goOn("one run", g.next(prompt...), answer)
		l, err := s.Forward(&engine.Batch{Rows: []engine.Row{{Past: len(prompt), Tokens: answer[:5], Logits: 3}}})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if got := largest(l.Row(i)); got != answer[i+3] {
				t.Errorf("row %d of 3: %d, want %d", i, got, answer[i+3])
			}
		}
	}
}

// TestSelfCheckFinds opens graphs that were made wrong.
func TestSelfCheckFinds(t *testing.T) {
	const name = "optimum-llama-q4"
	size := func(g *graph.Graph, value, at, out string) []*graph.Node { // float32 [1]
		g.Initializers = append(g.Initializers, graph.Int64Tensor(out+".at", []int64{1}, map[string]int64{"rows": 0, "tokens": 1, "past": 2}[at]))
		return []*graph.Node{
			node("Shape", out+".shape", []string{value}),
			node("Gather", out+".size", []string{out + ".shape", out + ".at"}, graph.Int("axis", 0)),
			node("Cast", out, []string{out + ".size"}, graph.Int("to", int64(graph.Float32))),
		}
	}
	t.Run("the past does not count", func(t *testing.T) {
		path, c := changed(t, name, func(g *graph.Graph) {
			g.Initializers = append(g.Initializers, graph.Float32Tensor("t.zero", []int64{1}, 0))
			for _, v := range g.Inputs {
				if strings.HasPrefix(v.Name, "past") {
					replaceInput(g, v.Name, node("Mul", v.Name+".new", []string{v.Name, "t.zero"}))
				}
			}
		})
		if _, err := Open(path, c, wide); err == nil || !strings.Contains(err.Error(), "model.onnx: the self-check failed: a step with a past against one prompt") {
			t.Error(err)
		}
	})
	t.Run("two rows are wrong", func(t *testing.T) {
		path, c := changed(t, name, func(g *graph.Graph) {
			g.Initializers = append(g.Initializers, graph.Float32Tensor("t.two", []int64{1}, 2))
			replaceOutput(g, "logits", append(size(g, "input_ids", "rows", "t.rows"),
				node("Sub", "t.factor", []string{"t.two", "t.rows"}), node("Mul", "logits", []string{"logits.was", "t.factor"}))...)
		})
		s := openPath(t, path, c, wide)
		if info := s.Info(); info.Rows != 1 || info.Whole {
			t.Errorf("%+v", info)
		}
		if f := s.Report().Findings; f[len(f)-1].Lost != "batching" {
			t.Errorf("%+v", f)
		}
	})
	t.Run("chunks are wrong", func(t *testing.T) {
		path, c := changed(t, name, func(g *graph.Graph) {
			g.Initializers = append(g.Initializers, graph.Float32Tensor("t.one", []int64{1}, 1))
			nodes := append(size(g, "input_ids", "tokens", "t.tokens"), size(g, "past_key_values.0.key", "past", "t.past")...)
			replaceOutput(g, "logits", append(nodes,
				node("Sub", "t.more", []string{"t.tokens", "t.one"}), node("Mul", "t.both", []string{"t.more", "t.past"}),
				node("Min", "t.wrong", []string{"t.both", "t.one"}), node("Sub", "t.factor", []string{"t.one", "t.wrong"}),
				node("Mul", "logits", []string{"logits.was", "t.factor"}))...)
		})
		s := openPath(t, path, c, wide)
		if info := s.Info(); !info.Whole || info.Rows == 1 || info.Logits != 1 || info.Chunk != wide.MaxLen {
			t.Errorf("%+v", info)
		}
		prompt, answer := longPrompt(t, name)
		g := &greedy{t: t, m: s}
		g.goOn("one run", g.next(prompt...), answer)
		if _, err := s.Forward(&engine.Batch{Rows: []engine.Row{{Past: g.past, Tokens: prompt[:2], Logits: 1}}}); err == nil {
			t.Error("several tokens after a past ran")
		}
	})
}

// TestDeterministicGrowing: one sequence at a time, prompts whole.
func TestDeterministicGrowing(t *testing.T) {
	o := wide
	o.Deterministic = true
	s := openExported(t, "optimum-llama-q4", o)
	if info := s.Info(); info.Rows != 1 || !info.Whole || info.Chunk != o.MaxLen {
		t.Errorf("%+v", info)
	}
	if !s.Contract().WholePrompts(true) || s.Contract().WholePrompts(false) {
		t.Error("the need of memory is counted otherwise")
	}
}
