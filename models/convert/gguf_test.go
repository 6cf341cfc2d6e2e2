package convert_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ortserve/internal/testmodel"
	"ortserve/models/convert"
	"ortserve/models/convert/safetensors"
)

// ggufOf makes the GGUF file that llama.cpp's converter would make of a checkpoint: other names, pairs of rows side by side in
// Llama's query and key matrices, bfloat16 as it is.
func ggufOf(t *testing.T, dir string) *testmodel.GGUF {
	t.Helper()
	var c struct {
		Type         string  `json:"model_type"`
		Layers       uint32  `json:"num_hidden_layers"`
		Hidden       uint32  `json:"hidden_size"`
		Heads        uint32  `json:"num_attention_heads"`
		KVHeads      uint32  `json:"num_key_value_heads"`
		HeadSize     *uint32 `json:"head_dim"`
		Intermediate uint32  `json:"intermediate_size"`
		Positions    uint32  `json:"max_position_embeddings"`
		Vocab        uint32  `json:"vocab_size"`
		Epsilon      float32 `json:"rms_norm_eps"`
		Theta        float32 `json:"rope_theta"`
		Window       *uint32 `json:"sliding_window"`
		Scaling      *struct {
			Factor, Low, High float32
			Original          uint32 `json:"original_max_position_embeddings"`
		} `json:"rope_scaling"`
	}
	readJSON(t, filepath.Join(dir, "config.json"), &c)
	arch, pre, headSize := c.Type, map[string]string{"llama": "llama-bpe", "qwen2": "qwen2", "qwen3": "qwen2", "mistral": "tekken"}[c.Type], c.Hidden/c.Heads
	if c.HeadSize != nil {
		headSize = *c.HeadSize
	}
	if arch == "mistral" {
		arch = "llama"
	}
	g := &testmodel.GGUF{Metadata: map[string]any{
		"general.architecture": arch,
	}}
	set := func(key string, v any) { g.Metadata[arch+"."+key] = v }
	set("context_length", c.Positions)
	set("embedding_length", c.Hidden)
	set("block_count", c.Layers)
	set("feed_forward_length", c.Intermediate)
	set("attention.head_count", c.Heads)
	set("attention.head_count_kv", c.KVHeads)
	set("attention.key_length", headSize)
	set("attention.value_length", headSize)
	set("attention.layer_norm_rms_epsilon", c.Epsilon)
	set("rope.freq_base", c.Theta)
	if c.Window != nil {
		set("attention.sliding_window", *c.Window)
	}
	if s := c.Scaling; s != nil {
		set("rope.scaling.type", "llama3")
		set("rope.scaling.factor", s.Factor)
		set("rope.scaling.low_freq_factor", float32(1))
		set("rope.scaling.high_freq_factor", float32(4))
		set("rope.scaling.original_context_length", s.Original)
	}
	folder, err := safetensors.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	rename := strings.NewReplacer(
		"model.embed_tokens", "token_embd", "model.norm", "output_norm", "lm_head", "output", "model.layers.", "blk.",
		"input_layernorm", "attn_norm", "post_attention_layernorm", "ffn_norm", "self_attn.q_proj", "attn_q", "self_attn.k_proj", "attn_k",
		"self_attn.v_proj", "attn_v", "self_attn.o_proj", "attn_output", "self_attn.q_norm", "attn_q_norm", "self_attn.k_norm", "attn_k_norm",
		"mlp.gate_proj", "ffn_gate", "mlp.up_proj", "ffn_up", "mlp.down_proj", "ffn_down",
	)
	for _, name := range folder.Names() {
		x := folder.Tensor(name)
		row := int(x.RowLength()) * 2
		data := make([]byte, int(x.Rows())*row)
		if err := x.Read(data, 0); err != nil {
			t.Fatal(err)
		}
		if arch == "llama" && (strings.Contains(name, "q_proj") || strings.Contains(name, "k_proj")) {
			turned, half := bytes.NewBuffer(nil), int(headSize)/2*row
			for head := data; len(head) > 0; head = head[2*half:] {
				for i := 0; i < half; i += row {
					turned.Write(head[i : i+row])
					turned.Write(head[half+i : half+i+row])
				}
			}
			data = turned.Bytes()
		}
		const bfloat16 = 30
		dims := []uint64{uint64(x.RowLength()), uint64(x.Rows())}
		g.Tensors = append(g.Tensors, testmodel.GGUFTensor{Name: rename.Replace(name), Dims: dims[:len(x.Shape)], Type: bfloat16, Data: data})
	}
	addTokens(t, g, dir, int(c.Vocab), pre)
	return g
}

// addTokens puts the folder's tokenizer into the file.
func addTokens(t *testing.T, g *testmodel.GGUF, dir string, vocab int, pre string) {
	t.Helper()
	var file struct {
		Added []struct {
			ID      int
			Content string
			Special bool
		} `json:"added_tokens"`
		Model struct {
			Vocab  map[string]int
			Merges []json.RawMessage
		}
		Post *struct {
			Processors []struct{ Type string }
		} `json:"post_processor"`
	}
	readJSON(t, filepath.Join(dir, "tokenizer.json"), &file)
	tokens, types := make([]string, vocab), make([]int32, vocab)
	for s, id := range file.Model.Vocab {
		tokens[id], types[id] = s, 1
	}
	for _, a := range file.Added {
		if tokens[a.ID], types[a.ID] = a.Content, 4; a.Special {
			types[a.ID] = 3
		}
	}
	var merges []string
	for _, raw := range file.Model.Merges {
		var pair [2]string
		if err := json.Unmarshal(raw, &pair); err != nil {
			t.Fatal(err)
		}
		merges = append(merges, pair[0]+" "+pair[1])
	}
	var names map[string]any
	readJSON(t, filepath.Join(dir, "tokenizer_config.json"), &names)
	for key, name := range map[string]string{"bos": "bos_token", "eos": "eos_token", "padding": "pad_token"} {
		for id, s := range tokens {
			if s == names[name] {
				g.Metadata["tokenizer.ggml."+key+"_token_id"] = uint32(id)
			}
		}
	}
	g.Metadata["tokenizer.ggml.model"], g.Metadata["tokenizer.ggml.pre"] = "gpt2", pre
	g.Metadata["tokenizer.ggml.tokens"], g.Metadata["tokenizer.ggml.token_type"], g.Metadata["tokenizer.ggml.merges"] = tokens, types, merges
}

// TestBothPaths: a checkpoint imported from its folder and from a GGUF file gives the same graph and the same weights, byte for
// byte, and the same tokens, in a form that keeps values and in one that rounds them.
func TestBothPaths(t *testing.T) {
	for _, name := range []string{"llama", "llama-tied", "qwen2", "qwen3", "mistral"} {
		source := filepath.Join(checkpoints, name)
		g := ggufOf(t, source)
		path := write(t, g)
		e := readExpected(t, source)
		for _, o := range []convert.Options{{Bits: 32}, {Bits: 4, Block: 32, HeadBits: 8}} {
			a, b := filepath.Join(t.TempDir(), "m"), filepath.Join(t.TempDir(), "m")
			if _, err := convert.Import(t.Context(), source, a, o); err != nil {
				t.Fatal(err)
			}
			r, err := convert.Import(t.Context(), path, b, o)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if r.Architecture != strings.TrimSuffix(name, "-tied") {
				t.Errorf("%s is of the architecture %s", name, r.Architecture)
			}
			for _, file := range []string{"model.onnx", "model.onnx.data"} {
				x, err := os.ReadFile(filepath.Join(a, file))
				if err != nil {
					t.Fatal(err)
				}
				y, err := os.ReadFile(filepath.Join(b, file))
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(x, y) {
					t.Errorf("%s, %+v: %s differs", name, o, file)
				}
			}
			if o.Bits != 32 {
				continue
			}
			var texts []string
			var want [][]int
			for _, p := range e.Prompts[:len(e.Prompts)-len(e.Chats)] {
				texts, want = append(texts, p.Prompt), append(want, p.IDs)
			}
			if diff := cmp.Diff(want, encode(t, b, texts...)); diff != "" {
				t.Errorf("%s: ids (-want +got):\n%s", name, diff)
			}
		}
	}
}
