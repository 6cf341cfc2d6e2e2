package models

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func namesOf(t *testing.T, s *Store) []string {
	t.Helper()
	list, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range list {
		names = append(names, m.Name)
	}
	return names
}

// hidden lists what begins with a dot anywhere in the store: nothing is left of what has ended.
func hidden(t *testing.T, root string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(filepath.Base(path), ".") {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A copy is the same model under another name; each can be removed without the other.
func TestCopyAndRemove(t *testing.T) {
	s, root := store(t, "org/a@q4", "b@latest")
	f := func(what string, err error, want ...string) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if diff := cmp.Diff(want, namesOf(t, s)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		if left := hidden(t, root); len(left) > 0 {
			t.Errorf("%s: left behind: %v", what, left)
		}
	}
	a, err := s.Find("org/a:q4")
	if err != nil {
		t.Fatal(err)
	}
	f("copy", s.Copy("org/a:q4", "host.example/org/c"), "b:latest", "host.example/org/c:latest", "org/a:q4")
	c, err := s.Find("host.example/org/c")
	if err != nil || c.Digest != a.Digest || c.Size != a.Size || c.ChatTemplate != a.ChatTemplate {
		t.Errorf("the copy is %+v, %v", c, err)
	}
	one, err1 := os.Stat(a.Graph)
	two, err2 := os.Stat(c.Graph)
	if err1 != nil || err2 != nil || !os.SameFile(one, two) {
		t.Errorf("the copy takes room of its own: %v, %v", err1, err2)
	}
	f("copy onto itself", s.Copy("b", "b:latest"), "b:latest", "host.example/org/c:latest", "org/a:q4")
	f("remove the first", s.Remove("org/a:q4"), "b:latest", "host.example/org/c:latest")
	if _, err := os.Stat(filepath.Join(root, "org")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of no model is still there: %v", err)
	}
	if again, err := s.Find("host.example/org/c"); err != nil || again.Digest != a.Digest {
		t.Errorf("without the first: %+v, %v", again, err)
	}
	f("copy in another's place", s.Copy("host.example/org/c", "b"), "b:latest", "host.example/org/c:latest")
	f("remove the copy", s.Remove("host.example/org/c"), "b:latest")
	f("remove the last", s.Remove("b"))

	for _, name := range []string{"b", "org/a:q4"} {
		if err := s.Remove(name); !errors.Is(err, ErrNotFound) {
			t.Errorf("remove %s: %v, want ErrNotFound", name, err)
		}
	}
	for _, name := range []string{"../b", "a/../../b", ".hidden", "a:..", ""} {
		if err := s.Remove(name); !errors.Is(err, ErrName) {
			t.Errorf("remove %q: %v, want ErrName", name, err)
		}
		if err := s.Copy(name, "x"); !errors.Is(err, ErrName) {
			t.Errorf("copy %q: %v, want ErrName", name, err)
		}
	}
	if err := s.Copy("absent", "x"); !errors.Is(err, ErrNotFound) {
		t.Errorf("copy of what is not there: %v", err)
	}
}

// What an attempt to get a model has left goes with its name; one that is under way is left alone.
func TestRemoveStaged(t *testing.T) {
	s, root := store(t, "a@latest")
	for _, name := range []string{"a", "org/b:q4"} {
		st, err := s.Stage(name, "pulling")
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Root.WriteFile("half", []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.Remove(name); !errors.Is(err, ErrBusy) {
			t.Errorf("remove %s while it is prepared: %v, want ErrBusy", name, err)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Remove(name); err != nil {
			t.Errorf("remove %s: %v", name, err)
		}
		if err := s.Remove(name); !errors.Is(err, ErrNotFound) {
			t.Errorf("remove %s again: %v, want ErrNotFound", name, err)
		}
	}
	if entries, err := os.ReadDir(root); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// Links that lead out of the store are neither followed nor copied nor removed.
func TestEditLinks(t *testing.T) {
	s, root := store(t, "a@latest")
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.MkdirAll(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(root, "a@latest", "extra")); err != nil {
		t.Fatal(err)
	}
	if err := s.Copy("a", "b"); err == nil {
		t.Error("a model with a link that leads out was copied")
	}
	if err := os.Symlink(outside, filepath.Join(root, "org")); err != nil {
		t.Fatal(err)
	}
	if err := s.Copy("a", "org/b"); err == nil {
		t.Error("a model was written through a link that leads out")
	}
	if err := s.Remove("org/secret"); err == nil {
		t.Error("removed through a link")
	}
	if err := os.Symlink(outside, filepath.Join(root, "c@latest")); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove("c"); err != nil {
		t.Errorf("removing a link: %v", err)
	}
	if b, err := os.ReadFile(secret); err != nil || string(b) != "secret" {
		t.Errorf("what lies outside is %q, %v", b, err)
	}
	if left := hidden(t, root); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// What one prepares another cannot; what a dead one left is gone on with, or replaced.
func TestStage(t *testing.T) {
	s, root := store(t, "a@latest")
	st, err := s.Stage("a", "pulling")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stage("a:latest", "pulling"); !errors.Is(err, ErrBusy) {
		t.Errorf("a second one: %v, want ErrBusy", err)
	}
	other, err := s.Stage("a", "deriving")
	if err != nil {
		t.Fatalf("another kind: %v", err)
	}
	if err := other.Discard(); err != nil {
		t.Error(err)
	}
	if err := st.Root.WriteFile("half", []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := namesOf(t, s); len(got) != 1 {
		t.Errorf("listed while it is prepared: %v", got)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if st, err = s.Stage("a", "pulling"); err != nil {
		t.Fatal(err)
	}
	if b, err := st.Root.ReadFile("half"); err != nil || string(b) != "half" {
		t.Errorf("what was left is %q, %v", b, err)
	}
	if err := st.Root.WriteFile("../escaped", nil, 0o600); err == nil {
		t.Error("a file was written outside")
	}
	if err := st.Clear(); err != nil {
		t.Error(err)
	}
	if err := st.Discard(); err != nil {
		t.Error(err)
	}
	if err := st.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	if left := hidden(t, root); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	for _, name := range []string{"..", "a/../b", "@"} {
		if _, err := s.Stage(name, "pulling"); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v, want ErrName", name, err)
		}
	}
}
