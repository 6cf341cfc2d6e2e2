package hub

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ortserve/internal/testhub"
)

// cacheOf writes files as huggingface_hub's cache has them after a download of main, but for the contents of what is left out.
func (w *world) cacheOf(leftOut ...string) string {
	w.t.Helper()
	cache := w.t.TempDir()
	dir := filepath.Join(cache, "models--org--tiny-onnx")
	write := func(name string, data []byte) {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(p, data, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	write("refs/main", []byte(w.Commit))
	write("refs/pr/1", []byte(strings.Repeat("ab", 20)))
	for name, data := range w.Files {
		id := testhub.BlobID(data)
		if testhub.Large(data) {
			id = testhub.SHA256(data)
		}
		write("blobs/"+id, data)
		link := filepath.Join(dir, "snapshots", w.Commit, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			w.t.Fatal(err)
		}
		if err := os.Symlink(strings.Repeat("../", 2+strings.Count(name, "/"))+"blobs/"+id, link); err != nil {
			w.t.Fatal(err)
		}
		for _, l := range leftOut {
			if l == name {
				if err := os.Remove(filepath.Join(dir, "blobs", id)); err != nil {
					w.t.Fatal(err)
				}
			}
		}
	}
	return cache
}

// Offline a model comes out of the cache, verified, and what is not there is named; the hub is never asked.
func TestOffline(t *testing.T) {
	nested := map[string][]byte{"onnx/model.onnx_data": testhub.Random(41, 1<<20)}
	w := newWorld(t, nested)
	for _, name := range []string{"model.onnx", "model.onnx.data"} {
		w.Files["onnx/"+name] = w.Files[name]
		delete(w.Files, name)
	}
	delete(w.Files, "genai_config.json") // it names a graph beside it
	o := w.options()
	o.Offline, o.Cache = true, w.cacheOf()
	r, err := w.pull(o, "")
	if err != nil {
		t.Fatal(err)
	}
	if r.Commit != w.Commit || r.Form != "onnx/model.onnx" || r.Received != 0 {
		t.Errorf("%+v", r)
	}
	for name, data := range w.Files {
		got, err := os.ReadFile(filepath.Join(r.Model.Dir, filepath.FromSlash(name)))
		if err != nil || testhub.SHA256(got) != testhub.SHA256(data) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if r, err = w.pull(o, ""); err != nil || !r.Fresh {
		t.Errorf("again: %+v, %v", r, err)
	}
	if err := w.store.Remove(testRepo); err != nil {
		t.Fatal(err)
	}

	f := func(what, cache, revision string, want ...string) {
		t.Helper()
		o.Cache = cache
		h, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.Pull(t.Context(), w.store, Request{Ref: Ref{ID: testRepo}, Revision: revision})
		for _, part := range append(want, "the network is not used (--offline") {
			if err == nil || !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: error %v, want one line with %q", what, err, part)
			}
		}
		w.nothingListed()
	}
	f("no cache", "", "", "there is no cache")
	f("an empty cache", t.TempDir(), "", testRepo, "does not hold the repository")
	f("another revision", w.cacheOf(), "v2", "does not hold revision v2")
	f("a commit that is not there", w.cacheOf(), "refs/pr/1", "revision refs/pr/1")
	f("a commit without files", w.cacheOf(), "pr/1", "a file of commit abab")
	f("a commit by its digits", w.cacheOf(), strings.Repeat("0f", 20), "a file of commit 0f0f")
	f("contents that are gone", w.cacheOf("onnx/model.onnx_data"), "", "no whole copy of onnx/model.onnx_data")
	damaged := w.cacheOf()
	blob := filepath.Join(damaged, "models--org--tiny-onnx", "blobs", testhub.SHA256(w.Files["onnx/model.onnx_data"]))
	if err := os.WriteFile(blob, testhub.Random(42, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	f("damaged contents", damaged, "", "no whole copy of onnx/model.onnx_data")
	if n := w.Requests.Load() + w.Lists.Load(); n > 0 {
		t.Errorf("the hub was asked %d times", n)
	}
	if !FromEnv(func(name string) string { return map[string]string{"HF_HUB_OFFLINE": "TRUE"}[name] }).Offline {
		t.Error("HF_HUB_OFFLINE is not heard")
	}
}
