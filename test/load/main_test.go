// Package load holds tests of how the server behaves with many clients, rude ones, and when it has to stop. Some start the
// real program, built with the race detector, on a small model; those that need to know every token in advance, or a thousand
// slots, serve a model of package enginetest through the same routes in the test's own process.
//
// Times are printed and not compared, except with guards against hanging at ten times what they should be.
package load

import (
	"os"
	"strconv"
	"testing"

	"ortserve/internal/testenv"
	"ortserve/internal/testmodel"
)

// binary is the program.
var binary string

func TestMain(m *testing.M) { os.Exit(testenv.Main(m, &binary)) }

// window is how many tokens a sequence of the small model may hold: none of these tests reaches it.
const window = 50_000

// start serves a small model under the name "tiny". Greedy answers of it never end by themselves. Its weights are in blocks of 32, in
// which a run's rows are the same bits whatever runs beside them.
func start(t *testing.T, args ...string) *testenv.Server {
	t.Helper()
	dir := t.TempDir()
	c := testmodel.Config{Positions: window + 1, Layers: 4, Hidden: 256, Heads: 8, KVHeads: 4, HeadSize: 32, Intermediate: 512, Bits: 8, Block: 32, AccuracyLevel: 4}
	if err := testmodel.Write(dir, c); err != nil {
		t.Fatal(err)
	}
	return testenv.Start(t, binary, append([]string{"--model", "tiny=" + dir, "--max-len", strconv.Itoa(window)}, args...)...)
}
