package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"ortserve/engine"
	"ortserve/engine/enginetest"
	"ortserve/internal/testenv"
	"ortserve/internal/testmodel"
	"ortserve/onnx"
)

// BenchmarkStep counts what Go allots in a steady decode step, from the plan of the scheduler to the event that a reader has taken, by
// how many sequences decode. The graph is a tiny one: what is counted does not depend on its size.
func BenchmarkStep(b *testing.B) {
	if _, err := onnx.Load(testenv.Runtime(b)); err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	if err := testmodel.Write(dir, testmodel.Config{}); err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(dir, "model.onnx")
	contract, err := onnx.Inspect(path, onnx.Hints{})
	if err != nil {
		b.Fatal(err)
	}
	const steps = 200
	for _, n := range []int{1, 8} {
		b.Run(fmt.Sprintf("%d sequences", n), func(b *testing.B) {
			s := openSession(b, path, contract, onnx.Options{Slots: n, MaxLen: 250, Chunk: 64})
			e := engine.New(s, engine.Options{Queue: n})
			defer func() { _ = e.Close(context.Background()) }() // the background never ends
			for b.Loop() {
				objects, bytes, took := allotted(b, e, n, steps)
				fmt.Fprintf(os.Stderr, "A decode step of %d sequences: %.1f objects and %.0f bytes are allotted (%d steps)\n", n, objects, bytes, took)
				b.ReportMetric(objects, "allocs/step")
				b.ReportMetric(bytes, "B/step")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

// allotted lets n sequences decode so many tokens each, and returns what a step of the second half allots.
func allotted(b *testing.B, e *engine.Engine, n, tokens int) (objects, bytes float64, steps uint64) {
	b.Helper()
	streams := make([]*engine.Stream, n)
	for i := range streams {
		var err error
		streams[i], err = e.Submit(b.Context(), engine.Request{
			Prompt: []int32{int32(i), 5, 7}, MaxTokens: tokens, Detokenizer: enginetest.Text{}, Fresh: true,
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	got := make([]int, n)
	read := func(until int) {
		for i, s := range streams {
			for got[i] < until {
				ev, err := s.Next(b.Context())
				if err != nil || ev.Err != nil {
					b.Fatal(err, ev.Err)
				}
				got[i] += len(ev.Tokens)
			}
		}
	}
	read(tokens / 2)
	var before, after runtime.MemStats
	from := e.Snapshot().Steps
	runtime.ReadMemStats(&before)
	read(tokens)
	runtime.ReadMemStats(&after)
	steps = e.Snapshot().Steps - from
	return float64(after.Mallocs-before.Mallocs) / float64(steps), float64(after.TotalAlloc-before.TotalAlloc) / float64(steps), steps
}
