package hub

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"ortserve/internal/testhub"
	"ortserve/models"
)

// childEnv names the variable by which this test program knows that it is to pull, and nothing else.
const childEnv = "ORTSERVE_TEST_PULL"

func TestMain(m *testing.M) {
	if root := os.Getenv(childEnv); root != "" {
		if err := pullOnce(root); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func pullOnce(root string) error {
	store, err := models.OpenStore(root)
	if err != nil {
		return err
	}
	h, err := New(Options{Endpoint: os.Getenv("HF_ENDPOINT")})
	if err != nil {
		return err
	}
	_, err = h.Pull(context.Background(), store, Request{Ref: Ref{ID: testRepo}})
	return err
}

// TestKill kills a pull at a random moment, again and again, each time with SIGKILL, and lets the next one go on: what is listed in the
// end is right, half a model is never listed, and each kill costs at most 8 MiB that are fetched again.
func TestKill(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 4
	}
	size := 24 << 20
	if testing.Short() {
		size = 12 << 20
	}
	w := newWorld(t, map[string][]byte{"model.onnx.data_1": testhub.Random(20, size), "model.onnx.data_2": testhub.Random(21, 3<<20)})
	w.Rate.Store(12 << 20) // of each of four connections
	r := rand.New(rand.NewPCG(7, 8))
	start := func() *exec.Cmd {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+w.root, "HF_ENDPOINT="+w.URL)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	total := int64(0)
	for _, data := range w.Files {
		total += int64(len(data))
	}
	worst := int64(0)
	for round := range rounds {
		w.Sent.Store(0)
		cmd := start()
		for at := r.Int64N(total); w.Sent.Load() < at; { // a random point of the download
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		if m, err := w.store.Find(testRepo); err == nil {
			w.check(testRepo, append(tinyFiles, "model.onnx.data_1")...)
			t.Logf("round %d: the pull was faster than the kill (%s)", round, m.Name)
		}
		if err := start().Wait(); err != nil {
			t.Fatalf("round %d: the pull after the kill: %v", round, err)
		}
		w.check(testRepo, append(tinyFiles, "model.onnx.data_1", "model.onnx.data_2")...)
		again := w.Sent.Load() - total
		if again > 8<<20 {
			t.Errorf("round %d: %d bytes were fetched again", round, again)
		}
		worst = max(worst, again)
		if err := w.store.Remove(testRepo); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills, each pull of %d bytes gone on with; at most %d bytes were fetched again", rounds, total, worst)
}
