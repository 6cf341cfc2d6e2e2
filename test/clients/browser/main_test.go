// Package browser tests the pages in a real browser, Chromium without a window, against the real program with the default model: what a reader does
// works, nothing is asked of anybody but the server, the browser's console stays empty, and axe-core finds nothing serious.
package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"ortserve/internal/testenv"
)

// binary is the program. artefacts is where screenshots go.
var binary, artefacts string

func TestMain(m *testing.M) {
	root, err := testenv.Root()
	if err == nil {
		artefacts = filepath.Join(root, "bin", "test-web")
		err = os.MkdirAll(artefacts, 0o755)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(testenv.Main(m, &binary))
}

// required returns a path that setup.sh brings.
func required(t *testing.T, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		t.Fatalf("%s is not set: run `make test-web` in the root of the checkout", name)
	}
	return v
}

// start serves the default model.
func start(t *testing.T, args ...string) *testenv.Server {
	t.Helper()
	return testenv.Start(t, binary, append([]string{"--model", "smollm2:135m=" + testenv.DefaultModel(t), "--slots", "2", "--max-len", "2048"}, args...)...)
}
