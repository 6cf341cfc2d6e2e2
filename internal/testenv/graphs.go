package testenv

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Graphs returns the folder of model directories that exporters wrote: testdata/graphs, whose README says what they are, or
// $ORTSERVE_GRAPHS, a larger folder of the same form.
func Graphs(t testing.TB) string {
	t.Helper()
	if own := os.Getenv("ORTSERVE_GRAPHS"); own != "" {
		return own
	}
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "internal", "testenv", "testdata", "graphs")
}

// Expected is what a graph answers to some prompts: expected.json of its directory.
type Expected struct {
	Prompts, Chats []struct {
		Prompt   string // of Prompts
		Messages []any  // of Chats
		IDs      []int32
		Greedy   []int32   // the ids of the largest logits, those that end a text not obeyed
		Stop     int       // where a server ends
		Text     string    // Greedy[:Stop]
		Margins  []float64 // how much the largest logit is above the second, at each step
	}
}

// ReadExpected returns the model directories below Graphs, and what each answers; nil for one that must be refused.
func ReadExpected(t testing.TB) map[string]*Expected {
	t.Helper()
	all := map[string]*Expected{}
	entries, err := os.ReadDir(Graphs(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		dir := filepath.Join(Graphs(t), e.Name())
		if _, err := os.Stat(filepath.Join(dir, "tokenizer.json")); err != nil {
			continue // no model directory
		}
		all[e.Name()] = nil
		if b, err := os.ReadFile(filepath.Join(dir, "expected.json")); err == nil {
			all[e.Name()] = new(Expected)
			if err := json.Unmarshal(b, all[e.Name()]); err != nil {
				t.Fatalf("%s: %v", e.Name(), err)
			}
		} else if !strings.HasPrefix(e.Name(), "refuse-") && !strings.HasPrefix(e.Name(), "cuda-") {
			t.Fatal(err)
		}
	}
	return all
}

// Comparable returns how many of Greedy's ids must be equal on every machine: those before the first step where the two largest logits
// are so near that another processor's kernels, or with --kernels auto ours, may choose the other.
func Comparable(model, kernels string, margins []float64, stop int) int {
	least := 0.05
	if kernels == "auto" {
		least = 0.1
	}
	if strings.Contains(model, "fp32") || strings.HasSuffix(model, "-o2") {
		least = 0.002
	}
	for i, m := range margins[:stop] {
		if m < least {
			return i
		}
	}
	return stop
}
