package safetensors

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// bytesOf is a file of that header, with so many bytes of values: 0, 1, 2, ...
func bytesOf(header string, values int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	b = append(b, header...)
	for i := range values {
		b = append(b, byte(i))
	}
	return b
}

// folderOf is a folder of those files.
func folderOf(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRead(t *testing.T) {
	// Not in the order of their bytes; the header is filled up with blanks, as writers do.
	a := bytesOf(`{"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[3,2],"data_offsets":[4,16]},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}   `, 16)
	c := bytesOf(`{"c":{"dtype":"F8_NEW","shape":[5],"data_offsets":[0,3]}}`, 3)
	index := []byte(`{"metadata":{"total_size":19},"weight_map":{"a":"1.safetensors","b":"1.safetensors","c":"2.safetensors"}}`)
	for _, files := range []map[string][]byte{
		{"model.safetensors": a, "model.safetensors.index.json": []byte("not read")},
		{"model.safetensors.index.json": index, "1.safetensors": a, "2.safetensors": c},
	} {
		f, err := OpenFolder(folderOf(t, files))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		b := f.Tensor("b")
		rows := make([]byte, 8)
		if err := b.Read(rows, 1); err != nil {
			t.Fatal(err)
		}
		got := []any{f.Tensor("a").Rows(), f.Tensor("a").RowLength(), b.DType, b.Shape, b.Rows(), b.RowLength(), rows, f.Tensor("x") == nil}
		want := []any{int64(1), int64(1), "BF16", []int64{3, 2}, int64(3), int64(2), []byte{8, 9, 10, 11, 12, 13, 14, 15}, true}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if err := b.Read(rows, 2); err == nil {
			t.Error("rows beyond the last are read")
		}
		if n := int64(16 + 3*(len(files)-2)); f.Bytes != n || len(f.Names()) != len(files) {
			t.Errorf("%d bytes in %v, want %d", f.Bytes, f.Names(), n)
		}
	}
}

func TestRefuses(t *testing.T) {
	f := func(want string, b []byte) {
		t.Helper()
		folder, err := OpenFolder(folderOf(t, map[string][]byte{"model.safetensors": b}))
		if err == nil {
			folder.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "model.safetensors") {
			t.Errorf("error %v, want one with the path and %q", err, want)
		}
	}
	header := func(want, h string) {
		t.Helper()
		f(want, bytesOf(h, 8))
	}
	tensor := func(want, rest string) {
		t.Helper()
		header(want, `{"t":`+rest+`}`)
	}
	f("it has 0 bytes", nil)
	f("it has 3 bytes", []byte("abc"))
	f("a header of 9000000000 bytes", binary.LittleEndian.AppendUint64(nil, 9e9))
	f("a header of 18446744073709551615 bytes", bytes.Repeat([]byte{255}, 16))
	f("a header of 50 bytes in a file of 8", binary.LittleEndian.AppendUint64(nil, 50))
	header("no JSON object", `[]`)
	header("no JSON object", ``)
	header(`damaged: tensor "a"`, `{"a"`)
	header("is no JSON", `{"__metadata__":{"a":1}}`)
	header("goes on after its end", `{} {}`)
	header("two tensors are called", `{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}`)
	header(`called ""`, `{"":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}`)
	header(`called "a\nb"`, `{"a\nb":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}`)
	header("...", fmt.Sprintf(`{%q:{}}`, strings.Repeat("x", 5000)))
	tensor("lacks its type", `{"shape":[8],"data_offsets":[0,8]}`)
	tensor("lacks", `{"dtype":"U8","data_offsets":[0,8]}`)
	tensor("lacks", `{"dtype":"U8","shape":[8],"data_offsets":[8]}`)
	tensor("takes bytes [8, 0)", `{"dtype":"U8","shape":[8],"data_offsets":[8,0]}`)
	tensor("takes bytes [-8, 0)", `{"dtype":"U8","shape":[8],"data_offsets":[-8,0]}`)
	tensor("takes bytes", `{"dtype":"U8","shape":[9],"data_offsets":[0,9]}`)
	tensor("asks for 16", `{"dtype":"F32","shape":[2,2],"data_offsets":[0,8]}`)
	tensor("has the shape [-8]", `{"dtype":"U8","shape":[-8],"data_offsets":[0,8]}`)
	tensor("has the shape", `{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,8]}`)
	tensor("9 dimensions", `{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,8],"data_offsets":[0,8]}`)
	tensor("cannot unmarshal", `{"dtype":"U8","shape":[1.5],"data_offsets":[0,8]}`)
	tensor("belong to no tensor", `{"dtype":"U8","shape":[4],"data_offsets":[4,8]}`)
	tensor("its tensors end at", `{"dtype":"U8","shape":[4],"data_offsets":[0,4]}`)
	header("inside another", `{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}`)
}

func TestIndexRefuses(t *testing.T) {
	part := bytesOf(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}`, 4)
	f := func(want, index string) {
		t.Helper()
		_, err := OpenFolder(folderOf(t, map[string][]byte{"model.safetensors.index.json": []byte(index), "p.safetensors": part, "q.bin": part}))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	f("is damaged", `{`)
	f("names no tensors", `{}`)
	f("no .safetensors file of this folder", `{"weight_map":{"a":"../p.safetensors"}}`)
	f("no .safetensors file of this folder", `{"weight_map":{"a":"/etc/p.safetensors"}}`)
	f("no .safetensors file of this folder", `{"weight_map":{"a":"sub/p.safetensors"}}`)
	f("no .safetensors file of this folder", `{"weight_map":{"a":"q.bin"}}`)
	f("no such file", `{"weight_map":{"a":"x.safetensors"}}`)
	f(`lacks the tensor "b"`, `{"weight_map":{"a":"p.safetensors","b":"p.safetensors"}}`)
	f(`holds the tensor "a"`, `{"weight_map":{"b":"p.safetensors"}}`)
	f("called", `{"weight_map":{"\u0000":"p.safetensors"}}`)
	if _, err := OpenFolder(t.TempDir()); err == nil || !strings.Contains(err.Error(), "holds neither") {
		t.Errorf("an empty folder: %v", err)
	}
}

// TestDamaged: whatever is done to a header, the file is refused or read, and nothing panics.
func TestDamaged(t *testing.T) {
	good := bytesOf(`{"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[3,2],"data_offsets":[4,16]},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}`, 16)
	r := rand.New(rand.NewPCG(9, 9))
	dir := t.TempDir()
	refused := 0
	for i := range 2000 {
		b := bytes.Clone(good)
		if i%4 == 0 {
			b = b[:r.IntN(len(b))]
		} else {
			for range 1 + r.IntN(4) {
				b[r.IntN(len(b)-16)] = byte(r.Uint32())
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "model.safetensors"), b, 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := OpenFolder(dir)
		if err != nil {
			refused++
			continue
		}
		for _, name := range f.Names() {
			x := f.Tensor(name)
			if err := x.Read(make([]byte, x.bytes), 0); err != nil {
				t.Errorf("%q was taken and cannot be read: %v", b, err)
			}
		}
		f.Close()
	}
	if refused < 1500 {
		t.Errorf("only %d of 2000 damaged files were refused", refused)
	}
}
