package graph

import (
	"bytes"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// everything is a model that uses each field this package writes.
func everything() *Model {
	inner := &Graph{Name: "inner", Nodes: []*Node{{OpType: "Identity", Inputs: []string{"x"}, Outputs: []string{"y"}}}}
	return &Model{
		IRVersion: 10, ProducerName: "p", ProducerVersion: "1.2",
		Opsets:   []Opset{{Domain: "", Version: 21}, {Domain: "com.microsoft", Version: 1}},
		Metadata: []Entry{{"k", "v"}, {"empty", ""}},
		Graph: &Graph{
			Name: "g",
			Nodes: []*Node{{
				Name: "n", OpType: "Op", Domain: "d", Inputs: []string{"a", "", "b"}, Outputs: []string{"c", "", "d"},
				Attributes: []*Attribute{
					Int("i", -1),
					Float("f", 0.25),
					Ints("is", 1, -2, math.MaxInt64),
					{Name: "s", Type: AttributeString, String: "text \xff"},
					{Name: "t", Type: AttributeTensor, Tensor: Int64Tensor("", []int64{2}, 3, -4)},
					{Name: "g", Type: AttributeGraph, Graph: inner},
					{Name: "fs", Type: AttributeFloats, Floats: []float32{1, -2.5}},
					{Name: "ss", Type: AttributeStrings, Strings: []string{"", "b"}},
					{Name: "ts", Type: AttributeTensors, Tensors: []*Tensor{Float32Tensor("u", []int64{1}, 2)}},
					{Name: "gs", Type: AttributeGraphs, Graphs: []*Graph{inner}},
				},
			}},
			Initializers: []*Tensor{
				Int64Tensor("scalar", nil, 7),
				{Name: "outside", Type: Uint8, Dims: []int64{3, 4}, External: &External{Location: "m.data", Offset: 4096, Length: 12}},
				{Name: "to the end", Type: Uint8, Dims: []int64{1}, External: &External{Location: "m.data", Length: -1}},
				{Name: "words", Type: StringType, Dims: []int64{2}, Strings: []string{"one", ""}},
			},
			Inputs:  []*ValueInfo{Value("in", Int64, "batch", 2, -1), {Name: "shapeless", Kind: KindTensor, Type: Float16}},
			Outputs: []*ValueInfo{Value("out", Float32)},
			Values:  []*ValueInfo{{Name: "unknown"}},
		},
	}
}

func TestRoundTrip(t *testing.T) {
	m := everything()
	b := m.Marshal()
	got, err := Read(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, got); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
	if !bytes.Equal(b, got.Marshal()) {
		t.Error("written again the bytes differ")
	}
}

// TestReadDamaged cuts and changes a file in every way a disk or a download might: each is a model or an error.
func TestReadDamaged(t *testing.T) {
	b := everything().Marshal()
	for n := range b {
		if m, err := Read(b[:n]); err == nil && n < len(b)/2 {
			t.Errorf("the first %d of %d bytes are a model %+v", n, len(b), m)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		c := bytes.Clone(b)
		for range 1 + r.IntN(4) {
			c[r.IntN(len(c))] = byte(r.Uint32())
		}
		if m, err := Read(c); err == nil {
			m.Marshal()
		}
	}
}

func TestReadRefuses(t *testing.T) {
	f := func(what string, b []byte, want string) {
		t.Helper()
		if _, err := Read(b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", what, err, want)
		}
	}
	f("nothing", nil, "no graph")
	f("text", []byte("version https://git-lfs"), "not a readable ONNX model")
	deep := &Graph{Name: "leaf"}
	for range 20 {
		deep = &Graph{Nodes: []*Node{{Attributes: []*Attribute{{Name: "g", Type: AttributeGraph, Graph: deep}}}}}
	}
	f("nested graphs", (&Model{Graph: deep}).Marshal(), "nested")
	x := &Graph{Initializers: []*Tensor{{Name: "w", Type: Uint8, External: &External{Location: ""}}}}
	f("no location", (&Model{Graph: x}).Marshal(), "without a location")
}

func TestData(t *testing.T) {
	dir := t.TempDir()
	d, err := CreateData(filepath.Join(dir, "m.data"))
	if err != nil {
		t.Fatal(err)
	}
	small, err := d.Add("small", Float32, []int64{2}, AppendFloat32(nil, []float32{1, 2}))
	if err != nil {
		t.Fatal(err)
	}
	large, room, err := d.Tensor("large", Uint8, 100, 100)
	if err != nil {
		t.Fatal(err)
	}
	if large.External.Offset != 4096 {
		t.Errorf("a large tensor starts at %d, not on a page", large.External.Offset)
	}
	for row := 99; row >= 0; row-- {
		if _, err := room.WriteAt(bytes.Repeat([]byte{byte(row)}, 100), int64(row)*100); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := room.WriteAt([]byte{1, 2}, 9999); err == nil {
		t.Error("a write beyond the tensor's end succeeds")
	}
	unwritten, _, err := d.Tensor("unwritten", Int64, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	shared, err := large.Share("shared", 10000)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := large.Share("shared", 9999); err == nil {
		t.Error("a tensor shares the bytes of a longer one")
	}
	for row, got := range must(t, large, dir) {
		if got != byte(row/100) {
			t.Fatalf("byte %d is %d", row, got)
		}
	}
	if !bytes.Equal(must(t, large, dir), must(t, shared, dir)) {
		t.Error("shared values differ")
	}
	if want := AppendFloat32(nil, []float32{1, 2}); !bytes.Equal(want, must(t, small, dir)) {
		t.Error("small values differ")
	}
	if !bytes.Equal(make([]byte, 24), must(t, unwritten, dir)) {
		t.Error("unwritten values are not zeros")
	}
	if st, err := os.Stat(filepath.Join(dir, "m.data")); err != nil || st.Size() != d.Size() {
		t.Errorf("size %v, %v; want %d", st.Size(), err, d.Size())
	}

	f := func(what string, x External, dims int64, want string) {
		t.Helper()
		_, err := (&Tensor{Name: "w", Type: Uint8, Dims: []int64{dims}, External: &x}).Data(dir)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", what, err, want)
		}
	}
	f("another folder", External{Location: "../m.data", Length: 4}, 4, "outside the model's folder")
	f("beyond the end", External{Location: "m.data", Offset: 1 << 40, Length: 4}, 4, "outside m.data")
	f("longer than the file", External{Location: "m.data", Length: -1}, 1<<40, "outside m.data")
	f("another length", External{Location: "m.data", Length: 5}, 4, "asks for 4")
	f("no file", External{Location: "none", Length: 4}, 4, "no such file")
	f("huge", External{Location: "m.data", Length: 4}, math.MaxInt64, "too large")
}

func must(t *testing.T, x *Tensor, dir string) []byte {
	t.Helper()
	b, err := x.Data(dir)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestReadForms reads a model that Python's onnx wrote (testdata/forms.py), with values in each field that the format has
// for them.
func TestReadForms(t *testing.T) {
	m, err := ReadFile("testdata/forms.onnx")
	if err != nil {
		t.Fatal(err)
	}
	f := func(name string, typ DataType, dims []int64, want []byte) {
		t.Helper()
		x := m.Graph.Initializer(name)
		if x == nil {
			t.Fatalf("no %s", name)
		}
		if x.Type != typ || !cmp.Equal(x.Dims, dims) {
			t.Errorf("%s: %v %v", name, x.Type, x.Dims)
		}
		if got := must(t, x, "testdata"); !bytes.Equal(got, want) {
			t.Errorf("%s: bytes %v, want %v", name, got, want)
		}
	}
	f("float_data", Float32, []int64{2}, AppendFloat32(nil, []float32{1.5, -2}))
	f("int32_data", Int32, []int64{2}, []byte{1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff})
	f("int8_in_int32", Int8, []int64{3}, []byte{1, 0xff, 0x80})
	f("float16_in_int32", Float16, []int64{2}, []byte{0, 0x3c, 0, 0xc0})
	f("bool_in_int32", Bool, []int64{2}, []byte{1, 0})
	f("int64_data", Int64, []int64{1, 2}, []byte{5, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f("uint64_data", Uint32, []int64{1}, []byte{7, 0, 0, 0})
	f("double_data", Float64, []int64{1}, []byte{0, 0, 0, 0, 0, 0, 0xf0, 0x3f})
	f("raw_data", Uint8, nil, []byte{9})
	if n := m.Graph.Nodes[0]; n.Int("axis", 0) != -1 || n.Int("other", 4) != 4 || n.Attribute("floats").Floats[1] != 2.5 {
		t.Errorf("attributes: %+v", n.Attributes)
	}
	want := []*ValueInfo{Value("x", Float32, "batch", 3), {Name: "s", Kind: KindSequence}}
	if diff := cmp.Diff(want, m.Graph.Inputs); diff != "" {
		t.Errorf("inputs (-want +got):\n%s", diff)
	}
}
