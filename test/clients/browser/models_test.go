package browser

import (
	"os"
	"path/filepath"
	"testing"

	"ortserve/internal/testenv"
	"ortserve/internal/testmodel"
)

// TestModels: the page shows which models are loaded, and loads none by being opened.
func TestModels(t *testing.T) {
	library, home := testenv.Runtime(t), t.TempDir()
	for _, name := range []string{"alpha", "beta"} {
		dir := filepath.Join(home, "models", name+"@latest")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := testmodel.Write(dir, testmodel.Config{}); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("ORTSERVE_ONNXRUNTIME", library)
	t.Setenv("ORTSERVE_HOME", home)
	s := testenv.Start(t, binary)
	b := newTab(t, s.URL, "/", 1280, 800)
	options := func() string {
		return b.text(`[...document.querySelectorAll('#model option')].map((o) => o.text).join('|')`)
	}
	state := func() string { return b.text(`document.getElementById('model-state-text').textContent`) }
	b.want("the models", options(), "alpha:latest (not loaded)|beta:latest (not loaded)")
	b.want("the chosen model", state(), "loads with the first message")
	b.want("the server's default of temperature", b.text(`document.getElementById('sampling-temperature').placeholder`), "0.8")
	var running struct{ Models []struct{ Name string } }
	if getJSON(t, s.URL+"/api/ps", &running); len(running.Models) != 0 {
		t.Errorf("the page had %v loaded", running.Models)
	}
	b.look("not-loaded")
	b.pick("#model", "beta:latest")
	b.set("max_tokens", "4")
	b.say("Hello.")
	b.wait(`document.getElementById('model-state-text').textContent === 'loaded'`)
	b.want("the models", options(), "alpha:latest (not loaded)|beta:latest")
	b.reload()
	b.want("the chosen model after a reload", b.text(`document.getElementById('model').value`), "beta:latest")
}
