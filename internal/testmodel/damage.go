package testmodel

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ortserve/onnx/graph"
)

// Damage is a way to spoil a model directory that onnxruntime-genai's builder wrote.
type Damage struct {
	What string
	// Sure says that no server could serve what is left. Otherwise a damage may be one that nobody can see, such as another weight.
	Sure bool
	// Do spoils dir. It returns the file that the error must name, "" where it may be any.
	Do func(t testing.TB, dir string, r *rand.Rand) string
}

// Damages are those that loading must find, or survive.
var Damages = []Damage{
	{"no data file", true, func(t testing.TB, dir string, _ *rand.Rand) string {
		remove(t, dir, "model.onnx.data")
		return "model.onnx.data"
	}},
	{"a data file cut short", true, func(t testing.TB, dir string, r *rand.Rand) string {
		cut(t, dir, "model.onnx.data", r)
		return "model.onnx.data"
	}},
	{"a graph cut short", true, func(t testing.TB, dir string, r *rand.Rand) string {
		cut(t, dir, "model.onnx", r)
		return "model.onnx"
	}},
	{"no graph", true, func(t testing.TB, dir string, _ *rand.Rand) string {
		remove(t, dir, "model.onnx")
		return "model.onnx"
	}},
	{"a folder instead of a file", true, func(t testing.TB, dir string, r *rand.Rand) string {
		name := []string{"model.onnx", "model.onnx.data", "tokenizer.json", "genai_config.json"}[r.IntN(4)]
		remove(t, dir, name)
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		return name
	}},
	{"a link that leads nowhere", true, func(t testing.TB, dir string, r *rand.Rand) string {
		name := []string{"model.onnx", "model.onnx.data", "tokenizer.json"}[r.IntN(3)]
		remove(t, dir, name)
		link(t, filepath.Join(dir, "..", "nothing"), filepath.Join(dir, name))
		return name
	}},
	{"data behind a link that leads out", true, func(t testing.TB, dir string, _ *rand.Rand) string {
		outside := filepath.Join(t.TempDir(), "weights")
		if err := os.Rename(filepath.Join(dir, "model.onnx.data"), outside); err != nil {
			t.Fatal(err)
		}
		link(t, outside, filepath.Join(dir, "model.onnx.data"))
		return "model.onnx"
	}},
	{"data outside of the folder", true, func(t testing.TB, dir string, r *rand.Rand) string {
		where := []string{"../model.onnx.data", "/etc/passwd", "a/../../x", `..\x`, "C:/x"}[r.IntN(5)]
		rewrite(t, dir, func(g *graph.Graph) { external(g, r).Location = where })
		return "model.onnx"
	}},
	{"data beyond the file's end", true, func(t testing.TB, dir string, r *rand.Rand) string {
		rewrite(t, dir, func(g *graph.Graph) { external(g, r).Offset += int64(1+r.IntN(1000)) * 4096 })
		return "model.onnx"
	}},
	{"another shape of the logits or the cache", true, func(t testing.TB, dir string, r *rand.Rand) string {
		rewrite(t, dir, func(g *graph.Graph) {
			v := g.Outputs[r.IntN(len(g.Outputs))]
			v.Shape = v.Shape[:r.IntN(len(v.Shape))]
		})
		return "model.onnx"
	}},
	{"other heads of the cache", true, func(t testing.TB, dir string, r *rand.Rand) string {
		rewrite(t, dir, func(g *graph.Graph) {
			for _, v := range g.Inputs {
				if strings.HasPrefix(v.Name, "past") {
					v.Shape[1].Value = int64(3 + r.IntN(1<<20))
				}
			}
		})
		return "model.onnx"
	}},
	{"an input of another type or name", true, func(t testing.TB, dir string, r *rand.Rand) string {
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
	{"a weight of another shape", true, func(t testing.TB, dir string, r *rand.Rand) string {
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
	{"a description cut short", true, func(t testing.TB, dir string, r *rand.Rand) string {
		name := []string{"genai_config.json", "tokenizer.json", "tokenizer_config.json"}[r.IntN(3)]
		cut(t, dir, name, r)
		return name
	}},
	{"a description with another number", true, func(t testing.TB, dir string, r *rand.Rand) string {
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
	{"bytes of the graph", false, func(t testing.TB, dir string, r *rand.Rand) string {
		flip(t, filepath.Join(dir, "model.onnx"), r)
		return ""
	}},
	{"bytes of the weights", false, func(t testing.TB, dir string, r *rand.Rand) string {
		flip(t, filepath.Join(dir, "model.onnx.data"), r)
		return ""
	}},
	{"bytes of the tokenizer", false, func(t testing.TB, dir string, r *rand.Rand) string {
		flip(t, filepath.Join(dir, "tokenizer.json"), r)
		return ""
	}},
}

func remove(t testing.TB, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func link(t testing.TB, to, at string) {
	t.Helper()
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}

// cut leaves a part of a file: at least one byte is missing, and more than a final line's end.
func cut(t testing.TB, dir, name string, r *rand.Rand) {
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
func flip(t testing.TB, path string, r *rand.Rand) {
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
func rewrite(t testing.TB, dir string, change func(*graph.Graph)) {
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
