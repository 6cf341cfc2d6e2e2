package pip

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"ortserve/internal/home"
)

// Env returns the path of a Python that has the packages of the requirements file. The environment lies in the home folder
// dir under a name made of the file's content and the machine's Python; it is made once and shared by all processes. What
// pip says goes to out.
func Env(ctx context.Context, out io.Writer, dir, requirements string) (string, error) {
	content, err := os.ReadFile(requirements)
	if err != nil {
		return "", err
	}
	version, err := exec.CommandContext(ctx, "python3", "-c", "import sys; print(sys.version, sys.base_prefix)").Output()
	if err != nil {
		return "", fmt.Errorf("no working python3 (%w): install Python 3.11 or later with pip and run this again", err)
	}
	sum := sha256.Sum256(bytes.Join([][]byte{content, version}, []byte{0}))
	name := hex.EncodeToString(sum[:8])
	env := filepath.Join(dir, "pyenv", name)
	python := filepath.Join(env, "bin", "python3")
	if _, err := os.Stat(env); err == nil {
		return python, nil
	}
	unlock, err := home.Lock(ctx, dir, "pyenv-"+name, nil)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(env); err == nil {
		return python, nil
	}
	p, err := Find(ctx, []string{"python3", "-m", "pip"})
	if err != nil {
		return "", err
	}
	tmp := env + ".tmp" // under the lock nobody else uses it
	if err := os.RemoveAll(tmp); err != nil {
		return "", err
	}
	// Without pip inside, venv needs no ensurepip, which Debian packs apart, and nothing inside names the folder tmp.
	if msg, err := exec.CommandContext(ctx, "python3", "-m", "venv", "--without-pip", tmp).CombinedOutput(); err != nil {
		return "", fmt.Errorf("python3 -m venv failed (%w): %s", err, strings.Join(strings.Fields(string(msg)), " "))
	}
	purelib := "import sysconfig; print(sysconfig.get_path('purelib'))"
	site, err := exec.CommandContext(ctx, filepath.Join(tmp, "bin", "python3"), "-c", purelib).Output()
	if err != nil {
		return "", fmt.Errorf("python3 in %s: %w", tmp, err)
	}
	err = p.run(ctx, out, "the Python packages of "+filepath.Base(requirements), "install", "--disable-pip-version-check",
		"--only-binary=:all:", "--target", strings.TrimSpace(string(site)), "--requirement", requirements)
	if err != nil {
		return "", err
	}
	if err := os.Rename(tmp, env); err != nil {
		return "", err
	}
	return python, nil
}
