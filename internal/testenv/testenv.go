// Package testenv tells tests where the runtime library, the default model, Python environments and the server's binary
// are. What is missing fails the test and says what to run; nothing is skipped.
package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ortserve/internal/home"
	"ortserve/internal/pip"
)

// Runtime returns the path of the ONNX Runtime library: $ORTSERVE_ONNXRUNTIME, or the pinned one in the home folder.
func Runtime(t testing.TB) string {
	t.Helper()
	if own := os.Getenv("ORTSERVE_ONNXRUNTIME"); own != "" {
		return own
	}
	return need(t, home.RuntimeLibrary(Home(t)), "make runtime")
}

// DefaultModel returns the directory of the imported default model.
func DefaultModel(t testing.TB) string {
	t.Helper()
	return need(t, filepath.Join(home.Models(Home(t)), home.DefaultModelPath), "make model")
}

// DefaultGGUF returns the path of the GGUF file that the default model is imported from.
func DefaultGGUF(t testing.TB) string {
	t.Helper()
	return need(t, home.DefaultGGUF(Home(t)), "make model")
}

// Python returns the path of a Python with the packages of scripts/requirements/SET.txt. The first call on a machine
// installs them, which needs a network and some seconds.
func Python(t testing.TB, set string) string {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	python, err := pip.Env(ctx, t.Output(), Home(t), filepath.Join(root, "scripts", "requirements", set+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	return python
}

// Home returns the home folder.
func Home(t testing.TB) string {
	t.Helper()
	dir, err := home.Dir()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Root returns the root of the checkout: the nearest folder above the working one that holds scripts/requirements.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "scripts", "requirements")); err == nil {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("%s is not inside a checkout", dir)
		}
	}
}

// need returns path, or fails the test with the command that makes it.
func need(t testing.TB, path, command string) string {
	t.Helper()
	_, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		t.Fatalf("%s is missing: run `%s` in the root of the checkout", path, command)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}
