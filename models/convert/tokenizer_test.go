package convert_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ortserve/internal/testenv"
	"ortserve/internal/testmodel"
	"ortserve/models/convert"
	"ortserve/tokenize"
)

// encode encodes texts with Hugging Face's tokenizers library and the tokenizer.json in dir, special tokens added.
func encode(t *testing.T, dir string, texts ...string) [][]int {
	t.Helper()
	const program = `
import json, sys, tokenizers
t = tokenizers.Tokenizer.from_file(sys.argv[1])
print(json.dumps([t.encode(s).ids for s in json.load(sys.stdin)]))`
	in, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), testenv.Python(t, "tokenizers"), "-c", program, filepath.Join(dir, "tokenizer.json"))
	cmd.Stdin = strings.NewReader(string(in))
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	var ids [][]int
	if err := json.Unmarshal([]byte(out.String()), &ids); err != nil {
		t.Fatal(err)
	}
	return ids
}

// checkDefaultTokenizer compares with ids of SmolLM2-Instruct.
func checkDefaultTokenizer(t *testing.T, dir string) {
	t.Helper()
	got := encode(t, dir,
		"<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n",
		"Hello 2024, it's 3.14!\n\n  x = [1, 2]",
		" café 日本 🙂<repo_name><|endoftext|>",
		"",
	)
	want := [][]int{
		{1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47, 2, 198, 1, 520, 9531, 198},
		{19556, 216, 34, 32, 34, 36, 28, 357, 506, 216, 35, 30, 33, 36, 17, 8866, 1792, 446, 933, 33, 28, 216, 34, 77},
		{37366, 17097, 241, 115, 40993, 47526, 3, 0},
		{},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTokenizers: the pre-tokenizers cut and begin texts as their models do, on a vocabulary of bytes and pairs of letters.
func TestTokenizers(t *testing.T) {
	const bos, eot = int(testmodel.BeginOfText), int(testmodel.EndOfTurn)
	f := func(pre string, change func(*testmodel.GGUF), text string, want ...int) {
		t.Helper()
		g := testmodel.Config{}.GGUF(pre)
		if change != nil {
			change(g)
		}
		dir := filepath.Join(t.TempDir(), "m")
		if _, err := convert.GGUF(t.Context(), write(t, g), dir, convert.Options{}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([][]int{want}, encode(t, dir, text)); diff != "" {
			t.Errorf("%s, %q (-want +got):\n%s", pre, text, diff)
		}
	}
	f("smollm", nil, "1234<|eot_id|>z", '1', '2', '3', '4', eot, 'z')
	f("llama-bpe", nil, "z<|eot_id|>", bos, 'z', eot)
	f("qwen2", nil, "12z<|eot_id|>e\u0301", '1', '2', 'z', eot, 0xc3, 0xa9) // composed
	f("tekken", nil, "12z", bos, '1', '2', 'z')
	f("gpt-2", nil, "12z", '1', '2', 'z')
	f("llama-bpe", func(g *testmodel.GGUF) { g.Metadata["tokenizer.ggml.add_bos_token"] = false }, "z", 'z')
	f("smollm", func(g *testmodel.GGUF) { g.Metadata["tokenizer.ggml.add_bos_token"] = true }, "z", bos, 'z')

	// A piece that is a token is taken as it is where merges are ignored: four digits are two pieces in Llama 3's pattern,
	// and "123" has no merges.
	three := func(g *testmodel.GGUF) { g.Metadata["tokenizer.ggml.tokens"].([]string)[499] = "123" }
	f("llama-bpe", func(g *testmodel.GGUF) {
		three(g)
		merges := g.Metadata["tokenizer.ggml.merges"].([]string)
		g.Metadata["tokenizer.ggml.merges"] = merges[:len(merges)-1]
	}, "1231", bos, 499, '1')

	// A token that is found in texts but is not special.
	user := func(g *testmodel.GGUF) { g.Metadata["tokenizer.ggml.token_type"].([]int32)[507] = 4 }
	f("smollm", user, "z<|reserved_special_token_2|>", 'z', 507)
}

// TestSentencePiece compares with the sentencepiece package, on vocabularies that testdata/spm.py made.
func TestSentencePiece(t *testing.T) {
	var vocabularies []struct {
		Prefix  bool
		Tokens  []string
		Scores  []float32
		Types   []int32
		Texts   []string
		IDs     [][]int
		Decoded []string
	}
	readJSON(t, filepath.Join("testdata", "spm.json"), &vocabularies)
	for _, v := range vocabularies {
		g := testmodel.Config{Tied: true}.GGUF("")
		m := g.Metadata
		m["tokenizer.ggml.model"], m["tokenizer.ggml.tokens"], m["tokenizer.ggml.scores"] = "llama", v.Tokens, v.Scores
		m["tokenizer.ggml.token_type"], m["tokenizer.ggml.add_space_prefix"] = v.Types, v.Prefix
		m["tokenizer.ggml.bos_token_id"], m["tokenizer.ggml.eos_token_id"] = uint32(1), uint32(2)
		m["tokenizer.ggml.unknown_token_id"], m["llama.vocab_size"] = uint32(0), uint32(len(v.Tokens))
		delete(m, "tokenizer.ggml.merges")
		delete(m, "tokenizer.ggml.pre")
		for i := range g.Tensors {
			if x := &g.Tensors[i]; x.Name == "token_embd.weight" {
				x.Dims[1], x.Data = uint64(len(v.Tokens)), make([]byte, 4*64*len(v.Tokens))
			}
		}
		dir := filepath.Join(t.TempDir(), "m")
		if _, err := convert.GGUF(t.Context(), write(t, g), dir, convert.Options{}); err != nil {
			t.Fatal(err)
		}
		own, err := tokenize.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		for i, ids := range encode(t, dir, v.Texts...) {
			if diff := cmp.Diff(append([]int{1}, v.IDs[i]...), ids); diff != "" {
				t.Errorf("prefix %v, %q (-want +got):\n%s", v.Prefix, v.Texts[i], diff)
			}
			if got := own.Decode(own.Encode(v.Texts[i], tokenize.Options{}), true); got != v.Decoded[i] {
				t.Errorf("prefix %v, %q comes back as %q, sentencepiece gives %q", v.Prefix, v.Texts[i], got, v.Decoded[i])
			}
		}
	}
}
