package gguf

import (
	"encoding/binary"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ortserve/internal/testmodel"
)

// TestDequantize compares each type with Python's gguf package, bit for bit. testdata/blocks.py made the files.
func TestDequantize(t *testing.T) {
	f, err := Open("testdata/blocks.gguf")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want, err := os.ReadFile("testdata/blocks.f32")
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Tensors) != len(storages) {
		t.Fatalf("%d tensors", len(f.Tensors))
	}
	for _, x := range f.Tensors {
		if x.Name != x.Type.String() || x.Rows() < 4 || x.RowLength() < 64 {
			t.Errorf("tensor %s of type %v, %d x %d", x.Name, x.Type, x.Rows(), x.RowLength())
		}
		got, err := x.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range got {
			if w := binary.LittleEndian.Uint32(want[4*i:]); math.Float32bits(v) != w {
				t.Fatalf("%s: value %d is %v, want %v", x.Name, i, v, math.Float32frombits(w))
			}
		}
		want = want[4*len(got):]
	}
	if len(want) != 0 {
		t.Errorf("%d bytes of expected values are left", len(want))
	}
}

func TestMetadata(t *testing.T) {
	path := t.TempDir() + "/m.gguf"
	g := testmodel.Config{}.GGUF("smollm")
	g.Metadata["a.bool"], g.Metadata["a.int"] = true, int32(-5)
	if err := g.Write(path); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m := f.Metadata
	got := []any{
		f.Version, m.Text("general.architecture", ""), m.Int("llama.block_count", 0), m.Float("llama.rope.freq_base", 0), m.Bool("a.bool", false),
		m.Int("a.int", 0), len(m.Texts("tokenizer.ggml.tokens")), m.Ints("tokenizer.ggml.token_type")[511],
		m.Int("none", 9), m.Text("none", "x"), m.Has("none"), m.Texts("none") == nil,
	}
	want := []any{3, "llama", int64(2), 10000.0, true, int64(-5), 512, int64(3), int64(9), "x", false, true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := m.Err(); err != nil {
		t.Error(err)
	}
	m.Int("general.architecture", 0)
	m.Texts("tokenizer.ggml.token_type")
	if err := m.Err(); err == nil || !strings.Contains(err.Error(), "general.architecture is a value of string") || !strings.Contains(err.Error(), "token_type") {
		t.Errorf("wrong types: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	good := testmodel.Config{}.GGUF("smollm").Bytes()
	f := func(what string, b []byte, want string) {
		t.Helper()
		path := t.TempDir() + "/m.gguf"
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		file, err := Open(path)
		if err == nil {
			file.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "m.gguf") {
			t.Errorf("%s: error %v, want one with the path and %q", what, err, want)
		}
	}
	with := func(at int, b ...byte) []byte {
		c := append([]byte{}, good...)
		copy(c[at:], b)
		return c
	}
	f("nothing", nil, "not a GGUF file")
	f("text", []byte("hello world"), `begins with "hell"`)
	f("version 1", with(4, 1), "version 1")
	f("version 9", with(4, 9), "version 9")
	f("big-endian", with(4, 0, 0, 0, 3), "big-endian")
	f("many tensors", with(8, 0xff, 0xff, 0xff, 0xff), "damaged")
	f("many values", with(16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), "damaged")
	f("half", good[:len(good)/2], "damaged")
	f("head only", good[:24], "damaged")
	g := testmodel.Config{}.GGUF("smollm")
	g.Tensors[1].Name = g.Tensors[0].Name
	f("two of a name", g.Bytes(), "two tensors")
	g = testmodel.Config{}.GGUF("smollm")
	g.Tensors[0].Dims = []uint64{1 << 40, 1 << 40}
	f("huge tensor", g.Bytes(), "dimension")
	g.Tensors[0].Dims = []uint64{1 << 20, 1 << 20}
	f("large tensor", g.Bytes(), "takes bytes")
	g.Tensors[0].Dims, g.Tensors[0].Type = []uint64{65, 512}, uint32(Q8_0)
	f("blocks", g.Bytes(), "blocks of 32")
}
