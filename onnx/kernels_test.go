package onnx

import (
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"ortserve/engine"
	"ortserve/internal/testenv"
	"ortserve/onnx/graph"
	"ortserve/tokenize"
)

// TestKernelsQuality compares the default model's answers with those of float32 activations: kernels of ours, which quantize activations as
// ONNX Runtime's do, are as near as those.
func TestKernelsQuality(t *testing.T) {
	if _, err := Load(testenv.Runtime(t)); err != nil {
		t.Fatal(err)
	}
	dir := testenv.DefaultModel(t)
	tokenizer, err := tokenize.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	ids := tokenizer.Encode(`The first railways were horse-drawn. In 1825 a steam engine pulled a train from Shildon to Stockton, and within thirty years
lines joined all the large towns of the country. Farmers sent milk to the cities in the morning; newspapers came the other way. func add(a, b int) int {
	return a + b
}
It was not cheap: shares rose, fell, and rose again, and many who had bought late lost what they had saved.`, tokenize.Options{})
	const step = 16 // rows of logits a run
	most := 1.3     // of ONNX Runtime's divergence
	ids = ids[:len(ids)/step*step]
	if testing.Short() { // a run with float32 activations takes seconds
		ids, most = ids[:2*step], 2
	}
	path := filepath.Join(dir, "model.onnx")
	exact := logitsOf(t, exactActivations(t, path), KernelsORT, ids, step)
	own := divergence(exact, logitsOf(t, path, ownKernels(t)[0], ids, step))
	theirs := divergence(exact, logitsOf(t, path, KernelsORT, ids, step))
	t.Logf("KL from float32 activations, mean of %d positions: own %.2g, ONNX Runtime's %.2g", len(ids), own, theirs)
	if own > most*theirs || own == 0 {
		t.Errorf("KL from float32 activations, mean of %d positions: own %.3g, ONNX Runtime's %.3g", len(ids), own, theirs)
	}
}

// exactActivations writes the graph at path with float32 activations, beside the same data.
func exactActivations(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	b, err = graph.Rewrite(b, graph.Changes{Node: func(n *graph.Node) *graph.Node {
		a := n.Attribute("accuracy_level")
		if n.OpType != "MatMulNBits" || a == nil {
			return nil
		}
		changed++
		a.Int = 1
		return n
	}})
	if err != nil || changed == 0 {
		t.Fatalf("%d nodes were changed: %v", changed, err)
	}
	dir := t.TempDir()
	copied := filepath.Join(dir, filepath.Base(path))
	from, to := path+".data", copied+".data"
	if err := errors.Join(os.WriteFile(copied, b, 0o600), copyFile(from, to)); err != nil {
		t.Fatal(err)
	}
	return copied
}

func copyFile(from, to string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}

// logitsOf returns the logits after each token.
func logitsOf(t *testing.T, path, kernels string, ids []int32, step int) [][]float32 {
	t.Helper()
	c, err := Inspect(path, Hints{})
	if err != nil {
		t.Fatal(err)
	}
	s := openPath(t, path, c, Options{Threads: 2, Slots: 1, MaxLen: len(ids) + 1, Chunk: step, Kernels: kernels})
	var all [][]float32
	for at := 0; at < len(ids); at += step {
		l := forward(t, s, engine.Row{Past: at, Tokens: ids[at : at+step], Logits: step})
		for i := range step {
			all = append(all, l.Row(i))
		}
	}
	return all
}

// divergence is the mean of KL(p || q) of the distributions that the logits p and q mean.
func divergence(p, q [][]float32) float64 {
	logs := func(logits []float32) []float64 {
		most, sum := math.Inf(-1), 0.0
		for _, v := range logits {
			most = max(most, float64(v))
		}
		for _, v := range logits {
			sum += math.Exp(float64(v) - most)
		}
		out := make([]float64, len(logits))
		for i, v := range logits {
			out[i] = float64(v) - most - math.Log(sum)
		}
		return out
	}
	total := 0.0
	for i := range p {
		a, b := logs(p[i]), logs(q[i])
		for k := range a {
			total += math.Exp(a[k]) * (a[k] - b[k])
		}
	}
	return total / float64(len(p))
}
