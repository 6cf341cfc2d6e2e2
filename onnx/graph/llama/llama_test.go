package llama

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ortserve/onnx/graph"
	"ortserve/onnx/graph/nbits"
)

func shape() Config {
	return Config{
		Layers: 2, Hidden: 32, Heads: 2, KVHeads: 1, HeadSize: 16, Intermediate: 64, Vocab: 40, Positions: 24,
		Epsilon: 1e-5, Rope: Rope{Base: 10000}, AccuracyLevel: 4,
	}
}

// zeros takes room for the weights of a model, all zero.
func zeros(t *testing.T, d *graph.DataFile, c Config, f nbits.Format, tied bool) Weights {
	t.Helper()
	matrix := func(name string, n, k int) *nbits.Matrix {
		m, err := nbits.Create(d, name, f, n, k)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	norm := func(name string) *graph.Tensor {
		x, _, err := d.Tensor(name, graph.Float32, int64(c.Hidden))
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	w := Weights{Embedding: matrix("embedding", c.Vocab, c.Hidden), Norm: norm("norm")}
	w.Head = w.Embedding
	if !tied {
		w.Head = matrix("head", c.Vocab, c.Hidden)
	}
	for i := range c.Layers {
		p := LayerName(i)
		w.Layers = append(w.Layers, Layer{
			InputNorm: norm(p + "a"), QKV: matrix(p+"qkv", c.QKVRows(), c.Hidden), Output: matrix(p+"o", c.Hidden, c.Heads*c.HeadSize), PostNorm: norm(p + "b"),
			Gate: matrix(p+"gate", c.Intermediate, c.Hidden), Up: matrix(p+"up", c.Intermediate, c.Hidden), Down: matrix(p+"down", c.Hidden, c.Intermediate),
		})
	}
	var err error
	if w.Cos, w.Sin, err = c.WriteRotary(d); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestGraphIsWhole: every value is made once and before it is used, and every initializer is used.
func TestGraphIsWhole(t *testing.T) {
	f := func(format nbits.Format, tied bool) {
		t.Helper()
		d, err := graph.CreateData(filepath.Join(t.TempDir(), DataFile))
		if err != nil {
			t.Fatal(err)
		}
		c := shape()
		m, err := Build(c, zeros(t, d, c, format, tied))
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		made, used := map[string]bool{"": true}, map[string]bool{}
		add := func(name string) {
			if made[name] && name != "" {
				t.Errorf("%v: %q is made twice", format, name)
			}
			made[name] = true
		}
		for _, x := range m.Graph.Initializers {
			add(x.Name)
		}
		for _, in := range m.Graph.Inputs {
			if m.Graph.Initializer(in.Name) == nil {
				add(in.Name)
			}
		}
		for _, n := range m.Graph.Nodes {
			for _, in := range n.Inputs {
				if used[in] = true; !made[in] {
					t.Errorf("%v: %s uses %q before it is made", format, n.Name, in)
				}
			}
			for _, out := range n.Outputs {
				add(out)
			}
		}
		for _, x := range m.Graph.Initializers {
			if !used[x.Name] {
				t.Errorf("%v: nothing uses %q", format, x.Name)
			}
		}
		for _, out := range m.Graph.Outputs {
			if !made[out.Name] {
				t.Errorf("%v: nothing makes the output %q", format, out.Name)
			}
		}
	}
	for _, tied := range []bool{false, true} {
		f(nbits.Format{Bits: 4, Block: 32}, tied)
		f(nbits.Format{Bits: 8, Block: 16, Symmetric: true}, tied)
		f(nbits.Format{Bits: 32}, tied)
	}
}

// TestContract: names, types and shapes of what goes in and out.
func TestContract(t *testing.T) {
	d, err := graph.CreateData(filepath.Join(t.TempDir(), DataFile))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	c := shape()
	c.Layers = 1
	m, err := Build(c, zeros(t, d, c, nbits.Format{Bits: 4, Block: 32}, false))
	if err != nil {
		t.Fatal(err)
	}
	past := func(side string) *graph.ValueInfo {
		return graph.Value("past_key_values.0."+side, graph.Float32, "batch_size", 1, "past_sequence_length", 16)
	}
	present := func(side string) *graph.ValueInfo {
		return graph.Value("present.0."+side, graph.Float32, "batch_size", 1, "present_sequence_length", 16)
	}
	want := []*graph.ValueInfo{
		graph.Value("input_ids", graph.Int64, "batch_size", "sequence_length"),
		graph.Value("attention_mask", graph.Int64, "batch_size", "total_sequence_length"),
		past("key"), past("value"),
		graph.Value("num_logits_to_keep", graph.Int64, 1),
	}
	if diff := cmp.Diff(want, m.Graph.Inputs); diff != "" {
		t.Errorf("inputs (-want +got):\n%s", diff)
	}
	want = []*graph.ValueInfo{graph.Value("logits", graph.Float32, "batch_size", 1, 40), present("key"), present("value")}
	if diff := cmp.Diff(want, m.Graph.Outputs); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
	if cos := m.Graph.Initializer("cos_cache"); !cmp.Equal(cos.Dims, []int64{25, 8}) {
		t.Errorf("the rotary table is %v, one row more than positions is wanted", cos.Dims)
	}
}

func TestCheck(t *testing.T) {
	f := func(want string, change func(c *Config)) {
		t.Helper()
		c := shape()
		change(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	f("number of layers is 0", func(c *Config) { c.Layers = 0 })
	f("vocabulary size is", func(c *Config) { c.Vocab = 1 << 30 })
	f("2 heads cannot share 3", func(c *Config) { c.KVHeads = 3 })
	f("head size of 24", func(c *Config) { c.HeadSize = 24 })
	f("epsilon is NaN", func(c *Config) { c.Epsilon = float32(math.NaN()) })
	f("rope base is 0", func(c *Config) { c.Rope.Base = 0 })
	f("rope scaling factor is -1", func(c *Config) { c.Rope.Linear = -1 })
	f("3 rope factors for 8", func(c *Config) { c.Rope.Factors = make([]float32, 3) })
	f("rope factor 0 is 0", func(c *Config) { c.Rope.Factors = make([]float32, 8) })
	f("llama3 rope scaling", func(c *Config) { c.Rope.Llama3 = &Llama3{Factor: 8, LowFreq: 4, HighFreq: 1, Original: 8192} })
	if err := shape().Check(); err != nil {
		t.Error(err)
	}
}

func TestDescription(t *testing.T) {
	dir := t.TempDir()
	c := shape()
	c.Rope.Llama3 = &Llama3{Factor: 8, LowFreq: 1, HighFreq: 4, Original: 8192}
	temperature := 0.6
	d := Description{BOS: -1, Pad: -1, EOS: []int{7, 9}, Tied: true, Sampling: Sampling{Temperature: &temperature}}
	if err := c.WriteDescription(dir, d); err != nil {
		t.Fatal(err)
	}
	read := func(name string) map[string]any {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		var v map[string]any
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	want := map[string]any{
		"bos_token_id": nil, "eos_token_id": []any{7.0, 9.0}, "pad_token_id": nil, "do_sample": true, "temperature": 0.6,
	}
	if diff := cmp.Diff(want, read("generation_config.json")); diff != "" {
		t.Errorf("generation_config.json (-want +got):\n%s", diff)
	}
	config := read("config.json")
	want = map[string]any{
		"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192.0,
	}
	if diff := cmp.Diff(want, config["rope_scaling"]); diff != "" {
		t.Errorf("rope_scaling (-want +got):\n%s", diff)
	}
	if config["rms_norm_eps"] != 1e-5 || config["head_dim"] != 16.0 || config["tie_word_embeddings"] != true || config["model_type"] != "llama" {
		t.Errorf("config.json: %v", config)
	}
	genai := read("genai_config.json")
	model, search := genai["model"].(map[string]any), genai["search"].(map[string]any)
	decoder := model["decoder"].(map[string]any)
	got := []any{model["type"], model["context_length"], model["pad_token_id"], decoder["head_size"], decoder["filename"], search["past_present_share_buffer"], search["temperature"]}
	if diff := cmp.Diff([]any{"llama", 24.0, 7.0, 16.0, "model.onnx", true, 0.6}, got); diff != "" {
		t.Errorf("genai_config.json (-want +got):\n%s", diff)
	}
}
