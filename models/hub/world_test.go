package hub

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ortserve/internal/testhub"
	"ortserve/models"
)

const testRepo = testhub.Repo

// options are those of a client that does not wait long.
func (w *world) options() Options {
	return Options{Endpoint: w.URL, Stall: 2 * time.Second, Backoff: time.Millisecond, Attempts: 4}
}

// world is a hub and a store.
type world struct {
	*testhub.Hub

	t     *testing.T
	store *models.Store
	root  string
}

// newWorld returns a hub with the files of a tiny model, and extra ones, and an empty store.
func newWorld(t *testing.T, extra map[string][]byte) *world {
	t.Helper()
	files := testhub.TinyModel(t)
	maps.Copy(files, extra)
	w := &world{Hub: testhub.New(t, files), t: t, root: t.TempDir()}
	var err error
	if w.store, err = models.OpenStore(w.root); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.store.Close() })
	return w
}

// pull pulls the repository with these options.
func (w *world) pull(o Options, quant string) (*Result, error) {
	w.t.Helper()
	h, err := New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	return h.Pull(w.t.Context(), w.store, Request{Ref: Ref{ID: testRepo, Quant: quant}})
}

// interrupted pulls slowly and gives up after three mebibytes.
func (w *world) interrupted() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	h, err := New(w.options())
	if err != nil {
		w.t.Fatal(err)
	}
	w.Rate.Store(4 << 20)
	defer w.Rate.Store(0)
	_, err = h.Pull(ctx, w.store, Request{Ref: Ref{ID: testRepo}, Progress: func(p Progress) {
		if p.Done >= 3<<20 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		w.t.Fatalf("error %v, want that of the context", err)
	}
}

// check compares the model with the hub's files.
func (w *world) check(name string, files ...string) {
	w.t.Helper()
	m, err := w.store.Find(name)
	if err != nil {
		w.t.Error(err)
		return
	}
	for _, f := range files {
		got, err := os.ReadFile(filepath.Join(m.Dir, f))
		if err != nil || !bytes.Equal(got, w.Files[f]) {
			w.t.Errorf("%s: %d bytes, %v, the hub has %d", f, len(got), err, len(w.Files[f]))
		}
	}
	if left, _ := filepath.Glob(filepath.Join(w.root, "*", ".*")); len(left) > 0 {
		w.t.Errorf("left behind: %v", left)
	}
}

// nothingListed fails the test where the store lists a model.
func (w *world) nothingListed() {
	w.t.Helper()
	if list, err := w.store.List(); len(list) > 0 || err != nil {
		w.t.Errorf("the store lists %v, %v", list, err)
	}
}
