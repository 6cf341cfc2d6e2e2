package convert_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ortserve/internal/testenv"
	"ortserve/models"
	"ortserve/models/convert"
)

const checkpoints = "testdata/checkpoints" // make.py beside them made them

// expected is what transformers answers in float32.
type expected struct {
	Steps   int     `json:"steps"`
	Stops   []int32 `json:"stops"`
	Prompts []*expectedAnswer
	Chats   []*expectedAnswer
}

type expectedAnswer struct {
	Prompt  string       `json:"prompt"`
	IDs     []int        `json:"ids"`
	Greedy  []int        `json:"greedy"`
	Margins []float64    `json:"margins"`
	Top     [][2]float64 `json:"top"`
}

func readExpected(t *testing.T, dir string) expected {
	t.Helper()
	var e expected
	readJSON(t, filepath.Join(dir, "expected.json"), &e)
	e.Prompts = append(e.Prompts, e.Chats...)
	return e
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

// answer is what Python's onnxruntime makes of a prompt.
type answer struct {
	IDs    []int     `json:"ids"`
	Logits []float64 `json:"logits"`
}

// greedy continues the prompts over each of the models.
func greedy(t *testing.T, steps int, dirs []string, prompts [][][]int) [][]answer {
	t.Helper()
	args := []string{filepath.Join("testdata", "greedy.py")}
	for i, dir := range dirs {
		b, err := json.Marshal(map[string]any{"dir": dir, "prompts": prompts[i], "steps": steps})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), fmt.Sprintf("%d.json", i))
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	if out, err := exec.CommandContext(t.Context(), testenv.Python(t, "onnxruntime"), args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	all := make([][]answer, len(dirs))
	for i := range dirs {
		readJSON(t, args[i+1]+".out", &all[i])
	}
	return all
}

// TestCheckpoints imports Hugging Face folders of each architecture and compares with transformers: in float32 the same ids and
// logits, also where the columns of matrices are multiplied as for 4 bits, in float16 the same ids where no two tokens are close, and in 4 and 8 bits logits that are near.
func TestCheckpoints(t *testing.T) {
	const balanced = "float32, balanced"
	forms := []struct {
		name    string
		o       convert.Options
		largest float64 // difference of the five largest logits, which are about 7
		margin  float64 // ids are compared up to a step where the two largest logits are closer
	}{
		{"float32", convert.Options{Bits: 32}, 1e-3, 0},
		{balanced, convert.Options{}, 1e-3, 0},
		{"float16", convert.Options{Bits: 16, Float16: true}, 0.15, 0.05},
		{"8 bits", convert.Options{Bits: 8, Block: 32}, 1, math.Inf(1)},
		{"8 bits, float16", convert.Options{Bits: 8, Float16: true}, 1, math.Inf(1)},
		{"4 bits, edges in 8", convert.Options{Bits: 4, HeadBits: 8, EdgeBits: 8}, 1, math.Inf(1)},
	}
	var dirs, labels []string
	var prompts [][][]int
	var want []expected
	var of []int
	for _, name := range []string{"llama", "llama-tied", "qwen2", "qwen3", "mistral"} {
		source := filepath.Join(checkpoints, name)
		e := readExpected(t, source)
		for i, f := range forms {
			dir := filepath.Join(t.TempDir(), "m")
			var err error
			if f.name == balanced {
				err = convert.ImportBalanced(t.Context(), source, dir)
			} else {
				_, err = convert.Import(t.Context(), source, dir, f.o)
			}
			if err != nil {
				t.Fatal(err)
			}
			var ids [][]int
			for _, p := range e.Prompts {
				ids = append(ids, p.IDs)
			}
			dirs, labels = append(dirs, dir), append(labels, name+" in "+f.name)
			prompts, want, of = append(prompts, ids), append(want, e), append(of, i)
		}
		checkDescription(t, source, dirs[len(dirs)-1], e)
	}
	for i, answers := range greedy(t, want[0].Steps, dirs, prompts) {
		f := forms[of[i]]
		compared := 0
		for j, a := range answers {
			p := want[i].Prompts[j]
			for _, top := range p.Top {
				if d := math.Abs(a.Logits[int(top[0])] - top[1]); !(d <= f.largest) {
					t.Errorf("%s, prompt %d: the logit of %v is %.4f, not %.4f", labels[i], j, top[0], a.Logits[int(top[0])], top[1])
				}
			}
			close := slices.IndexFunc(p.Margins, func(m float64) bool { return m < f.margin })
			if close < 0 {
				close = len(p.Margins)
			}
			compared += close
			if diff := cmp.Diff(p.Greedy[:close], a.IDs[:close]); diff != "" {
				t.Errorf("%s, prompt %d (-want +got):\n%s", labels[i], j, diff)
			}
		}
		t.Logf("%s: %d of %d ids compared", labels[i], compared, len(answers)*want[i].Steps)
	}
}

// checkDescription: what the store and onnxruntime-genai read of the model.
func checkDescription(t *testing.T, source, dir string, e expected) {
	t.Helper()
	m, err := models.Describe(dir)
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Type string `json:"model_type"`
	}
	readJSON(t, filepath.Join(source, "config.json"), &c)
	got := []any{m.Architecture, m.ContextLength, m.Vocab, m.Layers, m.Heads, m.KVHeads, m.Hidden, slices.Sorted(slices.Values(m.EOS)), *m.Generation.Temperature}
	want := []any{c.Type, 2048, 512, 2, 4, 2, 64, slices.Sorted(slices.Values(e.Stops)), 0.6}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", source, diff)
	}
	for _, name := range []string{"config.json", "tokenizer.json", "chat_template.jinja"} {
		want, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != string(want) {
			t.Errorf("%s of %s is not the source's (%v)", name, dir, err)
		}
	}
}

// folder copies a checkpoint, to be changed.
func folder(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(checkpoints, name))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// setConfig changes a key of config.json; nil removes it.
func setConfig(t *testing.T, dir, key string, v any) {
	t.Helper()
	path := filepath.Join(dir, "config.json")
	all := map[string]any{}
	readJSON(t, path, &all)
	if all[key] = v; v == nil {
		delete(all, key)
	}
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestFolderRefuses: whatever would change the answers and is not understood is named.
func TestFolderRefuses(t *testing.T) {
	f := func(want, name string, change func(dir string)) {
		t.Helper()
		dir, dst := folder(t, name), filepath.Join(t.TempDir(), "m")
		change(dir)
		_, err := convert.Import(t.Context(), dir, dst, convert.Options{})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("error %v, want one with the folder and %q", err, want)
		}
		if _, err := os.Stat(dst); err == nil {
			t.Errorf("%s: a directory is there", want)
		}
	}
	config := func(want, name, key string, v any) {
		t.Helper()
		f(want, name, func(dir string) { setConfig(t, dir, key, v) })
	}
	remove := func(name string) func(dir string) {
		return func(dir string) { os.Remove(filepath.Join(dir, name)) }
	}
	config(`models of type "gemma2" are not supported`, "llama", "model_type", "gemma2")
	config(`architecture "LlamaForSequenceClassification"`, "llama", "architectures", []string{"LlamaForSequenceClassification"})
	config("own code (auto_map)", "llama", "auto_map", map[string]string{"AutoModelForCausalLM": "modeling.Model"})
	config("quantized already", "llama", "quantization_config", map[string]any{"quant_method": "gptq"})
	config(`hidden_act is "gelu"`, "llama", "hidden_act", "gelu")
	config("mlp_bias", "llama", "mlp_bias", true)
	config("partial_rotary_factor is 0.5", "llama", "partial_rotary_factor", 0.5)
	config(`rope scaling of type "dynamic"`, "llama", "rope_scaling", map[string]any{"rope_type": "dynamic", "factor": 2.0})
	config(`rope scaling of type "longrope"`, "llama", "rope_scaling", map[string]any{"type": "longrope"})
	config("linear rope scaling without a factor", "llama", "rope_scaling", map[string]any{"type": "linear"})
	config("yarn rope scaling", "qwen2", "rope_scaling", map[string]any{"type": "yarn", "factor": -1.0})
	config("truncate", "qwen2", "rope_scaling", map[string]any{"type": "yarn", "factor": 2.0, "truncate": false})
	config("num_key_value_heads", "qwen2", "num_key_value_heads", nil)
	config("head_dim", "qwen3", "head_dim", nil)
	config("hidden size is 0", "llama", "hidden_size", nil)
	config("sliding_window is -1", "mistral", "sliding_window", -1)
	config("layer_types has 1", "mistral", "layer_types", []string{"full_attention"})
	config(`layer 0 is of type "chunked_attention"`, "mistral", "layer_types", []string{"chunked_attention", "full_attention"})
	config(`tensor "model.layers.0.self_attn.q_proj.bias" is missing`, "llama", "attention_bias", true)
	config(`tensor "model.layers.1.input_layernorm.weight" is not known`, "llama", "num_hidden_layers", 1)
	config(`tensor "lm_head.weight" is missing`, "llama-tied", "tie_word_embeddings", false)
	config("has the shape [128 64], [96 64] is expected", "llama", "intermediate_size", 96)
	f("holds no config.json", "llama", remove("config.json"))
	f("holds no tokenizer.json", "llama", remove("tokenizer.json"))
	f("holds neither model.safetensors nor", "llama", remove("model.safetensors"))
	f("a pickle may run code", "llama", func(dir string) {
		if err := os.Rename(filepath.Join(dir, "model.safetensors"), filepath.Join(dir, "pytorch_model.bin")); err != nil {
			t.Fatal(err)
		}
	})
	f("config.json is damaged", "llama", func(dir string) {
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte("{"), 0o644); err != nil {
			t.Fatal(err)
		}
	})
}
