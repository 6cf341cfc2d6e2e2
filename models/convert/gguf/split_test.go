package gguf

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ortserve/internal/testmodel"
)

// writeParts cuts a model into parts: the first has the metadata, and each some tensors.
func writeParts(t *testing.T, count int, change func(i int, part *testmodel.GGUF)) (whole *testmodel.GGUF, first string) {
	t.Helper()
	whole = testmodel.Config{}.GGUF("smollm")
	dir := t.TempDir()
	for i := range count {
		part := &testmodel.GGUF{Metadata: map[string]any{}}
		if i == 0 {
			for k, v := range whole.Metadata {
				part.Metadata[k] = v
			}
		}
		part.Metadata["split.no"], part.Metadata["split.count"] = int32(i), int32(count)
		part.Metadata["split.tensors.count"] = int32(len(whole.Tensors))
		n := len(whole.Tensors)
		part.Tensors = whole.Tensors[n*i/count : n*(i+1)/count]
		if change != nil {
			change(i, part)
		}
		if err := part.Write(filepath.Join(dir, fmt.Sprintf("m-%05d-of-%05d.gguf", i+1, count))); err != nil {
			t.Fatal(err)
		}
	}
	return whole, filepath.Join(dir, fmt.Sprintf("m-00001-of-%05d.gguf", count))
}

func TestSplit(t *testing.T) {
	whole, first := writeParts(t, 3, nil)
	f, err := Open(first)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if len(f.Tensors) != len(whole.Tensors) || len(f.Paths) != 3 || f.Metadata.Text("general.architecture", "") != "llama" {
		t.Fatalf("%d tensors in %v", len(f.Tensors), f.Paths)
	}
	size := int64(0)
	for _, path := range f.Paths {
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		size += st.Size()
	}
	if f.Size != size {
		t.Errorf("size is %d, want %d", f.Size, size)
	}
	for _, want := range whole.Tensors {
		x := f.Tensor(want.Name)
		got := make([]byte, x.Bytes())
		if err := x.Read(got, 0); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want.Data) {
			t.Errorf("the values of %s differ", want.Name)
		}
	}
}

func TestSplitRefuses(t *testing.T) {
	f := func(want string, change func(i int, part *testmodel.GGUF), damage func(first string) (open string)) {
		t.Helper()
		_, path := writeParts(t, 2, change)
		if damage != nil {
			path = damage(path)
		}
		file, err := Open(path)
		if err == nil {
			file.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	second := func(first string) string { return strings.Replace(first, "00001-of", "00002-of", 1) }
	set := func(part int, key string, v any) func(int, *testmodel.GGUF) {
		return func(i int, p *testmodel.GGUF) {
			if i == part {
				p.Metadata[key] = v
			}
		}
	}
	f("is part 2 of 2: name the first (…-00001-of-00002.gguf)", nil, second)
	f("does not end in", nil, func(first string) string {
		other := filepath.Join(filepath.Dir(first), "m.gguf")
		if err := os.Rename(first, other); err != nil {
			t.Fatal(err)
		}
		return other
	})
	f("part 2 of 2: open", nil, func(first string) string {
		os.Remove(second(first))
		return first
	})
	f("is part 1 of 2, not 2 of 2", set(1, "split.no", int32(0)), nil)
	f("is part 2 of 5, not 2 of 2", set(1, "split.count", int32(5)), nil)
	f("tensors in all parts, 5 are expected", set(0, "split.tensors.count", int32(5)), nil)
	f("is in an earlier part too", func(i int, p *testmodel.GGUF) {
		p.Tensors = testmodel.Config{}.GGUF("smollm").Tensors
	}, nil)
}
