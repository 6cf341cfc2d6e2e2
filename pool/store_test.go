package pool

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ortserve/internal/testmodel"
	"ortserve/models"
)

// What the store holds is served as it comes and goes, and what was loaded of a model that has changed ends with its users.
func TestStore(t *testing.T) {
	root := t.TempDir()
	store, err := models.OpenStore(root)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	p := New(Options{Store: store, Default: "default:x", Open: nothing, Queue: 128, Logger: slog.New(slog.DiscardHandler)})
	defer func() {
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	if err := p.Load(t.Context()); err != nil || !p.Ready() || p.Serving() {
		t.Errorf("an empty store: %v, ready %v, serving %v; want ready alone", err, p.Ready(), p.Serving())
	}
	get := func(name, want string) *Loaded {
		t.Helper()
		l, release, err := p.Get(t.Context(), name, User{})
		switch {
		case want == "":
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("%q: %v, want ErrNotFound", name, err)
			}
			return nil
		case err != nil:
			t.Fatalf("%q: %v", name, err)
		case l.Model.Name != want:
			t.Errorf("%q is served by %s, want %s", name, l.Model.Name, want)
		}
		release()
		return l
	}
	write := func(dir string, seed uint64) {
		t.Helper()
		dir = filepath.Join(root, dir)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := testmodel.Write(dir, testmodel.Config{Seed: seed}); err != nil {
			t.Fatal(err)
		}
	}
	f := func(names ...string) {
		t.Helper()
		if got, want := strings.Join(p.Served(), " "), strings.Join(names, " "); got != want {
			t.Errorf("served: %q, want %q", got, want)
		}
	}
	f()
	get("", "")
	get("a", "")
	get("../a", "")
	write("org/b@q4", 1)
	write("c@latest", 2)
	f("c:latest", "org/b:q4")
	get("", "c:latest") // the first by name
	first := get("c", "c:latest")
	get("org/b:q4", "org/b:q4")
	get("b:q4", "")
	write("default@x", 3)
	get("", "default:x")
	if again := get("c:latest", "c:latest"); again != first {
		t.Error("what has not changed was loaded again")
	}
	write("c@latest", 4)
	if again := get("c:latest", "c:latest"); again == first || again.Model.Digest == first.Model.Digest {
		t.Error("what has changed is served as it was")
	}
	if err := os.RemoveAll(filepath.Join(root, "c@latest")); err != nil {
		t.Fatal(err)
	}
	get("c", "")
	f("default:x", "org/b:q4")
	for _, l := range p.Loaded() {
		if l.Model.Name == "c:latest" {
			t.Error("what is gone is loaded")
		}
	}
}
