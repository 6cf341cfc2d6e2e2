package engine

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"ortserve/sample"
)

// TestSpread shows that each number is given once, whatever the number of goroutines, and that a panic arrives.
func TestSpread(t *testing.T) {
	for n := range 10 {
		for goroutines := range 5 {
			counts := make([]atomic.Int32, n)
			spread(n, goroutines, func(i int) { counts[i].Add(1) })
			for i := range counts {
				if c := counts[i].Load(); c != 1 {
					t.Errorf("%d goroutines: %d of %d was given %d times", goroutines, i, n, c)
				}
			}
		}
	}
	for _, goroutines := range []int{1, 3} {
		got := func() (r any) {
			defer func() { r = recover() }()
			spread(9, goroutines, func(i int) {
				if i == 4 {
					panic("the fourth")
				}
			})
			return nil
		}()
		if !strings.Contains(fmt.Sprint(got), "the fourth") {
			t.Errorf("%d goroutines: the panic is %v", goroutines, got)
		}
	}
}

// BenchmarkDraw draws for a batch of eight, one row after the other and in parallel.
func BenchmarkDraw(b *testing.B) {
	const rows, vocab = 8, 128256
	rng := rand.New(rand.NewPCG(1, 2))
	logits := Logits{Data: make([]float32, rows*vocab), Vocab: vocab}
	for i := range logits.Data {
		logits.Data[i] = float32(rng.NormFloat64() * 3)
	}
	var p plan
	for i := range rows {
		p.seqs = append(p.seqs, &Sequence{sampler: sample.NewSampler(sample.Params{Temperature: 0.8, TopK: 40, Seed: uint64(i)}, nil)})
	}
	for _, procs := range []int{1, runtime.GOMAXPROCS(0)} {
		b.Run(fmt.Sprint(procs), func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			var e Engine
			for b.Loop() {
				e.drawAll(&p, logits)
			}
		})
	}
}
