package load

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ortserve/engine"
	"ortserve/engine/enginetest"
	"ortserve/routes"
)

// TestStreamsHeld holds many streams open at once while their tokens come slowly: none is dropped, each gets its own tokens, what one
// costs in memory is bounded, and when their clients leave nothing is held.
func TestStreamsHeld(t *testing.T) {
	streams, hold := 1000, time.Minute
	if testing.Short() {
		streams, hold = 100, 4*time.Second
	}
	const pace = 100 * time.Millisecond // a token of each stream
	most := int64(100 << 10)            // bytes a stream, beside KV
	if raceDetector {
		most *= 2 // its objects and stacks are larger
	}
	before := held()
	m := enginetest.New(streams, 4096)
	var paced atomic.Bool
	var steps atomic.Int64 // runs of all streams while they are held
	ended := make(chan struct{})
	m.Before = func(b *engine.Batch) error {
		if !paced.Load() {
			return nil
		}
		select {
		case <-time.After(pace):
		case <-ended:
		}
		if len(b.Rows) == streams {
			steps.Add(1)
		}
		return nil
	}
	w := newWorld(t, m, engine.Options{Queue: 64}, routes.Options{})
	empty := memory()

	type client struct {
		*call
		events atomic.Int64
		answer answer
	}
	clients := make([]*client, streams)
	var reading sync.WaitGroup
	begin := time.Now()
	for i := range clients {
		q := question{api: api(i % 2), streaming: true, id: fmt.Sprintf("held-%d", i), prompt: text([]int32{int32(i % 251), int32(i / 251), 7}), tokens: 4000}
		c := &client{call: send(t, w.addr, q)}
		clients[i] = c
		reading.Go(func() {
			c.answer = c.read(func(a *answer) bool { c.events.Store(int64(a.events)); return true })
		})
	}
	eventually(t, func() string {
		for i, c := range clients {
			if c.events.Load() == 0 {
				return fmt.Sprintf("stream %d of %d has no token", i, streams)
			}
		}
		return ""
	})
	joined := time.Since(begin)
	paced.Store(true)
	first := make([]int64, streams)
	for i, c := range clients {
		first[i] = c.events.Load()
	}
	time.Sleep(hold)
	full, at := memory(), held()
	for i, c := range clients {
		// Late events are joined, so there may be fewer than steps; one that stopped would have next to none.
		if n := c.events.Load() - first[i]; n < steps.Load()/2 {
			t.Errorf("stream %d: %d events in %d steps", i, n, steps.Load())
		}
	}
	each := (full - empty) / int64(streams)
	t.Logf("%d streams, begun in %s, held %s for %d tokens each: %.1f KiB a stream, its client in this process included, the figure is 100 KiB; %s",
		streams, joined.Round(time.Millisecond), hold, steps.Load(), float64(each)/1024, at)
	if each > most {
		t.Errorf("a stream takes %d bytes", each)
	}
	if steps.Load() == 0 {
		t.Error("no run had all streams")
	}
	if n := w.engine.Snapshot().Running; n != streams {
		t.Errorf("%d of %d streams run", n, streams)
	}

	for _, c := range clients {
		_ = c.conn.Close()
	}
	reading.Wait()
	close(ended)
	w.idle(t)
	for i, c := range clients {
		got := ids(c.answer.text)
		if want := text(m.Answer(ids(c.prompt), len(got))); c.answer.text != want || c.answer.terminal != 0 {
			t.Errorf("stream %d: %q and %d ends, want %q", i, c.answer.text, c.answer.terminal, want)
		}
		if c.answer.err == nil || !strings.Contains(c.answer.err.Error(), "closed") {
			t.Errorf("stream %d ended by itself: %v", i, c.answer.err)
		}
	}
	eventually(t, func() string {
		if n := len(w.requests(t)); n != streams {
			return fmt.Sprintf("%d lines in the log", n)
		}
		return ""
	})
	w.stop()
	returnsTo(t, before)
	t.Logf("in the end %s, in the beginning %s", held(), before)
}

// memory is what live objects and stacks take.
func memory() int64 {
	runtime.GC()
	runtime.GC() // what finalizers let go
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapInuse + s.StackInuse)
}
