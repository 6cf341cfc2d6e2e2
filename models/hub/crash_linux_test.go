package hub

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ortserve/internal/crashfs"
	"ortserve/internal/testhub"
	"ortserve/models"
)

// TestPowerFailure lets the power fail after each change of the disk that two pulls make, the second of a newer revision. Whatever the
// disk kept, a model that is listed is whole: the one revision or the other. What a pull has reported is there. A later pull mends the
// rest.
func TestPowerFailure(t *testing.T) {
	dir, log := crashfs.Mount(t)
	w := newWorld(t, map[string][]byte{"model.onnx.data": testhub.Random(1, 3<<20)})
	var err error
	if w.store, err = models.OpenStore(filepath.Join(dir, "models")); err != nil {
		t.Fatal(err)
	}
	w.root = filepath.Join(dir, "models")
	t.Cleanup(func() { _ = w.store.Close() })
	var revisions []map[string][]byte
	var ends []int
	for i := range 2 {
		w.Change(func() {
			w.Files["model.onnx.data"], w.Commit = testhub.Random(uint64(i), 3<<20), testhub.SHA256([]byte{byte(i)})[:40]
		})
		if _, err := w.pull(w.options(), ""); err != nil {
			t.Fatal(err)
		}
		files := append(slices.Clone(tinyFiles), "model.onnx.data")
		w.check(testRepo, files...)
		revision := map[string][]byte{}
		for _, name := range files {
			revision[name] = w.Files[name]
		}
		revisions, ends = append(revisions, revision), append(ends, log.Len())
	}
	turns := log.Turns()
	if testing.Short() {
		turns = slices.DeleteFunc(turns, func(n int) bool { return n%16 != 0 && !slices.Contains(ends, n) })
	}
	r, states, listed, mended := rand.New(rand.NewPCG(3, 4)), 0, 0, 0
	for _, n := range turns {
		for _, loss := range []crashfs.Loss{crashfs.All, crashfs.Data, crashfs.Names, crashfs.Some} {
			states++
			at := t.TempDir()
			if err := log.Crash(at, n, loss, r); err != nil {
				t.Fatal(err)
			}
			revision := whole(t, filepath.Join(at, "models"), revisions)
			if revision >= 0 {
				listed++
			}
			if i := slices.Index(ends, n); i >= 0 && revision != i {
				t.Errorf("after the pull of revision %d has ended, loss %d: revision %d is there", i, loss, revision)
			}
			if r.IntN(20) == 0 {
				mended++
				after := &world{Hub: w.Hub, t: t, root: filepath.Join(at, "models")}
				if after.store, err = models.OpenStore(after.root); err != nil {
					t.Fatal(err)
				}
				if _, err := after.pull(after.options(), ""); err != nil {
					t.Errorf("after change %d, loss %d: the next pull: %v", n, loss, err)
				}
				if got := whole(t, after.root, revisions); got != 1 {
					t.Errorf("after change %d, loss %d: the next pull leaves revision %d", n, loss, got)
				}
				_ = after.store.Close()
			}
			if err := os.RemoveAll(at); err != nil {
				t.Fatal(err)
			}
		}
	}
	if listed < 8 || mended < 1 {
		t.Errorf("only %d states list a model, %d were mended", listed, mended)
	}
	t.Logf("%d states of the disk after %d changes: %d list a model, each whole; %d were pulled to again", states, log.Len(), listed, mended)
}

// whole returns which revision the store in dir lists, -1 where it lists none. What is listed must be whole.
func whole(t *testing.T, dir string, revisions []map[string][]byte) int {
	t.Helper()
	store, err := models.OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	list, err := store.List()
	if err != nil {
		t.Errorf("the list: %v", err)
	}
	if len(list) == 0 {
		return -1
	}
	for i, files := range revisions {
		same := true
		for name, want := range files {
			got, err := os.ReadFile(filepath.Join(list[0].Dir, name))
			same = same && err == nil && bytes.Equal(got, want)
		}
		if same {
			return i
		}
	}
	t.Errorf("%s is listed and is neither revision", list[0].Name)
	return -1
}
