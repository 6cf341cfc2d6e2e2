package crashfs_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"ortserve/internal/crashfs"
)

// TestRules: what the rules of fsync leave.
func TestRules(t *testing.T) {
	dir, log := crashfs.Mount(t)
	do := func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	sync := func(name string) {
		t.Helper()
		f, err := os.Open(filepath.Join(dir, name))
		do(err)
		do(f.Sync(), f.Close())
	}
	// left tells what is left of the files.
	left := func(loss crashfs.Loss) map[string]string {
		t.Helper()
		at, found := t.TempDir(), map[string]string{}
		do(log.Crash(at, log.Len(), loss, rand.New(rand.NewPCG(1, 2))))
		entries, err := os.ReadDir(at)
		do(err)
		for _, e := range entries {
			b, err := os.ReadFile(filepath.Join(at, e.Name()))
			do(err)
			found[e.Name()] = string(b)
		}
		return found
	}
	check := func(what string, loss crashfs.Loss, want ...string) {
		t.Helper()
		got := left(loss)
		if len(got) != len(want)/2 {
			t.Errorf("%s: %q, want %q", what, got, want)
			return
		}
		for i := 0; i < len(want); i += 2 {
			if b, ok := got[want[i]]; !ok || b != want[i+1] {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
	}
	do(os.WriteFile(filepath.Join(dir, "a"), []byte("one"), 0o600))
	check("nothing is durable", crashfs.All)
	check("names come before contents", crashfs.Data, "a", "\x00\x00\x00")
	sync("a")
	check("a file without its name", crashfs.All)
	check("a durable file", crashfs.Data, "a", "one")
	sync(".")
	check("a durable file and name", crashfs.All, "a", "one")
	do(os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "b")))
	check("a rename that is lost", crashfs.All, "a", "one")
	check("a rename that is there", crashfs.Data, "b", "one")
	f, err := os.OpenFile(filepath.Join(dir, "b"), os.O_WRONLY, 0)
	do(err)
	_, err = f.WriteAt([]byte("two!"), 1)
	do(err, f.Close())
	check("a write that is lost", crashfs.All, "a", "one")
	check("a length without the write", crashfs.Data, "b", "one\x00\x00")
	check("a write without the rename", crashfs.Names, "a", "otwo!")
	sync("b")
	do(os.Truncate(filepath.Join(dir, "b"), 2), os.Mkdir(filepath.Join(dir, "c"), 0o700), os.Remove(filepath.Join(dir, "c")))
	check("the end of it", crashfs.Data, "b", "ot")
}
