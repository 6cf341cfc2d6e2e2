package testmodel

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ortserve/internal/testenv"
	"ortserve/onnx/graph"
	"ortserve/onnx/graph/llama"
)

var prompt = []int32{BeginOfText, 72, 101, 108, 108, 111, 32, 300, 301, 400, 12, EndOfTurn, 77, 256, 8, 8, 499}

// TestLogits runs each form of the model in Python's onnxruntime and compares with the reference.
func TestLogits(t *testing.T) {
	type form struct {
		name string
		c    Config
		// limits of the difference to the reference, whose logits spread by 2.5: the largest, and the root of the mean square
		largest, rms float64
	}
	const exact = 1e-4
	forms := []form{
		{"float32", Config{}, exact, exact},
		{"float32 of another shape", Config{Seed: 3, Layers: 3, Hidden: 96, Heads: 6, HeadSize: 32, KVHeads: 2, Intermediate: 160}, exact, exact},
		{"tied, Llama 3.1's rope", Config{Seed: 4, Tied: true, Llama3: true, Positions: 64}, exact, exact},
		{"8 bits", Config{Bits: 8}, exact, exact},
		{"8 bits tied symmetric", Config{Bits: 8, Tied: true, Symmetric: true}, exact, exact},
		{"8 bits block 64 tied", Config{Bits: 8, Block: 64, Tied: true}, exact, exact},
		{"4 bits", Config{Bits: 4}, exact, exact},
		{"4 bits symmetric", Config{Bits: 4, Symmetric: true}, exact, exact},
		{"4 bits block 16 tied", Config{Bits: 4, Block: 16, Tied: true}, exact, exact},
		{"4 bits block 128", Config{Bits: 4, Block: 128, Hidden: 128}, exact, exact},
		{"8 bits, activations too", Config{Bits: 8, AccuracyLevel: 4}, 0.8, 0.15},
		{"4 bits, activations too", Config{Bits: 4, AccuracyLevel: 4}, 0.8, 0.15},
	}
	ids, err := json.Marshal(prompt)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"testdata/logits.py", string(ids)}
	var dirs []string
	for _, f := range forms {
		dir := t.TempDir()
		if err := Write(dir, f.c); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		dirs = append(dirs, dir)
	}
	if out, err := exec.CommandContext(t.Context(), testenv.Python(t, "onnxruntime"), append(args, dirs...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for i, f := range forms {
		want := Reference(f.c, prompt)
		for file, want := range map[string][][]float32{"whole": want, "steps": want, "last": want[len(want)-1:]} {
			got := readRows(t, filepath.Join(dirs[i], file+".f32"))
			if len(got) != len(want) {
				t.Fatalf("%s, %s: %d rows of logits, want %d", f.name, file, len(got), len(want))
			}
			largest, sum := 0.0, 0.0
			for p := range want {
				for v := range want[p] {
					d := math.Abs(float64(got[p][v]) - float64(want[p][v]))
					if !(d < math.Inf(1)) {
						t.Fatalf("%s, %s: position %d, token %d: %v", f.name, file, p, v, got[p][v])
					}
					largest, sum = max(largest, d), sum+d*d
				}
			}
			rms := math.Sqrt(sum / float64(len(want)*Vocab))
			if largest > f.largest || rms > f.rms {
				t.Errorf("%s, %s: differs by %.2g at most, %.2g in the mean; allowed %.2g and %.2g", f.name, file, largest, rms, f.largest, f.rms)
			}
		}
	}
}

func readRows(t *testing.T, path string) [][]float32 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []float32
	for ; len(b) >= 4; b = b[4:] {
		all = append(all, math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return slices.Collect(slices.Chunk(all, Vocab))
}

// TestReferenceIsCausal: a later token changes nothing before it, and each token changes its own row.
func TestReferenceIsCausal(t *testing.T) {
	a := Reference(Config{}, prompt)
	changed := slices.Clone(prompt)
	changed[5] = 65
	b := Reference(Config{}, changed)
	for p := range a {
		if same := slices.Equal(a[p], b[p]); same != (p < 5) {
			t.Errorf("position %d: equal is %v after a change at 5", p, same)
		}
	}
	if c := Reference(Config{Seed: 1}, prompt); slices.Equal(a[0], c[0]) {
		t.Error("two seeds make the same model")
	}
}

// TestWriteIsReproducible: the same configuration gives the same bytes.
func TestWriteIsReproducible(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	for _, dir := range []string{a, b} {
		if err := Write(dir, Config{Bits: 4, Tied: true}); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(a)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		x, err := os.ReadFile(filepath.Join(a, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		y, err := os.ReadFile(filepath.Join(b, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(x, y) {
			t.Errorf("%s differs", e.Name())
		}
	}
	want := []string{
		"chat_template.jinja", "config.json", "genai_config.json", "generation_config.json", llama.GraphFile, llama.DataFile,
		"tokenizer.json", "tokenizer_config.json",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// TestTiedBytesAreStoredOnce: head and embedding of a tied model point to the same place in the external file.
func TestTiedBytesAreStoredOnce(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir, Config{Bits: 8, Tied: true}); err != nil {
		t.Fatal(err)
	}
	m, err := graph.ReadFile(filepath.Join(dir, llama.GraphFile))
	if err != nil {
		t.Fatal(err)
	}
	table, head := m.Graph.Initializer("model.embed_tokens.table"), m.Graph.Initializer("model.embed_tokens.weight")
	if table == nil || head == nil {
		t.Fatal("no embedding or no head")
	}
	if diff := cmp.Diff(table.External, head.External); diff != "" {
		t.Errorf("(-embedding +head):\n%s", diff)
	}
}
