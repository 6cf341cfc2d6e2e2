package clients

import (
	"os"
	"os/exec"
	"testing"

	"ortserve/internal/testenv"
)

// TestPython runs the official Python clients against the server; each script asserts for itself and says so at the end.
func TestPython(t *testing.T) {
	s := start(t)
	python := testenv.Python(t, "clients")
	f := func(script string) {
		t.Helper()
		t.Run(script, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), python, script, s.URL)
			cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
			out, err := cmd.CombinedOutput()
			if err != nil || string(out) != "passed\n" {
				t.Errorf("%v, %s", err, out)
			}
		})
	}
	f("openai_client.py")
	f("ollama_client.py")
}
