package pip

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// fakePython is a python3 that makes an environment with a folder "site" and notes what pip installs in it.
const fakePython = `#!/bin/sh
PATH=/usr/bin:/bin
case "$*" in
*sys.version*) echo "3.99 /nowhere";;
*sysconfig*) here=${0%/*}; echo "$here/../site";;
*--version) echo "pip 99";;
"-m venv --without-pip "*) sleep 0.1; mkdir -p "$4/bin" "$4/site"; cp "$0" "$4/bin/python3";;
"-m pip install "*)
	echo "$*" >> "${0%/*}/installs"
	[ -e "${0%/*}/broken" ] && { echo "ERROR: No matching distribution found for a==1" >&2; exit 1; }
	while [ "$1" != --target ]; do shift; done
	echo installed > "$2/packages";;
*) echo "not expected: $*" >&2; exit 9;;
esac
`

func setUpPython(t *testing.T) (dir, requirements, bin string) {
	t.Helper()
	bin = t.TempDir()
	t.Setenv("PATH", bin)
	write(t, filepath.Join(bin, "python3"), fakePython)
	requirements = filepath.Join(t.TempDir(), "set.txt")
	write(t, requirements, "a==1\n")
	return t.TempDir(), requirements, bin
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}

func installs(t *testing.T, bin string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(bin, "installs"))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(b, []byte("\n"))
}

func TestEnv(t *testing.T) {
	dir, requirements, bin := setUpPython(t)
	var wg sync.WaitGroup
	pythons := make([]string, 3)
	for i := range pythons {
		wg.Go(func() {
			var err error
			if pythons[i], err = Env(t.Context(), new(bytes.Buffer), dir, requirements); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if pythons[0] != pythons[1] || pythons[1] != pythons[2] {
		t.Errorf("one set gave environments %q", pythons)
	}
	if n := installs(t, bin); n != 1 {
		t.Errorf("three at once installed %d times, want once", n)
	}
	got, err := os.ReadFile(filepath.Join(filepath.Dir(pythons[0]), "..", "site", "packages"))
	if err != nil || string(got) != "installed\n" {
		t.Errorf("the environment holds %q, %v", got, err)
	}

	write(t, requirements, "a==2\n")
	other, err := Env(t.Context(), new(bytes.Buffer), dir, requirements)
	if err != nil || other == pythons[0] {
		t.Errorf("other requirements gave %q, %v; want another environment than %q", other, err, pythons[0])
	}
	if n := installs(t, bin); n != 2 {
		t.Errorf("%d installs, want 2", n)
	}
}

func TestEnvThatFailsIsMadeAnew(t *testing.T) {
	dir, requirements, bin := setUpPython(t)
	write(t, filepath.Join(bin, "broken"), "")
	_, err := Env(t.Context(), new(bytes.Buffer), dir, requirements)
	if err == nil || !strings.Contains(err.Error(), "No matching distribution found for a==1") ||
		!strings.Contains(err.Error(), "set.txt") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error is %v, want one line with pip's reason and the file", err)
	}
	if err := os.Remove(filepath.Join(bin, "broken")); err != nil {
		t.Fatal(err)
	}
	if _, err := Env(t.Context(), new(bytes.Buffer), dir, requirements); err != nil {
		t.Errorf("after the cause is gone: %v", err)
	}
}

func TestEnvWithoutPython(t *testing.T) {
	dir, requirements, bin := setUpPython(t)
	if err := os.Remove(filepath.Join(bin, "python3")); err != nil {
		t.Fatal(err)
	}
	_, err := Env(t.Context(), new(bytes.Buffer), dir, requirements)
	if err == nil || !strings.Contains(err.Error(), "install Python") {
		t.Errorf("error is %v, want one that says to install Python", err)
	}
}
