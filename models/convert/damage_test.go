package convert_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"ortserve/internal/testmodel"
	"ortserve/models/convert"
)

// TestDamaged changes and cuts a file: each import ends soon, in an error that names the file or in a model, and takes
// memory for no more than the file can hold.
func TestDamaged(t *testing.T) {
	good := testmodel.Config{Layers: 1, Tied: true, Positions: 16}.GGUF("smollm").Bytes()
	head := bytes.Index(good, []byte("token_embd.weight")) + 1000 // most of what follows is weights
	dir := t.TempDir()
	path := filepath.Join(dir, "m.gguf")
	r := rand.New(rand.NewPCG(5, 5))
	refused := 0
	for i := range 600 {
		b := bytes.Clone(good)
		switch i % 4 {
		case 0:
			b = b[:r.IntN(len(b))]
		case 1: // a length or a count
			for range 8 {
				b[r.IntN(head)] = byte(r.Uint32())
			}
		default:
			for range 1 + r.IntN(3) {
				b[r.IntN(head)] ^= 1 << r.IntN(8)
			}
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		_, err := convert.GGUF(t.Context(), path, filepath.Join(dir, "out"), convert.Options{})
		runtime.ReadMemStats(&after)
		if err != nil {
			refused++
			if !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "internal error") {
				t.Fatalf("case %d: error %v", i, err)
			}
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Fatalf("case %d took %v (%v)", i, took, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
			t.Fatalf("case %d took %d MB for a file of %d kB (%v)", i, used>>20, len(b)>>10, err)
		}
	}
	if refused < 150 {
		t.Errorf("only %d of 600 damaged files were refused", refused)
	}
}

// entries are the names in a directory.
func entries(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func TestInterrupted(t *testing.T) {
	gguf := write(t, testmodel.Config{}.GGUF("smollm"))
	store := t.TempDir()
	dst := filepath.Join(store, "m@latest")

	ctx, cancel := context.WithCancel(t.Context())
	_, err := convert.GGUF(ctx, gguf, dst, convert.Options{Progress: func(_, _ int64) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled import ends with %v", err)
	}
	if got := entries(t, store); got != "" {
		t.Errorf("a cancelled import leaves %q", got)
	}

	// What a killed one leaves is removed by the next.
	left := filepath.Join(store, ".m@latest.importing")
	if err := os.MkdirAll(filepath.Join(left, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(left, "model.onnx"), []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := convert.GGUF(t.Context(), gguf, dst, convert.Options{Bits: 8}); err != nil {
		t.Fatal(err)
	}
	if got := entries(t, store); got != "m@latest" {
		t.Errorf("the store holds %q", got)
	}
	const all = "chat_template.jinja config.json genai_config.json generation_config.json manifest.json model.onnx model.onnx.data tokenizer.json tokenizer_config.json"
	if got := entries(t, dst); got != all {
		t.Errorf("the model holds %q", got)
	}

	// A failed one leaves the model that was there; a good one replaces it.
	before := size(t, dst)
	ctx, cancel = context.WithCancel(t.Context())
	if _, err := convert.GGUF(ctx, gguf, dst, convert.Options{Bits: 4, Progress: func(_, _ int64) { cancel() }}); err == nil {
		t.Error("a cancelled import succeeds")
	}
	if got := size(t, dst); got != before {
		t.Errorf("after a cancelled import the model has %d bytes, not %d", got, before)
	}
	if _, err := convert.GGUF(t.Context(), gguf, dst, convert.Options{Bits: 4}); err != nil {
		t.Fatal(err)
	}
	if got := size(t, dst); got >= before {
		t.Errorf("with 4 bits the model has %d bytes, with 8 %d", got, before)
	}

	// Killed between its two renames, one leaves the old model under a hidden name.
	if err := os.Rename(dst, filepath.Join(store, ".m@latest.replaced")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if _, err := convert.GGUF(ctx, gguf, dst, convert.Options{}); err == nil {
		t.Error("a cancelled import succeeds")
	}
	if got := entries(t, store); got != "m@latest" {
		t.Errorf("the store holds %q", got)
	}
}

func size(t *testing.T, dir string) int64 {
	t.Helper()
	st, err := os.Stat(filepath.Join(dir, "model.onnx.data"))
	if err != nil {
		t.Fatal(err)
	}
	return st.Size()
}

func TestTwoAtOnce(t *testing.T) {
	gguf := write(t, testmodel.Config{}.GGUF("smollm"))
	dst := filepath.Join(t.TempDir(), "m")
	busy := filepath.Join(filepath.Dir(dst), ".m.importing")
	if err := os.Mkdir(busy, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(busy)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := convert.GGUF(t.Context(), gguf, dst, convert.Options{}); err == nil || !strings.Contains(err.Error(), "being imported by another process") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(busy); err != nil {
		t.Errorf("the other's folder: %v", err)
	}
}

func TestForeignDirectory(t *testing.T) {
	gguf := write(t, testmodel.Config{}.GGUF("smollm"))
	dst := t.TempDir()
	if err := os.WriteFile(filepath.Join(dst, "letters.txt"), []byte("dear"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := convert.GGUF(t.Context(), gguf, dst, convert.Options{}); err == nil || !strings.Contains(err.Error(), "not replaced") {
		t.Errorf("error %v", err)
	}
	if got := entries(t, dst); got != "letters.txt" {
		t.Errorf("the folder holds %q", got)
	}
}
