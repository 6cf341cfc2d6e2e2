// Package clients tests the server with the official clients of its APIs, in Go, Python and JavaScript, and with frameworks that use
// them. Each takes the same tour: all of its surface for chat, completions, models and streams; errors, which must come as the
// client's own types; leaving in the middle.
package clients

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ortserve/internal/testenv"
	"ortserve/internal/testmodel"
)

// binary is the program, built with the race detector.
var binary string

func TestMain(m *testing.M) { os.Exit(testenv.Main(m, &binary)) }

// start serves a tiny model under the name "tiny", in a window of 512 tokens.
func start(t *testing.T) *testenv.Server {
	t.Helper()
	return testenv.Start(t, binary, "--model", "tiny="+model(t, testmodel.Config{}), "--max-len", "512")
}

// startStrict serves a tiny model to those that have one of the keys, in one slot without a queue. A key has 60 requests a minute, a
// request two seconds, in which no answer fills the window.
func startStrict(t *testing.T, keys ...string) *testenv.Server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keys")
	var lines strings.Builder
	for _, k := range keys {
		lines.WriteString(k + "::inference:" + k + "\n")
	}
	if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return testenv.Start(t, binary, "--model", "tiny="+model(t, testmodel.Config{Positions: 200_001}), "--max-len", "200000",
		"--slots", "1", "--queue", "0", "--request-timeout", "2s", "--api-key-file", file, "--key-requests-per-minute", "60")
}

func model(t *testing.T, c testmodel.Config) string {
	t.Helper()
	dir := t.TempDir()
	if err := testmodel.Write(dir, c); err != nil {
		t.Fatal(err)
	}
	return dir
}
