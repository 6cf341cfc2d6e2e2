package models

import (
	"os"
	"path/filepath"
	"testing"
)

func TestDigest(t *testing.T) {
	dir := directory(t, "optimum-llama-q4", map[string]string{"model.onnx": "graph", "model.onnx_data": "weights"})
	digestOf := func() string {
		t.Helper()
		m, err := Describe(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Digest) != 64 {
			t.Fatalf("digest %q", m.Digest)
		}
		return m.Digest
	}
	seen := map[string]string{digestOf(): "first"}
	if _, ok := seen[digestOf()]; !ok {
		t.Error("the digest of unchanged files changed")
	}
	f := func(name, contents string) {
		t.Helper()
		write(t, dir, map[string]string{name: contents})
		d := digestOf()
		if before, ok := seen[d]; ok {
			t.Errorf("%s changed, the digest is still that of %s", name, before)
		}
		seen[d] = name
	}
	f("model.onnx", "grapf")
	f("model.onnx_data", "weighty")
	f("model.onnx_data_1", "more")
	f("tokenizer.json", "{} ")
	f("chat_template.jinja", "{{ another }}")

	write(t, dir, map[string]string{"README.md": "not a part of the model", "model_q4.onnx": "nor is another graph"})
	if _, ok := seen[digestOf()]; !ok {
		t.Error("the digest covers a file that is not the model's")
	}
}

// Big weights are sampled: the first and the last byte and a change of size are seen, and a gap is not.
func TestDigestOfBigFile(t *testing.T) {
	dir := directory(t, "optimum-llama-q4", map[string]string{"model.onnx": "graph"})
	data := filepath.Join(dir, "model.onnx.data")
	const size = 1 << 30
	digestOf := func(size, at int64) string {
		t.Helper()
		file, err := os.Create(data) // sparse
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if err := file.Truncate(size); err != nil {
			t.Fatal(err)
		}
		if at >= 0 {
			if _, err := file.WriteAt([]byte{1}, at); err != nil {
				t.Fatal(err)
			}
		}
		m, err := Describe(dir)
		if err != nil {
			t.Fatal(err)
		}
		if m.Size < size {
			t.Errorf("size %d, want at least %d", m.Size, size)
		}
		return m.Digest
	}
	zero := digestOf(size, -1)
	f := func(size, at int64, same bool) {
		t.Helper()
		if got := digestOf(size, at) == zero; got != same {
			t.Errorf("size %d, byte %d set: equal digest %v, want %v", size, at, got, same)
		}
	}
	f(size, -1, true)
	f(size, 0, false)
	f(size, size-1, false)
	f(size+1, -1, false)
	f(size, digestBlock, true) // between the blocks: the doc comment says so
}
