package models

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// written returns a file of a model directory that an exporter wrote.
func written(from, file string) string {
	return filepath.Join("..", "internal", "testenv", "testdata", "graphs", from, file)
}

// directory copies what describes the model in an exporter's directory, without graph and tokenizer, and adds files (name -> contents; ""
// removes). It returns where.
func directory(t *testing.T, from string, add map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), from)
	for _, name := range []string{fileGenai, fileConfig, fileGeneration, fileTokenizerConfig, fileTemplate} {
		b, err := os.ReadFile(written(from, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, map[string]string{name: string(b)})
	}
	write(t, dir, map[string]string{"tokenizer.json": "{}"})
	write(t, dir, add)
	return dir
}

func write(t *testing.T, dir string, add map[string]string) {
	t.Helper()
	for name, contents := range add {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if contents == "" {
			if err := os.Remove(p); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(contents), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDescribe(t *testing.T) {
	f := func(from, graph string, want Model) {
		t.Helper()
		dir := directory(t, from, map[string]string{graph: "graph", graph + ".data": "weights"})
		got, err := Describe(dir)
		if err != nil {
			t.Errorf("%s: %v", from, err)
			return
		}
		want.Name, want.Dir, want.Graph = from+":latest", dir, filepath.Join(dir, filepath.FromSlash(graph))
		want.Family = want.Architecture
		template, err := os.ReadFile(written(from, fileTemplate))
		if err != nil {
			t.Fatal(err)
		}
		want.ChatTemplate = string(template)
		ignored := cmpopts.IgnoreFields(Model{}, "Digest", "Size", "Modified")
		if diff := cmp.Diff(&want, got, ignored); diff != "" {
			t.Errorf("%s (-want +got):\n%s", from, diff)
		}
	}
	inputs := map[string]string{
		"input_ids": "input_ids", "attention_mask": "attention_mask",
		"past_key_names": "past_key_values.%d.key", "past_value_names": "past_key_values.%d.value",
	}
	outputs := map[string]string{"logits": "logits", "present_key_names": "present.%d.key", "present_value_names": "present.%d.value"}
	sampling := Generation{
		DoSample: ptr(true), Temperature: ptr(0.6), TopK: ptr(50), TopP: ptr(0.9), RepetitionPenalty: ptr(1.0),
	}
	f("genai-llama-int4", "model.onnx", Model{
		Architecture: "llama", ContextLength: 2048, Vocab: 512, Layers: 2, Heads: 4, KVHeads: 2, HeadSize: 16, Hidden: 64,
		BOS: 500, EOS: []int32{501, 508, 509}, BOSToken: "<|begin_of_text|>", EOSToken: "<|eot_id|>",
		Generation: sampling, Inputs: inputs, Outputs: outputs,
	})
	// genai_config.json invents bos_token_id 1 for Qwen; tokenizer_config.json has none.
	f("genai-qwen3-fp32", "model.onnx", Model{
		Architecture: "qwen3", ContextLength: 2048, Vocab: 512, Layers: 2, Heads: 4, KVHeads: 2, HeadSize: 32, Hidden: 64,
		BOS: -1, EOS: []int32{507, 505}, EOSToken: "<|im_end|>", Generation: sampling, Inputs: inputs, Outputs: outputs,
	})
	f("genai-mistral-fp32-window", "model.onnx", Model{
		Architecture: "mistral", ContextLength: 2048, Vocab: 512, Layers: 2, Heads: 4, KVHeads: 2, HeadSize: 16, Hidden: 64,
		BOS: 1, EOS: []int32{2}, BOSToken: "<s>", EOSToken: "</s>", Generation: sampling, Inputs: inputs, Outputs: outputs,
	})
	// 2*512*64 embeddings and head, 2 layers of 2*64*64 + 2*64*32 + 3*64*128 + 2*64, a norm of 64: 139,584 weights.
	f("optimum-llama-q4", "onnx/model_q4.onnx", Model{
		Architecture: "llama", ContextLength: 2048, Vocab: 512, Layers: 2, Heads: 4, KVHeads: 2, HeadSize: 16, Hidden: 64,
		BOS: 500, EOS: []int32{501, 508, 509}, BOSToken: "<|begin_of_text|>", EOSToken: "<|eot_id|>",
		Generation:    Generation{DoSample: ptr(true), Temperature: ptr(0.6), TopP: ptr(0.9)},
		ParameterSize: "140K",
	})
}

func TestDescribeOldTokenizerConfig(t *testing.T) {
	f := func(config, wantTemplate, wantBOS string) {
		t.Helper()
		dir := directory(t, "genai-llama-int4", map[string]string{
			"model.onnx": "graph", "chat_template.jinja": "", "tokenizer_config.json": config,
		})
		m, err := Describe(dir)
		if err != nil {
			t.Errorf("%s: %v", config, err)
			return
		}
		if m.ChatTemplate != wantTemplate || m.BOSToken != wantBOS {
			t.Errorf("%s: template %q, begin %q, want %q, %q", config, m.ChatTemplate, m.BOSToken, wantTemplate, wantBOS)
		}
	}
	f(`{"chat_template":"{{ x }}","bos_token":{"content":"<s>","lstrip":false}}`, "{{ x }}", "<s>")
	f(`{"chat_template":[{"name":"tool_use","template":"no"},{"name":"default","template":"yes"}],"bos_token":"<b>"}`, "yes", "<b>")
	f(`{"chat_template":null,"bos_token":null}`, "", "")
}

func TestDescribeGraphChoice(t *testing.T) {
	f := func(want string, graphs ...string) {
		t.Helper()
		add := map[string]string{}
		for _, g := range graphs {
			add[g] = "graph"
		}
		dir := directory(t, "optimum-llama-q4", add)
		m, err := Describe(dir)
		if err != nil {
			t.Errorf("%v: %v", graphs, err)
			return
		}
		if got, _ := filepath.Rel(dir, m.Graph); filepath.ToSlash(got) != want {
			t.Errorf("%v: chose %s, want %s", graphs, got, want)
		}
	}
	f("model.onnx", "model.onnx", "onnx/model.onnx", "model_q4.onnx")
	f("onnx/model.onnx", "onnx/model.onnx", "model_q4.onnx")
	f("model_quantized.onnx", "model_fp16.onnx", "model_quantized.onnx")
	f("onnx/decoder.onnx", "onnx/decoder.onnx")
	f("onnx/decoder_model_merged.onnx", "onnx/decoder_model_merged.onnx", "onnx/decoder_model.onnx", "onnx/model_q4f16.onnx")
}

// TestDescribeFile: a path may name the graph itself.
func TestDescribeFile(t *testing.T) {
	dir := directory(t, "optimum-llama-q4", map[string]string{
		"model.onnx": "graph", "model_fp16.onnx": "graph", "onnx/model_q4.onnx": "graph", "deep/model.onnx": "graph",
	})
	for _, file := range []string{"model.onnx", "model_fp16.onnx", "onnx/model_q4.onnx"} {
		m, err := Describe(filepath.Join(dir, file))
		if err != nil {
			t.Error(err)
			continue
		}
		if m.Graph != filepath.Join(dir, file) || m.Dir != dir || m.Name != "optimum-llama-q4:latest" {
			t.Errorf("%s: %+v", file, m)
		}
	}
	if _, err := Describe(filepath.Join(dir, "deep", "model.onnx")); err == nil || !strings.Contains(err.Error(), "neither genai_config.json nor config.json") {
		t.Errorf("a graph without a description: %v", err)
	}
}

// Each damage gives an error that names the file and what is wrong with it.
func TestDescribeDamaged(t *testing.T) {
	f := func(from string, change map[string]string, want ...string) {
		t.Helper()
		add := map[string]string{"model.onnx": "graph"}
		for k, v := range change {
			if k == "model.onnx" {
				delete(add, k)
				if v == "" {
					continue
				}
			}
			add[k] = v
		}
		_, err := Describe(directory(t, from, add))
		if err == nil {
			t.Errorf("%v: no error, want %q", change, want)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%v: error %q does not say %q", change, err, w)
			}
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: error of several lines: %q", change, err)
		}
	}
	f("genai-llama-int4", map[string]string{"genai_config.json": ""}, "neither genai_config.json nor config.json")
	f("genai-llama-int4", map[string]string{"genai_config.json": `{"model":`}, "genai_config.json", "damaged", "unexpected end")
	f("genai-llama-int4", map[string]string{"genai_config.json": `{"model":{"type":"llama"}}`}, "genai_config.json", "does not say the context length")
	f("genai-llama-int4", map[string]string{"genai_config.json": `{}`}, "genai_config.json", "type of the model")
	f("genai-llama-int4", map[string]string{"model.onnx": ""}, "model.onnx", "genai_config.json names it")
	f("genai-llama-int4", map[string]string{"tokenizer.json": ""}, "tokenizer.json", "does not exist")
	f("genai-llama-int4", map[string]string{"tokenizer_config.json": "[]"}, "tokenizer_config.json", "cannot unmarshal array")
	f("genai-llama-int4", map[string]string{"chat_template.jinja": strings.Repeat("x", maxTemplateBytes+1)}, "chat_template.jinja", "1048577 bytes", "1048576")
	f("optimum-llama-q4", map[string]string{"model.onnx": ""}, "no graph")
	f("optimum-llama-q4", map[string]string{"model.onnx": "", "a.onnx": "x", "b.onnx": "x"}, "2 graphs", "a.onnx, b.onnx")
	f("optimum-llama-q4", map[string]string{"config.json": `{"model_type":"llama","max_position_embeddings":"2048"}`}, "config.json", "max_position_embeddings")
	f("optimum-llama-q4", map[string]string{"generation_config.json": `{"eos_token_id":[-3]}`}, "generation_config.json", "-3")
	f("optimum-llama-q4", map[string]string{"generation_config.json": `{"eos_token_id":700}`}, "token 700", "512")

	config := func(was, is string) map[string]string {
		base, err := os.ReadFile(written("optimum-llama-q4", fileConfig))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(base), was) {
			t.Fatalf("config.json has no %s", was)
		}
		return map[string]string{"config.json": strings.Replace(string(base), was, is, 1)}
	}
	f("optimum-llama-q4", config(`"num_hidden_layers": 2`, `"num_hidden_layers": -2`), "config.json", "number of layers is -2")
	f("optimum-llama-q4", config(`"num_key_value_heads": 2`, `"num_key_value_heads": 3`), "config.json", "4 attention heads share 3")
	f("optimum-llama-q4", config(`"vocab_size": 512`, `"vocab_size": 99999999999`), "config.json", "vocabulary size is 99999999999")
}

func TestDescribeGraphOutside(t *testing.T) {
	base, err := os.ReadFile(written("genai-llama-int4", fileGenai))
	if err != nil {
		t.Fatal(err)
	}
	f := func(graph string) {
		t.Helper()
		dir := directory(t, "genai-llama-int4", map[string]string{
			"model.onnx":        "graph",
			"genai_config.json": strings.Replace(string(base), "model.onnx", graph, 1),
		})
		write(t, filepath.Dir(dir), map[string]string{"model.onnx": "another's graph"})
		if _, err := Describe(dir); err == nil || !strings.Contains(err.Error(), "not a file in the directory") {
			t.Errorf("graph %q: error %v", graph, err)
		}
	}
	f("../model.onnx")
	f("/etc/passwd")
	f("a/../../model.onnx")
	f(`..\\model.onnx`)
	f("C:/model.onnx")
}

func TestDescribeNoDirectory(t *testing.T) {
	if _, err := Describe(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	write(t, filepath.Dir(file), map[string]string{"file": "x"})
	if _, err := Describe(file); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("error %v", err)
	}
}

func ptr[T any](v T) *T { return &v }
