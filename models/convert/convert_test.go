package convert_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ortserve/internal/home"
	"ortserve/internal/testenv"
	"ortserve/internal/testmodel"
	"ortserve/models"
	"ortserve/models/convert"
)

// write writes a GGUF file and returns its path.
func write(t *testing.T, g *testmodel.GGUF) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := g.Write(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestLogits imports files whose logits are known and runs what comes out in Python's onnxruntime.
func TestLogits(t *testing.T) {
	prompt := []int32{testmodel.BeginOfText, 72, 101, 300, 301, 8, 8, 499, 32, 77}
	type form struct {
		name string
		c    testmodel.Config
		o    convert.Options
		// limits of the difference to the reference, whose logits spread by 2.5: the largest, and the root of the mean square
		largest, rms float64
	}
	const exact = 1e-4
	forms := []form{
		{"float32", testmodel.Config{}, convert.Options{Bits: 32}, exact, exact},
		{"other shape", testmodel.Config{Hidden: 96, Heads: 6, HeadSize: 32}, convert.Options{Bits: 32}, exact, exact},
		{"tied", testmodel.Config{Tied: true}, convert.Options{Bits: 32}, exact, exact},
		{"Llama 3.1's rope", testmodel.Config{Llama3: true, Positions: 64}, convert.Options{Bits: 32}, exact, exact},
		{"chosen form", testmodel.Config{}, convert.Options{}, 0.8, 0.15},
		{"chosen form, tied", testmodel.Config{Tied: true}, convert.Options{}, 0.8, 0.15},
		{"tied, head and embedding apart", testmodel.Config{Tied: true}, convert.Options{Block: 128}, 0.8, 0.15},
		{"8 bits symmetric", testmodel.Config{}, convert.Options{Bits: 8, Block: 32, Symmetric: true}, 0.8, 0.15},
		{"4 bits", testmodel.Config{}, convert.Options{Bits: 4}, 8, 1.3},
	}
	ids, err := json.Marshal(prompt)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{filepath.Join("..", "..", "internal", "testmodel", "testdata", "logits.py"), string(ids)}
	for _, f := range forms {
		dir := filepath.Join(t.TempDir(), "m")
		if _, err := convert.GGUF(t.Context(), write(t, f.c.GGUF("smollm")), dir, f.o); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		args = append(args, dir)
	}
	if out, err := exec.CommandContext(t.Context(), testenv.Python(t, "onnxruntime"), args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for i, f := range forms {
		b, err := os.ReadFile(filepath.Join(args[2+i], "whole.f32"))
		if err != nil {
			t.Fatal(err)
		}
		if len(b) != 4*testmodel.Vocab*len(prompt) {
			t.Fatalf("%s: %d bytes of logits", f.name, len(b))
		}
		largest, sum := 0.0, 0.0
		for p, row := range testmodel.Reference(f.c, prompt) {
			for v, want := range row {
				got := math.Float32frombits(binary.LittleEndian.Uint32(b[4*(p*testmodel.Vocab+v):]))
				d := math.Abs(float64(got) - float64(want))
				largest, sum = max(largest, d), sum+d*d
			}
		}
		rms := math.Sqrt(sum / float64(testmodel.Vocab*len(prompt)))
		if !(largest <= f.largest && rms <= f.rms) {
			t.Errorf("%s: differs by %.2g at most, %.2g in the mean; allowed %.2g and %.2g", f.name, largest, rms, f.largest, f.rms)
		}
	}
}

// TestDefaultModel imports the default model and compares with what is known of it.
func TestDefaultModel(t *testing.T) {
	dir := filepath.Join(t.TempDir(), home.DefaultModelPath)
	last, calls := int64(0), 0
	r, err := convert.GGUF(t.Context(), testenv.DefaultGGUF(t), dir, convert.Options{Progress: func(done, total int64) {
		calls++
		if done < last || done > total {
			t.Errorf("progress %d of %d after %d", done, total, last)
		}
		last = done
	}})
	if err != nil {
		t.Fatal(err)
	}
	if calls < 50 || last < 90e6 {
		t.Errorf("progress was told %d times, of %d bytes at last", calls, last)
	}
	got := []any{r.Weights.String(), r.Head.String(), r.Embedding.String(), r.Exact, r.Rounded, r.SourceBytes}
	want := []any{"int8 block 64 asymmetric", "int8 block 32 symmetric", "int8 block 32 symmetric", 1, 150, int64(98362432)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	m, err := models.Describe(dir)
	if err != nil {
		t.Fatal(err)
	}
	got = []any{
		m.Name, m.Architecture, m.ContextLength, m.Vocab, m.Layers, m.Heads, m.KVHeads, m.HeadSize, m.Hidden,
		m.BOS, m.EOS, m.BOSToken, m.EOSToken, strings.Contains(m.ChatTemplate, "You are a helpful AI assistant named SmolLM"),
	}
	want = []any{
		home.DefaultModel, "llama", 8192, 49152, 30, 9, 3, 64, 576,
		int32(1),
		[]int32{2, 0},
		"<|im_start|>", "<|im_end|>", true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("model (-want +got):\n%s", diff)
	}
	checkDefaultTokenizer(t, dir)
	if _, err := os.Stat(filepath.Join(filepath.Dir(dir), "."+home.DefaultModelPath+".importing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary folder is left: %v", err)
	}
}

// TestRefuses: whatever would change the answers and is not understood is named.
func TestRefuses(t *testing.T) {
	f := func(want string, change func(g *testmodel.GGUF)) {
		t.Helper()
		g := testmodel.Config{Tied: true}.GGUF("smollm")
		change(g)
		dst := filepath.Join(t.TempDir(), "m")
		_, err := convert.GGUF(t.Context(), write(t, g), dst, convert.Options{})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "m.gguf") {
			t.Errorf("error %v, want one with the path and %q", err, want)
		}
		if _, err := os.Stat(dst); err == nil {
			t.Errorf("%s: a directory is there", want)
		}
	}
	set := func(key string, v any) func(*testmodel.GGUF) {
		return func(g *testmodel.GGUF) { g.Metadata[key] = v }
	}
	f(`architecture "gemma" is not supported`, set("general.architecture", "gemma"))
	f("llama.attention.clamp_kqv is not known", set("llama.attention.clamp_kqv", float32(8)))
	f("mixture of 8 experts", set("llama.expert_count", uint32(8)))
	f(`rope scaling of type "longrope"`, set("llama.rope.scaling.type", "longrope"))
	f("rotary embedding of 8 of a head's 16", set("llama.rope.dimension_count", uint32(8)))
	f("values of 32 and keys of 16", set("llama.attention.value_length", uint32(32)))
	f("4 heads cannot share 3", set("llama.attention.head_count_kv", uint32(3)))
	f("context length is 0", set("llama.context_length", uint32(0)))
	f("llama.block_count is a value of string", set("llama.block_count", "2"))
	f("vocab_size is 9", set("llama.vocab_size", uint32(9)))
	f("its name does not end in -00001-of-00002.gguf", set("split.count", int32(2)))
	f(`model "bert" is not supported`, set("tokenizer.ggml.model", "bert"))
	f("0 scores for 512 tokens", set("tokenizer.ggml.model", "llama"))
	f(`pre-tokenizer "deepseek-llm" is not supported (deepseek-r1-qwen, gpt-2, llama-bpe`, set("tokenizer.ggml.pre", "deepseek-llm"))
	f("3 types for 512 tokens", set("tokenizer.ggml.token_type", []int32{1, 1, 1}))
	f("2 tokens for an embedding of 512", set("tokenizer.ggml.tokens", []string{"a", "b"}))
	f(`merge 0 is "abc"`, set("tokenizer.ggml.merges", []string{"abc"}))
	f("special token 512 is outside", set("tokenizer.ggml.eos_token_id", uint32(512)))
	f("adds an end", set("tokenizer.ggml.add_eos_token", true))
	f("tokens 0 and 1 are both", func(g *testmodel.GGUF) {
		tokens := g.Metadata["tokenizer.ggml.tokens"].([]string)
		tokens[1] = tokens[0]
	})
	f(`tensor "blk.1.attn_q.bias" is not known`, func(g *testmodel.GGUF) {
		g.Tensors = append(g.Tensors, testmodel.GGUFTensor{Name: "blk.1.attn_q.bias", Dims: []uint64{64}, Data: make([]byte, 256)})
	})
	f(`tensor "blk.0.ffn_down.weight" is missing`, func(g *testmodel.GGUF) {
		for i := range g.Tensors {
			if g.Tensors[i].Name == "blk.0.ffn_down.weight" {
				g.Tensors = append(g.Tensors[:i], g.Tensors[i+1:]...)
				return
			}
		}
	})
	f(`tensor "blk.0.attn_k.bias" is missing`, func(g *testmodel.GGUF) {
		g.Tensors = append(g.Tensors, testmodel.GGUFTensor{Name: "blk.0.attn_q.bias", Dims: []uint64{64}, Data: make([]byte, 256)})
	})
	f("is of type Q8_1, which is not supported", func(g *testmodel.GGUF) { g.Tensors[0].Type = 9 })
	f("has the shape [64 511], [64 512] is expected", func(g *testmodel.GGUF) {
		g.Metadata["llama.feed_forward_length"] = uint32(512)
		for i := range g.Tensors {
			if g.Tensors[i].Name == "blk.0.ffn_up.weight" {
				g.Tensors[i].Dims, g.Tensors[i].Data = []uint64{64, 511}, make([]byte, 64*511*4)
				g.Tensors[0], g.Tensors[i] = g.Tensors[i], g.Tensors[0] // among the first faults
			}
		}
	})
}

func TestOptions(t *testing.T) {
	path := write(t, testmodel.Config{}.GGUF("smollm"))
	f := func(o convert.Options, want string) {
		t.Helper()
		_, err := convert.GGUF(t.Context(), path, filepath.Join(t.TempDir(), "m"), o)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want one with %q", o, err, want)
		}
	}
	f(convert.Options{Bits: 5}, "weights of 5 bits")
	f(convert.Options{Bits: 16}, "weights of 16 bits are for graphs of float16")
	f(convert.Options{Bits: 32, Float16: true}, "weights of 32 bits are for graphs of float32")
	f(convert.Options{HeadBits: 5}, "weights of 5 bits")
	f(convert.Options{Bits: 32, EdgeBits: 8}, "floating-point numbers")
	f(convert.Options{Bits: 4, Block: 48}, "block of 48")
	f(convert.Options{Block: 7}, "block of 7")
	f(convert.Options{Bits: 32, Block: 32}, "no blocks")
}
