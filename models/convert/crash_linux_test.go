package convert_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"ortserve/internal/crashfs"
	"ortserve/internal/testmodel"
	"ortserve/models/convert"
)

// TestPowerFailure lets the power fail after each change of the disk that two imports under one name make. Whatever the disk kept, the
// manifest of a model that is there tells the bytes of its files, and once the first import has ended a whole model is there, if only
// under the name that the next import puts back.
func TestPowerFailure(t *testing.T) {
	dir, log := crashfs.Mount(t)
	source := write(t, testmodel.Config{}.GGUF("smollm"))
	var ends []int
	for _, bits := range []int{8, 4} {
		if _, err := convert.GGUF(t.Context(), source, filepath.Join(dir, "m@latest"), convert.Options{Bits: bits}); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, log.Len())
	}
	r, states, found := rand.New(rand.NewPCG(5, 6)), 0, 0
	for _, n := range log.Turns() {
		for _, loss := range []crashfs.Loss{crashfs.All, crashfs.Data, crashfs.Names, crashfs.Some} {
			at := t.TempDir()
			if err := log.Crash(at, n, loss, r); err != nil {
				t.Fatal(err)
			}
			states++
			there := 0
			for _, name := range []string{"m@latest", ".m@latest.replaced"} {
				switch err := checkManifest(filepath.Join(at, name)); {
				case err == nil:
					there++
				case name == "m@latest" && !errors.Is(err, fs.ErrNotExist):
					t.Errorf("after change %d, loss %d: %v", n, loss, err)
				}
			}
			found += there
			if there == 0 && n >= ends[0] {
				t.Errorf("after change %d, loss %d: no whole model is there", n, loss)
			}
			if err := os.RemoveAll(at); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d states of the disk after %d changes hold %d models, each whole", states, log.Len(), found)
}

// checkManifest compares the files of a model with its manifest. The error is an fs.ErrNotExist where there is no such folder.
func checkManifest(dir string) error {
	if _, err := os.Stat(dir); err != nil {
		return err
	}
	b, err := os.ReadFile(filepath.Join(dir, convert.ManifestName))
	if err != nil {
		return errors.New("a model without a manifest")
	}
	var m convert.Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	for _, f := range m.Files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name))
		if sum := sha256.Sum256(b); err != nil || hex.EncodeToString(sum[:]) != f.SHA256 {
			return errors.New(f.Name + " is not what the manifest says")
		}
	}
	return nil
}
