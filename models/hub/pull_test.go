package hub

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"ortserve/internal/testhub"
	"ortserve/internal/testmodel"
	"ortserve/models"
)

// tinyFiles are the files of the tiny model that make it.
var tinyFiles = []string{"model.onnx", "tokenizer.json", "tokenizer_config.json", "config.json"}

// A repository with a graph is taken as it is, once; a new commit replaces it.
func TestPull(t *testing.T) {
	w := newWorld(t, map[string][]byte{
		"model.onnx.data_1": testhub.Random(1, 5<<20+123), "README.md": []byte("no"), "pytorch_model.bin": testhub.Random(2, 1<<20), "LICENSE": []byte("free"),
		".gitattributes": nil, "onnx/other.txt": nil, "model.onnx.data_2": {}, "model.onnx.data_3": testhub.Random(1, 5<<20+123),
	})
	r, err := w.pull(w.options(), "")
	if err != nil {
		t.Fatal(err)
	}
	if r.Name != testRepo+":latest" || r.Commit != w.Commit || r.Form != "model.onnx" || r.Fresh || r.Model == nil {
		t.Errorf("%+v", r)
	}
	w.check(testRepo, append(tinyFiles, "model.onnx.data_1", "model.onnx.data_2", "model.onnx.data_3", "LICENSE")...)
	for _, f := range []string{"README.md", "pytorch_model.bin", ".gitattributes", "onnx", blobs} {
		if _, err := os.Stat(filepath.Join(r.Model.Dir, f)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s was taken too (%v)", f, err)
		}
	}
	sent := w.Sent.Load()
	if r, err = w.pull(w.options(), ""); err != nil || !r.Fresh || w.Sent.Load() != sent {
		t.Errorf("again: %+v, %v, %d bytes sent", r, err, w.Sent.Load()-sent)
	}
	w.Change(func() { w.Commit, w.Files["LICENSE"] = strings.Repeat("d1", 20), []byte("freer") })
	if r, err = w.pull(w.options(), ""); err != nil || r.Fresh || r.Commit != w.Commit {
		t.Errorf("a new commit: %+v, %v", r, err)
	}
	w.check(testRepo, append(tinyFiles, "LICENSE")...)
}

// A killed process's marks may say more than reached the disk: then the file is fetched again, once, and what is listed is right.
func TestTornState(t *testing.T) {
	const size = 8 << 20
	w := newWorld(t, map[string][]byte{"model.onnx.data_1": testhub.Random(5, size)})
	w.interrupted()
	w.nothingListed()
	part, err := filepath.Glob(filepath.Join(w.root, "org", ".*", blobs, "*.part"))
	if err != nil || len(part) == 0 {
		t.Fatalf("no parts: %v", err)
	}
	for _, p := range part {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, make([]byte, info.Size()), 0o600); err != nil { // zeros, as after a power cut
			t.Fatal(err)
		}
	}
	if _, err := w.pull(w.options(), ""); err != nil {
		t.Fatal(err)
	}
	w.check(testRepo, append(tinyFiles, "model.onnx.data_1")...)
	// Marks that are no marks.
	w.Change(func() { w.Commit, w.Files["model.onnx.data_1"] = strings.Repeat("d1", 20), testhub.Random(6, size) })
	st, err := w.store.Stage(testRepo, stageKind)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Root.Mkdir(blobs, 0o755); err != nil {
		t.Fatal(err)
	}
	id := testhub.SHA256(w.Files["model.onnx.data_1"])
	for name, data := range map[string][]byte{id + ".pieces": testhub.Random(7, 1<<20), id + ".part": testhub.Random(8, 3<<20), "stale.part": nil} {
		if err := st.Root.WriteFile(blobs+"/"+name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.pull(w.options(), ""); err != nil {
		t.Fatal(err)
	}
	w.check(testRepo, append(tinyFiles, "model.onnx.data_1")...)
}

// What a cache of huggingface_hub holds is not downloaded, and is verified like all else.
func TestCache(t *testing.T) {
	w := newWorld(t, map[string][]byte{"model.onnx.data_1": testhub.Random(9, 3<<20), "model.onnx.data_2": testhub.Random(10, 3<<20)})
	cache := t.TempDir()
	dir := filepath.Join(cache, "models--org--tiny-onnx", "blobs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range w.Files {
		id := testhub.BlobID(data)
		if testhub.Large(data) {
			id = testhub.SHA256(data)
		}
		if name == "model.onnx.data_2" { // damaged
			data = append(testhub.Random(11, 1<<20), data[1<<20:]...)
		}
		if err := os.WriteFile(filepath.Join(dir, id), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := w.options()
	o.Cache = cache
	r, err := w.pull(o, "")
	if err != nil {
		t.Fatal(err)
	}
	w.check(testRepo, append(tinyFiles, "model.onnx.data_1", "model.onnx.data_2")...)
	if w.Sent.Load() != 3<<20 || r.Received != 3<<20 {
		t.Errorf("%d bytes were sent, %d received, want those of the damaged file alone", w.Sent.Load(), r.Received)
	}
}

// Two pulls of one name at a time: one is told so.
func TestTwoAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	st, err := w.store.Stage(testRepo, stageKind)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.pull(w.options(), ""); !errors.Is(err, models.ErrBusy) {
		t.Errorf("error %v, want ErrBusy", err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.pull(w.options(), ""); err != nil {
		t.Error(err)
	}
}

func TestRefs(t *testing.T) {
	f := func(s, id, quant, name string) {
		t.Helper()
		r, err := ParseRef(s)
		if name == "" {
			if !errors.Is(err, models.ErrName) {
				t.Errorf("%q: %+v, %v, want ErrName", s, r, err)
			}
			return
		}
		if err != nil || r.ID != id || r.Quant != quant || r.Name() != name {
			t.Errorf("%q: %+v, %v", s, r, err)
		}
	}
	f("org/repo", "org/repo", "", "org/repo:latest")
	f("org/repo:latest", "org/repo", "", "org/repo:latest")
	f("hf.co/org/repo:Q4_K_M", "org/repo", "Q4_K_M", "org/repo:Q4_K_M")
	f("https://huggingface.co/org/repo.x", "org/repo.x", "", "org/repo.x:latest")
	for _, s := range []string{"llama3.2:1b", "a/b/c", "a/b:", "../b", "a/..", "a/b@c", "a/b:c:d", "a b/c", "", "/", "a/b?x=1", "a/" + strings.Repeat("b", 300)} {
		f(s, "", "", "")
	}
	if _, err := New(Options{Endpoint: "ftp://x"}); err == nil || !strings.Contains(err.Error(), "HF_ENDPOINT") {
		t.Errorf("an endpoint that is none: %v", err)
	}
}

// What is not a graph yet is imported, and nothing of what was downloaded for that stays.
func TestPullAndImport(t *testing.T) {
	f := func(files map[string][]byte, quant, form, quantization string) {
		t.Helper()
		w := newWorld(t, nil)
		w.Files = files
		r, err := w.pull(w.options(), quant)
		if err != nil {
			t.Error(err)
			return
		}
		if r.Form != form || !strings.Contains(r.Model.Quantization, quantization) {
			t.Errorf("%s was imported as %s, want %s as %s", r.Form, r.Model.Quantization, form, quantization)
		}
		if left, _ := filepath.Glob(filepath.Join(w.root, "*", ".*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		if weights, _ := filepath.Glob(filepath.Join(r.Model.Dir, "*.[sg][ag]*")); len(weights) > 0 {
			t.Errorf("the sources are still there: %v", weights)
		}
		if r, err = w.pull(w.options(), quant); err != nil || !r.Fresh {
			t.Errorf("again: %+v, %v", r, err)
		}
	}
	folder := filepath.Join("..", "convert", "testdata", "checkpoints", "llama-tied")
	f(testhub.Folder(t, folder), "", "safetensors", "int8")
	f(testhub.Folder(t, folder), "4bit", "safetensors", "int4")
	gguf := filepath.Join(t.TempDir(), "tiny-Q8_0.gguf")
	if err := (testmodel.Config{}).GGUF("smollm").Write(gguf); err != nil {
		t.Fatal(err)
	}
	f(testhub.Folder(t, filepath.Dir(gguf)), "", "tiny-Q8_0.gguf", "int8")
	f(testhub.Folder(t, filepath.Dir(gguf)), "q8_0", "tiny-Q8_0.gguf", "int8")
}

// A disk that is too small is told before anything is downloaded, and one that fills up meanwhile leaves what can be gone on with.
func TestDiskFull(t *testing.T) {
	if err := roomFor(t.TempDir(), 1<<60); err == nil || !strings.Contains(err.Error(), "MB are free") || !strings.Contains(err.Error(), "1152921504673 MB are needed") {
		t.Errorf("an exabyte: %v", err)
	}
	w := newWorld(t, map[string][]byte{"model.onnx.data_1": testhub.Random(30, 20<<20)})
	small := t.TempDir()
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=80m"); err != nil {
		t.Skipf("a file system of a size cannot be mounted here (%v): a disk that fills up was not tried", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(small, unix.MNT_DETACH) })
	var err error
	if w.store, err = models.OpenStore(small); err != nil {
		t.Fatal(err)
	}
	defer w.store.Close()
	if _, err := w.pull(w.options(), ""); err == nil || !strings.Contains(err.Error(), "MB are free") {
		t.Errorf("20 MiB where 16 may be used: %v", err)
	}
	if w.Requests.Load() > 0 {
		t.Error("files were asked for")
	}
	w.Change(func() { w.Files["model.onnx.data_1"] = testhub.Random(31, 12<<20) })
	ballast := filepath.Join(small, "ballast")
	fill := sync.OnceFunc(func() { _ = os.WriteFile(ballast, make([]byte, 80<<20), 0o600) })
	w.Change(func() { w.Before = func(http.ResponseWriter, *http.Request, string) bool { fill(); return false } })
	if _, err := w.pull(w.options(), ""); err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("a disk that fills up: %v", err)
	}
	w.nothingListed()
	w.Change(func() { w.Before = nil })
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if _, err := w.pull(w.options(), ""); err != nil {
		t.Error(err)
	}
	m, err := w.store.Find(testRepo)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(m.Dir, "model.onnx.data_1")); err != nil || testhub.SHA256(got) != testhub.SHA256(w.Files["model.onnx.data_1"]) {
		t.Errorf("after it: %d bytes, %v", len(got), err)
	}
}
