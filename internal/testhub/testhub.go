// Package testhub is a Hugging Face-style hub on loopback, for tests: the list of one repository, and its files.
package testhub

import (
	"crypto/sha1" //nolint:gosec // git's blob ids are SHA-1
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ortserve/internal/testmodel"
)

// Hub is a hub. Small files lie in git, those above 64 KiB in large-file storage.
type Hub struct {
	*httptest.Server

	mu sync.Mutex // of what follows, while the hub serves; see Change

	Commit string
	Files  map[string][]byte

	List   func(list map[string]any)                                             // changes the list before it is sent
	Before func(w http.ResponseWriter, r *http.Request, path string) (done bool) // may answer a request for a file itself

	Rate     atomic.Int64 // bytes a second of each answer; 0 is any
	Sent     atomic.Int64 // bytes of files
	Requests atomic.Int64 // for files
	Lists    atomic.Int64 // requests for the list
}

// Repo is the name of the repository.
const Repo = "org/tiny-onnx"

// New serves these files until the test ends.
func New(t testing.TB, files map[string][]byte) *Hub {
	t.Helper()
	h := &Hub{Commit: strings.Repeat("c0", 20), Files: files}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

// TinyModel returns the files of a tiny model that is a graph already.
func TinyModel(t testing.TB) map[string][]byte {
	t.Helper()
	dir := t.TempDir()
	if err := testmodel.Write(dir, testmodel.Config{}); err != nil {
		t.Fatal(err)
	}
	return Folder(t, dir)
}

// Folder returns the files of a folder.
func Folder(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// Large says whether a file lies in large-file storage.
func Large(data []byte) bool { return len(data) > 64<<10 }

// SHA256 is the digest of a file in large-file storage.
func SHA256(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// BlobID is git's digest of a file.
func BlobID(data []byte) string {
	sum := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(data)), data...)) //nolint:gosec // see above
	return hex.EncodeToString(sum[:])
}

// Change calls f, which changes the fields, while no request is looking at them: a client that has gone may have left one behind.
func (h *Hub) Change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

// ServeHTTP implements http.Handler.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if path, ok := strings.CutPrefix(r.URL.Path, "/api/models/"); ok {
		h.Lists.Add(1)
		h.serveList(w, r, path)
		return
	}
	h.mu.Lock()
	commit := h.Commit
	h.mu.Unlock()
	path, ok := strings.CutPrefix(r.URL.Path, "/"+Repo+"/resolve/"+commit+"/")
	if !ok {
		http.NotFound(w, r)
		return
	}
	h.Requests.Add(1)
	h.mu.Lock()
	data, ok := h.Files[path]
	before := h.Before
	h.mu.Unlock()
	switch {
	case before != nil && before(w, r, path):
	case !ok:
		http.NotFound(w, r)
	default:
		h.ServeFile(w, r, data)
	}
}

func (h *Hub) serveList(w http.ResponseWriter, r *http.Request, path string) {
	id, revision, ok := strings.Cut(path, "/revision/")
	h.mu.Lock()
	defer h.mu.Unlock()
	if !ok || id != Repo || revision != "main" && revision != h.Commit {
		http.NotFound(w, r)
		return
	}
	var siblings []map[string]any
	for _, name := range slices.Sorted(maps.Keys(h.Files)) {
		data := h.Files[name]
		s := map[string]any{"rfilename": name, "size": len(data), "blobId": BlobID(data)}
		if Large(data) {
			s["blobId"] = BlobID([]byte("a pointer to it"))
			s["lfs"] = map[string]any{"sha256": SHA256(data), "size": len(data), "pointerSize": 134}
		}
		siblings = append(siblings, s)
	}
	list := map[string]any{"id": Repo, "sha": h.Commit, "siblings": siblings, "gated": false}
	if h.List != nil {
		h.List(list)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list)
}

// ServeFile sends a file, or a range of it, at the hub's rate.
func (h *Hub) ServeFile(w http.ResponseWriter, r *http.Request, data []byte) {
	first, last := 0, len(data)-1
	if spec, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok && len(data) > 0 {
		a, b, _ := strings.Cut(spec, "-")
		first, _ = strconv.Atoi(a)
		last, _ = strconv.Atoi(b)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(data)))
		w.Header().Set("Content-Length", strconv.Itoa(last-first+1))
		w.WriteHeader(http.StatusPartialContent)
	}
	const step = 64 << 10
	for at := first; at <= last; at += step {
		n, err := w.Write(data[at:min(at+step, last+1)])
		h.Sent.Add(int64(n))
		if err != nil {
			return
		}
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		if rate := h.Rate.Load(); rate > 0 {
			time.Sleep(time.Duration(step * int64(time.Second) / rate))
		}
	}
}

// Random returns bytes that no two seeds share.
func Random(seed uint64, n int) []byte {
	b := make([]byte, n)
	x := seed*0x9e3779b97f4a7c15 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}
