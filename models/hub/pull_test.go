package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
	w.Commit = strings.Repeat("d1", 20)
	w.Files["LICENSE"] = []byte("freer")
	if r, err = w.pull(w.options(), ""); err != nil || r.Fresh || r.Commit != w.Commit {
		t.Errorf("a new commit: %+v, %v", r, err)
	}
	w.check(testRepo, append(tinyFiles, "LICENSE")...)
}

// What comes, and how often, whatever the hub does on the way.
func TestHubFaults(t *testing.T) {
	const size = 6<<20 + 7
	other := testhub.Random(4, size)
	every := func(n int64, do func(w http.ResponseWriter, r *http.Request, data []byte)) func(*world) {
		return func(w *world) {
			var count atomic.Int64
			w.Before = func(rw http.ResponseWriter, r *http.Request, path string) bool {
				if count.Add(1)%n != 0 || !strings.HasPrefix(path, "model.onnx.data_1") {
					return false
				}
				do(rw, r, w.Files[path])
				return true
			}
		}
	}
	status := func(code int, header ...string) func(http.ResponseWriter, *http.Request, []byte) {
		return func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
		}
	}
	f := func(what string, set func(*world), wantErr string) {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, map[string][]byte{"model.onnx.data_1": testhub.Random(3, size)})
			set(w)
			o := w.options()
			o.Stall, o.Attempts = 700*time.Millisecond, 12
			_, err := w.pull(o, "")
			if wantErr == "" {
				if err != nil {
					t.Fatal(err)
				}
				w.check(testRepo, append(tinyFiles, "model.onnx.data_1")...)
				return
			}
			if err == nil || !strings.Contains(err.Error(), wantErr) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line with %q", err, wantErr)
			}
			w.nothingListed()
			if n := w.Requests.Load(); n > 100 {
				t.Errorf("%d requests: the attempts are not bounded", n)
			}
		})
	}
	f("each second request fails", every(2, status(503)), "")
	f("each second request is one too many", every(2, status(429, "Retry-After", "0")), "")
	f("all fail", every(1, status(500)), "the hub answers 500")
	f("all are too many", every(1, status(429)), "429")
	f("forbidden", every(1, status(403, "X-Error-Message", "Access to this is restricted")), "HF_TOKEN")
	f("unauthorized", every(1, status(401)), "HF_TOKEN")
	f("missing", every(1, status(404)), "model.onnx.data_1")
	f("stalls sometimes", every(2, func(w http.ResponseWriter, r *http.Request, data []byte) {
		w.Header().Set("Content-Range", strings.Replace(r.Header.Get("Range"), "=", " ", 1)+fmt.Sprintf("/%d", len(data)))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(data[:1])
		w.(http.Flusher).Flush()
		time.Sleep(1500 * time.Millisecond)
	}), "")
	f("is silent sometimes", every(3, func(http.ResponseWriter, *http.Request, []byte) { time.Sleep(1500 * time.Millisecond) }), "")
	f("ends early", every(2, func(w http.ResponseWriter, _ *http.Request, data []byte) {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		_, _ = w.Write(data[:len(data)/3])
	}), "")
	f("ignores ranges", func(w *world) {
		w.Before = func(rw http.ResponseWriter, r *http.Request, path string) bool {
			r.Header.Del("Range")
			return false
		}
	}, "")
	f("sends more than there is", every(1, func(w http.ResponseWriter, _ *http.Request, data []byte) {
		for range 10 {
			if _, err := w.Write(data); err != nil {
				return
			}
		}
	}), "") // as far as the file goes it is right: the rest is not read
	f("is endless", every(1, func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		for b := make([]byte, 1<<20); ; {
			if _, err := w.Write(b); err != nil {
				return
			}
		}
	}), "is not what the list says")
	f("another size", every(1, func(w http.ResponseWriter, _ *http.Request, data []byte) {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)-1))
		_, _ = w.Write(data[:len(data)-1])
	}), "the list says")
	f("another size in ranges", every(1, func(w http.ResponseWriter, r *http.Request, data []byte) {
		w.Header().Set("Content-Range", strings.Replace(r.Header.Get("Range"), "=", " ", 1)+fmt.Sprintf("/%d", len(data)+1))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(data)
	}), "its size is not what the list says")
	f("other bytes", every(1, func(w http.ResponseWriter, _ *http.Request, _ []byte) { _, _ = w.Write(other) }), "is not what the list says")
	f("packed", every(1, func(w http.ResponseWriter, _ *http.Request, data []byte) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(data)
	}), `"gzip"`)
	f("the list fails at first", func(w *world) {
		w.List = func(m map[string]any) {
			if w.Lists.Load() < 3 {
				m["sha"] = 7 // not a string
			}
		}
	}, "its list is damaged")
}

// A list that would lead outside, or to what cannot be verified, is refused before anything is written.
func TestHostileLists(t *testing.T) {
	sibling := func(change func(map[string]any)) func(map[string]any) {
		return func(list map[string]any) {
			s := map[string]any{"rfilename": "config2.json", "size": 3, "blobId": testhub.BlobID([]byte("abc"))}
			change(s)
			list["siblings"] = append(list["siblings"].([]map[string]any), s)
		}
	}
	named := func(name string) func(map[string]any) {
		return sibling(func(s map[string]any) { s["rfilename"] = name })
	}
	w := newWorld(t, nil)
	f := func(what string, list func(map[string]any), want string) {
		t.Helper()
		w.List = list
		_, err := w.pull(w.options(), "")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line with %q", what, err, want)
		}
		if entries, err := os.ReadDir(w.root); err != nil || len(entries) > 0 {
			t.Errorf("%s: something was written: %v, %v", what, entries, err)
		}
		if w.Requests.Load() > 0 {
			t.Errorf("%s: files were asked for", what)
		}
	}
	for _, name := range []string{
		"../../x", "..", "/etc/passwd", "a/../../x", "a//b", "./a", `..\x`, `C:\x`, "a\x00b", "", strings.Repeat("a", 2000), "a/\x1b[2J", "a\nb",
	} {
		f(fmt.Sprintf("%.20q", name), named(name), "is not taken")
	}
	f("a size below zero", sibling(func(s map[string]any) { s["size"] = -1 }), "-1 bytes")
	f("no digest of large-file storage", sibling(func(s map[string]any) { s["lfs"] = map[string]any{"size": 5, "sha256": "../../x"} }), "no digest")
	f("another digest", sibling(func(s map[string]any) { s["blobId"] = "ABC" }), "no digest")
	f("no commit", func(l map[string]any) { l["sha"] = "main" }, "names no commit")
	f("too many files", func(l map[string]any) {
		l["siblings"] = make([]map[string]any, maxFiles+1)
	}, "at most")
	f("a huge list", func(l map[string]any) { l["cardData"] = strings.Repeat("a", maxList) }, "more than")
	f("no digest", func(l map[string]any) {
		for _, s := range l["siblings"].([]map[string]any) {
			delete(s, "blobId")
			delete(s, "lfs")
		}
	}, "could not be verified")
	f("no model", func(l map[string]any) { l["siblings"] = []map[string]any{} }, "holds no model")
}

// A killed process's marks may say more than reached the disk: then the file is fetched again, once, and what is listed is right.
func TestTornState(t *testing.T) {
	const size = 8 << 20
	w := newWorld(t, map[string][]byte{"model.onnx.data_1": testhub.Random(5, size)})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h, err := New(w.options())
	if err != nil {
		t.Fatal(err)
	}
	w.Rate.Store(4 << 20)
	_, err = h.Pull(ctx, w.store, Request{Ref: Ref{ID: testRepo}, Progress: func(p Progress) {
		if p.Done >= 3<<20 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want that of the context", err)
	}
	w.nothingListed()
	w.Rate.Store(0)
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
	w.Commit = strings.Repeat("d1", 20)
	w.Files["model.onnx.data_1"] = testhub.Random(6, size)
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

// The token is shown to the endpoint's host, and to nobody whom it redirects to; a redirect into a private network is refused.
func TestRedirects(t *testing.T) {
	var foreign atomic.Value
	f := func(what string, location func(w *world, r *http.Request) string, wantErr string) {
		t.Helper()
		w := newWorld(t, nil)
		var token atomic.Value
		w.Before = func(rw http.ResponseWriter, r *http.Request, _ string) bool {
			token.Store(r.Header.Get("Authorization"))
			if r.URL.Query().Get("again") == "1" {
				return false
			}
			rw.Header().Set("Location", location(w, r))
			rw.WriteHeader(http.StatusFound)
			return true
		}
		o := w.options()
		o.Token = "secret"
		_, err := w.pull(o, "")
		if wantErr == "" && err != nil || wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)) {
			t.Errorf("%s: error %v, want %q", what, err, wantErr)
		}
		if got := token.Load(); got != "Bearer secret" {
			t.Errorf("%s: the hub was shown %q", what, got)
		}
		if n := w.Requests.Load(); n > 100 {
			t.Errorf("%s: %d requests", what, n)
		}
	}
	other := testhub.New(t, testhub.TinyModel(t))
	other.Before = func(_ http.ResponseWriter, r *http.Request, _ string) bool {
		foreign.Store(r.Header.Get("Authorization"))
		return false
	}
	f("to the same host", func(_ *world, r *http.Request) string { return r.URL.Path + "?again=1" }, "")
	f("for ever", func(_ *world, r *http.Request) string { return r.URL.Path }, "more than 5 times")
	f("to loopback", func(_ *world, r *http.Request) string { return other.URL + r.URL.Path }, "private network")
	f("to a link-local address", func(*world, *http.Request) string { return "http://169.254.169.254/latest/meta-data" }, "private network")
	f("to a private address", func(*world, *http.Request) string { return "http://10.0.0.1/x" }, "private network")
	f("to a private IPv6 address", func(*world, *http.Request) string { return "http://[fd00::1]/x" }, "private network")
	f("to a mapped address", func(*world, *http.Request) string { return "http://[::ffff:127.0.0.1]/x" }, "private network")
	f("to a name of loopback", func(w *world, r *http.Request) string {
		return strings.Replace(other.URL, "127.0.0.1", "localhost", 1) + r.URL.Path
	}, "private network")
	f("to a file", func(*world, *http.Request) string { return "file:///etc/passwd" }, "no web address")
	f("nowhere", func(*world, *http.Request) string { return "" }, "redirects to")
	if got := foreign.Load(); got != nil {
		t.Errorf("another host was asked, and shown %q", got)
	}

	// The transport for foreign hosts shows no token; its check of addresses is what the lines above have tried.
	h, err := New(Options{Endpoint: "http://hub.invalid", Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	h.away = h.home // as if loopback were public
	u, err := url.Parse(strings.Replace(other.URL, "127.0.0.1", "localhost", 1) + "/" + testRepo + "/resolve/" + other.Commit + "/config.json")
	if err != nil {
		t.Fatal(err)
	}
	a, err := h.open(t.Context(), u, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	if got := foreign.Load(); a.status != http.StatusOK || got != "" {
		t.Errorf("status %d, another host was shown %q", a.status, got)
	}
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
	w.Files["model.onnx.data_1"] = testhub.Random(31, 12<<20)
	ballast := filepath.Join(small, "ballast")
	fill := sync.OnceFunc(func() { _ = os.WriteFile(ballast, make([]byte, 80<<20), 0o600) })
	w.Before = func(http.ResponseWriter, *http.Request, string) bool { fill(); return false }
	if _, err := w.pull(w.options(), ""); err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("a disk that fills up: %v", err)
	}
	w.nothingListed()
	w.Before = nil
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
