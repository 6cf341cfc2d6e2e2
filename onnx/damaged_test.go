package onnx

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ortserve/internal/testenv"
	"ortserve/internal/testmodel"
	"ortserve/models"
	"ortserve/tokenize"
)

// TestDamaged opens model directories that were damaged. Each gives an error that names the file, and never ends the process.
func TestDamaged(t *testing.T) {
	if _, err := Load(testenv.Runtime(t)); err != nil {
		t.Fatal(err)
	}
	rounds := 30 // 540 directories
	if testing.Short() {
		rounds = 5
	}
	from := filepath.Join(testenv.Graphs(t), "genai-llama-int4")
	if err := openDirectory(from); err != nil {
		t.Fatalf("undamaged: %v", err)
	}
	refused, opened := 0, 0
	for round := range rounds {
		for i, d := range testmodel.Damages {
			r := rand.New(rand.NewPCG(uint64(round), uint64(i)))
			dir := filepath.Join(t.TempDir(), "model")
			if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
				t.Fatal(err)
			}
			file := d.Do(t, dir, r)
			err := openDirectory(dir)
			switch {
			case err == nil && d.Sure:
				t.Errorf("round %d, %s: opened", round, d.What)
			case err == nil:
				opened++
			case !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "model file ") && !strings.Contains(err.Error(), ".onnx") && !strings.Contains(err.Error(), ".json"):
				t.Errorf("round %d, %s: %v, want it to name %q", round, d.What, err, file)
			default:
				refused++
				if round == 0 {
					t.Logf("%s: %v", d.What, err)
				}
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d directories refused, %d opened", refused, opened)
}

// openDirectory does what the server does to load a model.
func openDirectory(dir string) error {
	m, err := models.Describe(dir)
	if err != nil {
		return err
	}
	if _, err := tokenize.Load(dir); err != nil {
		return err
	}
	c, err := Inspect(m.Graph, Hints{KVHeads: m.KVHeads, HeadSize: m.HeadSize, Vocab: m.Vocab, Inputs: m.Inputs, Outputs: m.Outputs})
	if err != nil {
		return err
	}
	if n := c.SlotBytes(256); n > 1<<30 { // the server refuses it for its memory, and names the flag
		return fmt.Errorf("%s: a slot takes %d bytes", m.Graph, n)
	}
	s, err := Open(m.Graph, c, Options{Threads: 1, Slots: 2, MaxLen: 64, Chunk: 32})
	if err != nil {
		return err
	}
	return s.Close()
}
