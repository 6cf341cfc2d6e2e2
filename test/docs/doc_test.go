// Package docs holds tests of what README.md, docs and deploy/kubernetes say: commands are run, error texts looked up, manifests built and
// validated.
package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ortserve/internal/testenv"
)

// binary is the program, without the race detector: what it does here, other tests do with it.
var binary string

func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ortserve-docs-")
	if err == nil {
		defer os.RemoveAll(dir)
		binary, err = testenv.Build(dir, false)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := testenv.Root()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestTroubleshooting: each text that docs/operations.md explains is in the source of the program.
func TestTroubleshooting(t *testing.T) {
	var source strings.Builder
	for _, pattern := range []string{"cmd/ortserve/*.go", "engine/*.go", "internal/config/*.go", "onnx/*.go", "pool/*.go", "routes/*.go"} {
		files, err := filepath.Glob(filepath.Join(root(t), pattern))
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, f := range files {
			if !strings.HasSuffix(f, "_test.go") {
				source.WriteString(read(t, f))
			}
		}
	}
	_, table, _ := strings.Cut(read(t, filepath.Join(root(t), "docs", "operations.md")), "## When something is wrong")
	rows := regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(table, -1)
	if len(rows) < 10 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, r := range rows {
		if !strings.Contains(source.String(), r[1]) {
			t.Errorf("no error of the program has the text %q", r[1])
		}
	}
}
