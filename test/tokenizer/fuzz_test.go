package tokenizer

import (
	"bufio"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"ortserve/internal/testenv"
	"ortserve/tokenize"
)

// FuzzHuggingFace keeps looking for texts whose ids or decoded text differ from Hugging Face's:
//
//	go test -fuzz FuzzHuggingFace ./test/tokenizer
//
// Without -fuzz it tries its seeds. It uses the default model's tokenizer.json, or the one that ORTSERVE_FUZZ_TOKENIZER
// names the folder of.
func FuzzHuggingFace(f *testing.F) {
	dir := os.Getenv("ORTSERVE_FUZZ_TOKENIZER")
	if dir == "" {
		dir = testenv.DefaultModel(f)
	}
	tok, err := tokenize.Load(dir)
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{
		"", "hello", "it's I'LL 'ſ", "a\u0301é\u1E9B\u0323", " \t\r\n\u3000\u0085", "1234567890٣½", "<|im_start|>user\n<|im_end|", "\xff\xf0\x9f\x98", "中文ひらカタ",
		"\U0001F468\u200D\U0001F469\u200D\U0001F467", "ǅʰªABCdefGHI", "a.b/c//\r\n", "▁ ▁<0x0A>", "\x00\x01\x7f",
	} {
		f.Add([]byte(s))
	}
	cmd := exec.CommandContext(f.Context(), testenv.Python(f, "tokenizer-corpus"), "answer.py", filepath.Join(dir, "tokenizer.json"))
	cmd.Dir, cmd.Stderr = "testdata", f.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		f.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		f.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		f.Fatal(err)
	}
	r := bufio.NewReader(out)
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := in.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(text))), text...)); err != nil {
			t.Fatal(err)
		}
		want, err := readFrame(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := tok.Encode(string(text), tokenize.Options{}); !slices.Equal(got, want.ids) {
			t.Errorf("%q: ids %v, want %v", text, got, want.ids)
		}
		if got := tok.Decode(want.ids, false); got != want.decoded {
			t.Errorf("%v: decoded to %q, want %q", want.ids, got, want.decoded)
		}
		if got := tok.Decode(want.ids, true); got != want.plain {
			t.Errorf("%v: decoded without special tokens to %q, want %q", want.ids, got, want.plain)
		}
	})
}
