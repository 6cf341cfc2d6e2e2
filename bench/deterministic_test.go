package bench

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"ortserve/engine"
	"ortserve/internal/config"
	"ortserve/internal/testenv"
	"ortserve/models"
	"ortserve/models/convert"
	"ortserve/onnx"
)

// BenchmarkDeterministic measures what --deterministic costs a decode step, in each layout of weights and by how many sequences decode at
// once. Two sessions of the same graph run in turn.
func BenchmarkDeterministic(b *testing.B) {
	if _, err := onnx.Load(testenv.Runtime(b)); err != nil {
		b.Fatal(err)
	}
	layouts := []struct {
		name    string
		options convert.Options
	}{
		{"as imported by default", convert.Options{}},
		{"4 bits, block 32", convert.Options{Bits: 4, Block: 32}},
		{"4 bits, block 128", convert.Options{Bits: 4, Block: 128}},
	}
	const (
		batch = 8
		past  = 128 // tokens of each sequence
		steps = 40
	)
	for b.Loop() {
		fmt.Fprintf(os.Stderr, "\nA decode step with and without --deterministic, %d tokens of context, medians of %d rounds of %d steps in turn\n", past, rounds, steps)
		for _, l := range layouts {
			path, contract := importDefault(b, l.options)
			free := openSession(b, path, contract, onnx.Options{Slots: batch, MaxLen: past + steps, Chunk: past})
			strict := openSession(b, path, contract, onnx.Options{Slots: batch, MaxLen: past + steps, Chunk: past, Deterministic: true})
			for _, s := range []*onnx.Session{free, strict} {
				for slot := range batch {
					prefill(b, s, slot, past)
				}
			}
			for _, n := range []int{1, 2, 3, 5, 8} {
				var a, c, ratios []float64
				for range rounds {
					x, y := decodeSteps(b, free, n, past, steps), decodeSteps(b, strict, n, past, steps)
					a, c, ratios = append(a, x), append(c, y), append(ratios, y/x)
				}
				fmt.Fprintf(os.Stderr, "  %-24s %d sequences   %6.2f ms   %6.2f ms   %5.2f times\n", l.name, n, median(a), median(c), median(ratios))
				b.ReportMetric(median(ratios), fmt.Sprintf("x-%d-%db%d", n, l.options.Bits, l.options.Block))
			}
		}
		fmt.Fprintln(os.Stderr, "  make bench")
		b.ReportMetric(0, "ns/op")
	}
}

// importDefault imports the default model's file in a layout.
func importDefault(b *testing.B, o convert.Options) (path string, c *onnx.Contract) {
	b.Helper()
	dir := b.TempDir() + "/model"
	if _, err := convert.GGUF(context.Background(), testenv.DefaultGGUF(b), dir, o); err != nil {
		b.Fatal(err)
	}
	m, err := models.Describe(dir)
	if err != nil {
		b.Fatal(err)
	}
	c, err = onnx.Inspect(m.Graph, onnx.Hints{HeadSize: m.HeadSize, Vocab: m.Vocab})
	if err != nil {
		b.Fatal(err)
	}
	return m.Graph, c
}

// openSession opens a graph with the threads that a server would take.
func openSession(b *testing.B, path string, c *onnx.Contract, o onnx.Options) *onnx.Session {
	b.Helper()
	threads, quota, _ := config.Threads()
	o.Threads, o.Spin = threads, !quota
	s, err := onnx.Open(path, c, o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

// prefill computes n tokens in a slot.
func prefill(b *testing.B, s *onnx.Session, slot, n int) {
	b.Helper()
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32((slot*31 + i*7) % 1000)
	}
	if _, err := s.Forward(&engine.Batch{Rows: []engine.Row{{Slot: slot, Tokens: ids, Logits: 1}}}); err != nil {
		b.Fatal(err)
	}
}

// decodeSteps runs decode steps of n sequences and returns the milliseconds of one.
func decodeSteps(b *testing.B, s *onnx.Session, n, past, steps int) float64 {
	b.Helper()
	batch := &engine.Batch{Rows: make([]engine.Row, n), Idle: past}
	begin := time.Now()
	for i := range steps {
		for r := range batch.Rows {
			batch.Rows[r] = engine.Row{Slot: r, Past: past + i, Tokens: []int32{int32(100 + i)}, Logits: 1}
		}
		if _, err := s.Forward(batch); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(begin).Seconds() * 1000 / float64(steps)
}
