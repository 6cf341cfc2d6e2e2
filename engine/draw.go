package engine

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"ortserve/sample"
)

// worthWhile is how many logits a goroutine must have to look through, to be worth starting.
const worthWhile = 1 << 16

// drawn is what a sequence drew from a row of logits.
type drawn struct {
	id       int32
	logprobs sample.Logprobs // where the sequence wants them
	err      error
}

// drawAll draws from the only row of logits of each row of a decode batch, in several goroutines where there is enough to do. Each
// sequence draws from a random stream of its own, so that the order does not matter.
func (e *Engine) drawAll(p *plan, logits Logits) []drawn {
	e.draws = e.draws[:0]
	for range p.seqs {
		e.draws = append(e.draws, drawn{})
	}
	workers := min(runtime.GOMAXPROCS(0), len(p.seqs), len(p.seqs)*logits.Vocab/worthWhile)
	spread(len(p.seqs), workers, func(i int) {
		e.draws[i] = p.seqs[i].next(logits.Row(i))
	})
	return e.draws
}

// next draws the next token of s from the logits that follow its last one, which it changes.
func (s *Sequence) next(logits []float32) (d drawn) {
	if s.logprobs == nil {
		d.id, d.err = s.draw(logits)
		return d
	}
	s.raw = append(s.raw[:0], logits...)
	if d.id, d.err = s.draw(logits); d.err == nil {
		d.logprobs, d.err = sample.LogprobsOf(s.raw, d.id, s.logprobs.Top)
	}
	return d
}

// spread calls f with 0 to n-1 from that many goroutines, of which the caller's is one. It panics where f does.
func spread(n, goroutines int, f func(int)) {
	if goroutines <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var (
		next   atomic.Int64
		wait   sync.WaitGroup
		failed atomic.Value
	)
	work := func() {
		defer func() {
			if r := recover(); r != nil {
				failed.CompareAndSwap(nil, fmt.Sprintf("%v\n%s", r, debug.Stack()))
			}
		}()
		for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
			f(int(i))
		}
	}
	for range goroutines - 1 {
		wait.Go(work)
	}
	work()
	wait.Wait()
	if r := failed.Load(); r != nil {
		panic(r)
	}
}
