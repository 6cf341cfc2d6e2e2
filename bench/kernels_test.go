package bench

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"ortserve/engine"
	"ortserve/internal/testenv"
	"ortserve/models"
	"ortserve/onnx"
)

// BenchmarkKernels compares kernels of this program's own with ONNX Runtime's, on the same graph, some runs of each in turn: decode steps of several
// rows at a short context, and chunks of a prompt. ORTSERVE_BENCH_MODEL names another model's folder than the default one's.
func BenchmarkKernels(b *testing.B) {
	dir := os.Getenv("ORTSERVE_BENCH_MODEL")
	if dir == "" {
		dir = testenv.DefaultModel(b)
	}
	m, err := models.Describe(dir)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := onnx.Load(testenv.Runtime(b)); err != nil {
		b.Fatal(err)
	}
	contract, err := onnx.Inspect(m.Graph, onnx.Hints{HeadSize: m.HeadSize, Vocab: m.Vocab})
	if err != nil {
		b.Fatal(err)
	}
	const context, chunk, most = 100, 256, 16
	var sessions []*onnx.Session
	for _, kernels := range []string{onnx.KernelsAuto, onnx.KernelsORT} {
		s := openSession(b, m.Graph, contract, onnx.Options{Slots: most, MaxLen: 400, Chunk: chunk, Kernels: kernels})
		b.Cleanup(func() { _ = s.Close() })
		sessions = append(sessions, s)
	}
	if _, err := onnx.UseHugePages(); err != nil { // as the server does
		b.Fatal(err)
	}
	tokens := make([]int32, chunk)
	for i := range tokens {
		tokens[i] = int32(100 + i*7%1000)
	}
	type run struct {
		name string
		rows []engine.Row
	}
	var runs []run
	for _, n := range []int{1, 2, 4, 8, most} {
		r := run{name: fmt.Sprintf("decode, %d rows", n)}
		for i := range n {
			r.rows = append(r.rows, engine.Row{Slot: i, Past: context, Tokens: tokens[i : i+1], Logits: 1})
		}
		runs = append(runs, r)
	}
	for _, n := range []int{64, chunk} {
		runs = append(runs, run{fmt.Sprintf("prefill, %d tokens", n), []engine.Row{{Tokens: tokens[:n], Logits: 1}}})
	}
	for b.Loop() {
		for _, r := range runs {
			took := make([][]float64, len(sessions))
			var ratios []float64
			for begin := time.Now(); len(ratios) < 3 || time.Since(begin) < 3*time.Second; {
				var least [2]float64
				for i, s := range sessions {
					time.Sleep(20 * time.Millisecond) // until the other session's threads have ceased to spin
					for n := range 4 {
						start := time.Now()
						if _, err := s.Forward(&engine.Batch{Rows: r.rows}); err != nil {
							b.Fatal(err)
						}
						if ms := float64(time.Since(start).Microseconds()) / 1000; n > 0 && (n == 1 || ms < least[i]) {
							least[i] = ms
						}
					}
					took[i] = append(took[i], least[i])
				}
				ratios = append(ratios, least[1]/least[0])
			}
			fmt.Fprintf(os.Stderr, "%-20s own %8.2f ms (least %8.2f), ONNX Runtime's %8.2f (%8.2f), %.2f times as fast\n", r.name,
				median(took[0]), slices.Min(took[0]), median(took[1]), slices.Min(took[1]), median(ratios))
		}
		b.ReportMetric(0, "ns/op")
	}
}
