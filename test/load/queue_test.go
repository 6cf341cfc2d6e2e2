package load

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestQueueBound: with the model loaded, two slots and a queue of four take six of fifty requests that come at once. The others are
// told so at once, the six get whole answers, and then there is room again.
func TestQueueBound(t *testing.T) {
	const (
		slots, queue, clients = 2, 4, 50
		guard                 = 500 * time.Millisecond // ten times what a refusal may take
	)
	s := start(t, "--slots", strconv.Itoa(slots), "--queue", strconv.Itoa(queue))
	addr := strings.TrimPrefix(s.URL, "http://")
	next := question{id: "next", prompt: "Short.", tokens: 3}
	if a := ask(t, addr, next); a.complete(next) != nil { // the first run of all takes longer
		t.Fatal(a.complete(next))
	}

	type outcome struct {
		question
		answer
		took time.Duration
	}
	outcomes := make(chan outcome, clients)
	begin := make(chan struct{})
	var ready sync.WaitGroup
	for i := range clients {
		conn := dial(t, addr)
		t.Cleanup(func() { _ = conn.Close() })
		q := question{
			api: api(i % 2), streaming: i%4 < 2, id: "burst-" + strconv.Itoa(i),
			prompt: letters(i, 40), tokens: 800 + i, // longer than the burst lasts
		}
		ready.Add(1)
		go func() {
			ready.Done()
			<-begin
			at := time.Now()
			c, err := sendOn(t, conn, q)
			if err != nil {
				outcomes <- outcome{question: q, answer: answer{err: err}}
				return
			}
			a := c.read(nil)
			outcomes <- outcome{q, a, time.Since(at)}
		}()
	}
	ready.Wait()
	close(begin)

	admitted := 0
	var refusals []time.Duration
	for range clients {
		o := <-outcomes
		switch {
		case o.err != nil:
			t.Errorf("%s: %v", o.id, o.err)
		case o.status == http.StatusServiceUnavailable:
			refusals = append(refusals, o.took)
			seconds, err := strconv.Atoi(o.header.Get("Retry-After"))
			if err != nil || seconds < 1 || seconds > 60 {
				t.Errorf("%s: Retry-After %q, want seconds", o.id, o.header.Get("Retry-After"))
			}
			if !strings.Contains(o.failure, "--queue") {
				t.Errorf("%s: %s does not say which limit it is", o.id, o.failure)
			}
		default:
			admitted++
			if err := o.complete(o.question); err != nil {
				t.Errorf("%s: %v", o.id, err)
			}
		}
	}
	if admitted != slots+queue || len(refusals) != clients-slots-queue {
		t.Errorf("%d admitted, %d refused, want %d and %d", admitted, len(refusals), slots+queue, clients-slots-queue)
	}
	t.Logf("%d admitted, %d refused: p50 %s, p99 %s, the figure is 50ms", admitted, len(refusals), percentile(refusals, 50), percentile(refusals, 99))
	if slowest := percentile(refusals, 100); slowest > guard {
		t.Errorf("a refusal took %s", slowest)
	}
	if a := ask(t, addr, next); a.complete(next) != nil {
		t.Errorf("the next one: %v", a.complete(next))
	}
}
