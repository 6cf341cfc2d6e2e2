// Package clients tests the server with the official clients of both APIs, in Go and in Python.
package clients

import (
	"os"
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
	dir := t.TempDir()
	if err := testmodel.Write(dir, testmodel.Config{}); err != nil {
		t.Fatal(err)
	}
	return testenv.Start(t, binary, "--model", "tiny="+dir, "--max-len", "512")
}
