package onnx

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ortserve/internal/testenv"
	"ortserve/models"
	"ortserve/onnx/graph"
	"ortserve/tokenize"
)

// damage spoils a model directory. It returns the file that the error must name.
type damage struct {
	what string
	// sure says that no server could serve what is left. Otherwise a damage may be one that nobody can see, such as another weight.
	sure bool
	do   func(t *testing.T, dir string, r *rand.Rand) string
}

var damages = []damage{
	{"no data file", true, func(t *testing.T, dir string, _ *rand.Rand) string {
		remove(t, dir, "model.onnx.data")
		return "model.onnx.data"
	}},
	{"a data file cut short", true, func(t *testing.T, dir string, r *rand.Rand) string {
		cut(t, dir, "model.onnx.data", r)
		return "model.onnx.data"
	}},
	{"a graph cut short", true, func(t *testing.T, dir string, r *rand.Rand) string {
		cut(t, dir, "model.onnx", r)
		return "model.onnx"
	}},
	{"no graph", true, func(t *testing.T, dir string, _ *rand.Rand) string {
		remove(t, dir, "model.onnx")
		return "model.onnx"
	}},
	{"a folder instead of a file", true, func(t *testing.T, dir string, r *rand.Rand) string {
		name := []string{"model.onnx", "model.onnx.data", "tokenizer.json", "genai_config.json"}[r.IntN(4)]
		remove(t, dir, name)
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		return name
	}},
	{"a link that leads nowhere", true, func(t *testing.T, dir string, r *rand.Rand) string {
		name := []string{"model.onnx", "model.onnx.data", "tokenizer.json"}[r.IntN(3)]
		remove(t, dir, name)
		link(t, filepath.Join(dir, "..", "nothing"), filepath.Join(dir, name))
		return name
	}},
	{"data behind a link that leads out", true, func(t *testing.T, dir string, _ *rand.Rand) string {
		outside := filepath.Join(t.TempDir(), "weights")
		if err := os.Rename(filepath.Join(dir, "model.onnx.data"), outside); err != nil {
			t.Fatal(err)
		}
		link(t, outside, filepath.Join(dir, "model.onnx.data"))
		return "model.onnx"
	}},
	{"data outside of the folder", true, func(t *testing.T, dir string, r *rand.Rand) string {
		where := []string{"../model.onnx.data", "/etc/passwd", "a/../../x", `..\x`, "C:/x"}[r.IntN(5)]
		rewrite(t, dir, func(g *graph.Graph) { external(g, r).Location = where })
		return "model.onnx"
	}},
	{"data beyond the file's end", true, func(t *testing.T, dir string, r *rand.Rand) string {
		rewrite(t, dir, func(g *graph.Graph) { external(g, r).Offset += int64(1+r.IntN(1000)) * 4096 })
		return "model.onnx"
	}},
	{"another shape of the logits or the cache", true, func(t *testing.T, dir string, r *rand.Rand) string {
		rewrite(t, dir, func(g *graph.Graph) {
			v := g.Outputs[r.IntN(len(g.Outputs))]
			v.Shape = v.Shape[:r.IntN(len(v.Shape))]
		})
		return "model.onnx"
	}},
	{"other heads of the cache", true, func(t *testing.T, dir string, r *rand.Rand) string {
		rewrite(t, dir, func(g *graph.Graph) {
			for _, v := range g.Inputs {
				if strings.HasPrefix(v.Name, "past") {
					v.Shape[1].Value = int64(3 + r.IntN(1<<20))
				}
			}
		})
		return "model.onnx"
	}},
	{"an input of another type or name", true, func(t *testing.T, dir string, r *rand.Rand) string {
		rewrite(t, dir, func(g *graph.Graph) {
			v := g.Inputs[r.IntN(len(g.Inputs))]
			if r.IntN(2) == 0 {
				v.Name += "x"
			} else {
				v.Type = graph.Float64
			}
		})
		return "model.onnx"
	}},
	{"a weight of another shape", true, func(t *testing.T, dir string, r *rand.Rand) string {
		rewrite(t, dir, func(g *graph.Graph) {
			for {
				w := g.Initializers[r.IntN(len(g.Initializers))]
				if w.External != nil && len(w.Dims) > 1 {
					w.Dims = append([]int64{2}, w.Dims...)
					return
				}
			}
		})
		return "model.onnx"
	}},
	{"a description cut short", true, func(t *testing.T, dir string, r *rand.Rand) string {
		name := []string{"genai_config.json", "tokenizer.json", "tokenizer_config.json"}[r.IntN(3)]
		cut(t, dir, name, r)
		return name
	}},
	{"a description with another number", true, func(t *testing.T, dir string, r *rand.Rand) string {
		path := filepath.Join(dir, "genai_config.json")
		var c struct {
			Model  map[string]any `json:"model"`
			Search map[string]any `json:"search"`
		}
		b, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(b, &c)
		}
		if err != nil {
			t.Fatal(err)
		}
		decoder := c.Model["decoder"].(map[string]any)
		switch r.IntN(4) {
		case 0:
			c.Model["context_length"] = -r.IntN(1000)
		case 1:
			decoder["num_key_value_heads"] = "two"
		case 2:
			decoder["head_size"] = 1 << (8 + r.IntN(40)) // the graph leaves it open
		default:
			c.Model["eos_token_id"] = 512 + r.IntN(1000)
		}
		if b, err = json.Marshal(c); err == nil {
			err = os.WriteFile(path, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return ""
	}},
	{"bytes of the graph", false, func(t *testing.T, dir string, r *rand.Rand) string {
		flip(t, filepath.Join(dir, "model.onnx"), r)
		return ""
	}},
	{"bytes of the weights", false, func(t *testing.T, dir string, r *rand.Rand) string {
		flip(t, filepath.Join(dir, "model.onnx.data"), r)
		return ""
	}},
	{"bytes of the tokenizer", false, func(t *testing.T, dir string, r *rand.Rand) string {
		flip(t, filepath.Join(dir, "tokenizer.json"), r)
		return ""
	}},
}

// TestDamaged opens model directories that were damaged. Each gives an error that names the file, and never ends the process.
func TestDamaged(t *testing.T) {
	if _, err := Load(testenv.Runtime(t)); err != nil {
		t.Fatal(err)
	}
	rounds := 30 // 540 directories
	if testing.Short() {
		rounds = 5
	}
	from := filepath.Join(testenv.Graphs(t), "genai-llama-int4")
	if err := openDirectory(from); err != nil {
		t.Fatalf("undamaged: %v", err)
	}
	refused, opened := 0, 0
	for round := range rounds {
		for i, d := range damages {
			r := rand.New(rand.NewPCG(uint64(round), uint64(i)))
			dir := filepath.Join(t.TempDir(), "model")
			if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
				t.Fatal(err)
			}
			file := d.do(t, dir, r)
			err := openDirectory(dir)
			switch {
			case err == nil && d.sure:
				t.Errorf("round %d, %s: opened", round, d.what)
			case err == nil:
				opened++
			case !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "model file ") && !strings.Contains(err.Error(), ".onnx") && !strings.Contains(err.Error(), ".json"):
				t.Errorf("round %d, %s: %v, want it to name %q", round, d.what, err, file)
			default:
				refused++
				if round == 0 {
					t.Logf("%s: %v", d.what, err)
				}
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d directories refused, %d opened", refused, opened)
}

// openDirectory does what the server does to load a model.
func openDirectory(dir string) error {
	m, err := models.Describe(dir)
	if err != nil {
		return err
	}
	if _, err := tokenize.Load(dir); err != nil {
		return err
	}
	c, err := Inspect(m.Graph, Hints{KVHeads: m.KVHeads, HeadSize: m.HeadSize, Vocab: m.Vocab, Inputs: m.Inputs, Outputs: m.Outputs})
	if err != nil {
		return err
	}
	if n := c.SlotBytes(256); n > 1<<30 { // the server refuses it for its memory, and names the flag
		return fmt.Errorf("%s: a slot takes %d bytes", m.Graph, n)
	}
	s, err := Open(m.Graph, c, Options{Threads: 1, Slots: 2, MaxLen: 64, Chunk: 32})
	if err != nil {
		return err
	}
	return s.Close()
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, at string) {
	t.Helper()
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}

// cut leaves a part of a file: at least one byte is missing, and more than a final line's end.
func cut(t *testing.T, dir, name string, r *rand.Rand) {
	t.Helper()
	path := filepath.Join(dir, name)
	st, err := os.Stat(path)
	if err == nil {
		err = os.Truncate(path, r.Int64N(st.Size()-2))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// flip changes some bytes of a file.
func flip(t *testing.T, path string, r *rand.Rand) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 1 + r.IntN(8) {
		b[r.IntN(len(b))] = byte(r.IntN(256))
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// rewrite changes the graph.
func rewrite(t *testing.T, dir string, change func(*graph.Graph)) {
	t.Helper()
	path := filepath.Join(dir, "model.onnx")
	m, err := graph.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	change(m.Graph)
	if err := m.WriteFile(path); err != nil {
		t.Fatal(err)
	}
}

// external returns where one of the weights lies.
func external(g *graph.Graph, r *rand.Rand) *graph.External {
	for {
		if w := g.Initializers[r.IntN(len(g.Initializers))]; w.External != nil {
			return w.External
		}
	}
}
