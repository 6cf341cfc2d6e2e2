package models

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ortserve/internal/testmodel"
	"ortserve/models/convert"
	"ortserve/onnx/graph"
)

// graphFile is a graph of one 4-bit matrix and, in fp16, an embedding; the matrix lies in the file called location.
func graphFile(t *testing.T, location string) string {
	t.Helper()
	external := &graph.External{Location: location, Length: 64 * 2 * 16}
	return string((&graph.Model{IRVersion: 10, Opsets: []graph.Opset{{Version: 21}}, Graph: &graph.Graph{
		Name: "test",
		Nodes: []*graph.Node{
			{OpType: "Gather", Inputs: []string{"embedding", "ids"}, Outputs: []string{"x"}},
			{
				OpType: "MatMulNBits", Domain: "com.microsoft", Inputs: []string{"x", "packed", "scales"}, Outputs: []string{"y"},
				Attributes: []*graph.Attribute{graph.Int("K", 64), graph.Int("N", 64), graph.Int("bits", 4), graph.Int("block_size", 32)},
			},
		},
		Initializers: []*graph.Tensor{
			{Name: "embedding", Type: graph.Float16, Dims: []int64{10, 64}, Raw: make([]byte, 10*64*2)},
			{Name: "packed", Type: graph.Uint8, Dims: []int64{64, 2, 16}, External: external},
			{Name: "scales", Type: graph.Float32, Dims: []int64{64, 2}, Raw: make([]byte, 64*2*4)},
		},
		Inputs:  []*graph.ValueInfo{graph.Value("ids", graph.Int64, "n")},
		Outputs: []*graph.ValueInfo{graph.Value("y", graph.Float16, "n", 64)},
	}}).Marshal())
}

func TestWeights(t *testing.T) {
	dir := directory(t, "genai-llama-int4", map[string]string{
		"model.onnx": graphFile(t, "weights.bin"), "weights.bin": strings.Repeat("w", 2048), "model.onnx.bak": "not a part",
	})
	m, err := Describe(dir)
	if err != nil {
		t.Fatal(err)
	}
	// 64*64 weights of 4 bits, 10*64 of 16 bits.
	if m.Quantization != "int4" || m.ParameterSize != "5K" {
		t.Errorf("quantization %q, parameters %q, want int4, 5K", m.Quantization, m.ParameterSize)
	}
	size := int64(0)
	for _, name := range []string{
		"model.onnx", "weights.bin", "genai_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if m.Size != size {
		t.Errorf("size %d, want %d: that of the model's files", m.Size, size)
	}
	write(t, dir, map[string]string{"weights.bin": strings.Repeat("v", 2048)})
	if changed, err := Describe(dir); err != nil || changed.Digest == m.Digest {
		t.Errorf("other weights, the same digest (%v)", err)
	}
}

// The format that a graph's metadata names is what the model is said to have: nodes do not tell all of it.
func TestWeightsNamed(t *testing.T) {
	f := func(named, want string) {
		t.Helper()
		model, err := graph.Read([]byte(graphFile(t, "weights.bin")))
		if err != nil {
			t.Fatal(err)
		}
		model.Metadata = []graph.Entry{{Key: "producer", Value: "fp64"}, {Key: "weights", Value: named}}
		m, err := Describe(directory(t, "genai-llama-int4", map[string]string{
			"model.onnx": string(model.Marshal()), "weights.bin": strings.Repeat("w", 2048),
		}))
		if err != nil || m.Quantization != want {
			t.Errorf("%q: quantization %q, %v, want %q", named, m.Quantization, err, want)
		}
	}
	f("int8 block 64 asymmetric", "int8 block 64 asymmetric")
	f("", "int4")
	long := strings.Repeat("x", 1000)
	f(long, clip(long))
}

// What an import writes is what its description says.
func TestImportedWeights(t *testing.T) {
	f := func(c testmodel.Config, want string) {
		t.Helper()
		dir := t.TempDir()
		file := filepath.Join(dir, "tiny.gguf")
		if err := c.GGUF("llama-bpe").Write(file); err != nil {
			t.Fatal(err)
		}
		imported := filepath.Join(dir, "tiny")
		if _, err := convert.GGUF(t.Context(), file, imported, convert.Options{Bits: c.Bits, Block: c.Block, Symmetric: c.Symmetric}); err != nil {
			t.Fatal(err)
		}
		m, err := Describe(imported)
		// Two layers of 64*(64+64+64) for queries, keys and values, output, and three of 64*128; embedding and head of 512*64: 140K.
		if err != nil || m.Quantization != want || m.ParameterSize != "140K" {
			t.Errorf("%+v: quantization %q, parameters %q, %v, want %q, 140K", c, m.Quantization, m.ParameterSize, err, want)
		}
	}
	f(testmodel.Config{Bits: 8, Block: 64}, "int8 block 64 asymmetric")
	f(testmodel.Config{Bits: 4, Block: 32, Symmetric: true}, "int4 block 32 symmetric")
	f(testmodel.Config{Bits: 32}, "float32")
}

func TestWeightsElsewhere(t *testing.T) {
	f := func(location, want string) {
		t.Helper()
		dir := directory(t, "genai-llama-int4", map[string]string{"model.onnx": graphFile(t, location)})
		write(t, filepath.Dir(dir), map[string]string{"weights.bin": "another's"})
		if _, err := Describe(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one that says %q", location, err, want)
		}
	}
	f("weights.bin", "weights.bin: no such file")
	f("../weights.bin", "not in the directory")
	f("/etc/passwd", "not in the directory")
}
