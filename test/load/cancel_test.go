package load

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"ortserve/internal/testenv"
)

// endless is more tokens than any of these tests waits for.
const endless = window

// phase is where a request is when its client goes.
type phase int

const (
	decoding phase = iota
	prefilling
	queued
)

func (p phase) String() string { return [...]string{"decoding", "prefilling", "queued"}[p] }

// TestCancelTime measures how long a client that has gone holds what it had: from its close to the line in the log, and to the moment
// when the request behind it gets the slot or, where the client waited in the queue, the place.
func TestCancelTime(t *testing.T) {
	rounds := 17 // of twelve
	if testing.Short() {
		rounds = 2
	}
	w := &cancels{Server: start(t, "--slots", "1", "--queue", "1"), rng: rand.New(rand.NewPCG(1, 2))}
	w.addr = strings.TrimPrefix(w.URL, "http://")

	// A run of the longest chunk: what may be in progress when the client goes.
	begin := time.Now()
	long := question{id: "run", prompt: letters(0, 500), tokens: 1}
	if a := ask(t, w.addr, long); a.complete(long) != nil {
		t.Fatal(a.complete(long))
	}
	run := time.Since(begin)
	guard := 10 * (150*time.Millisecond + run)

	logged, freed := map[phase][]time.Duration{}, map[phase][]time.Duration{}
	for range rounds {
		for i := range 12 {
			p, q := phase(i%3), question{api: api(i / 3 % 2), streaming: i < 6}
			l, f := w.cancel(t, p, q)
			logged[p], freed[p] = append(logged[p], l), append(freed[p], f)
			if l > guard || f > guard {
				t.Errorf("%s, %s, streaming %v: logged after %s, free after %s", p, q.api, q.streaming, l, f)
			}
		}
	}
	var all []time.Duration
	for _, p := range []phase{decoding, prefilling, queued} {
		t.Logf("%-10s %3d cancels: logged p50 %s, p99 %s; free p50 %s, p99 %s", p, len(freed[p]),
			percentile(logged[p], 50), percentile(logged[p], 99), percentile(freed[p], 50), percentile(freed[p], 99))
		all = append(all, freed[p]...)
	}
	t.Logf("all        %3d cancels: free p50 %s, p99 %s, the figure is 150ms and a run, which takes up to %s",
		len(all), percentile(all, 50), percentile(all, 99), run.Round(time.Millisecond))
}

// cancels is a server with one slot and one place in the queue.
type cancels struct {
	*testenv.Server
	addr string
	rng  *rand.Rand
	n    int
}

// send sends q with an id and a prompt of its own.
func (w *cancels) send(t *testing.T, q question, length int) *call {
	t.Helper()
	w.n++
	q.id, q.prompt = fmt.Sprintf("cancel-%d", w.n), letters(w.n, length)
	return send(t, w.addr, q)
}

// cancel sends q, leaves in phase p, and returns after how long that was logged and what it held was free.
func (w *cancels) cancel(t *testing.T, p phase, q question) (logged, freed time.Duration) {
	t.Helper()
	w.settle(t)
	q.tokens = endless
	if p == queued {
		return w.cancelQueued(t, q)
	}
	length := 20
	if p == prefilling {
		length = 6000
	}
	c := w.send(t, q, length)
	switch {
	case p == decoding && q.streaming:
		w.firstEvent(t, c)
	case p == decoding:
		time.Sleep(time.Duration(100+w.rng.IntN(100)) * time.Millisecond)
	default:
		time.Sleep(time.Duration(20+w.rng.IntN(100)) * time.Millisecond)
	}
	next := w.send(t, question{api: openai, streaming: true, tokens: 1}, 10)
	if status := w.head(t, next); status != http.StatusOK { // it waits
		t.Fatalf("the one behind: status %d", status)
	}
	got := make(chan time.Time, 1)
	go func() {
		_, _ = next.in.ReadString('}') // the end of its first event's first object; an error shows as a wrong time
		got <- time.Now()
	}()
	begin := time.Now()
	w.leave(t, c)
	line := w.gone(t, c)
	logged = time.Since(begin)
	freed = (<-got).Sub(begin)
	w.WaitLog(t, regexp.MustCompile(`request=`+next.id+` .*finish=length`))
	_ = next.conn.Close()
	if n, err := strconv.Atoi(line[1]); err != nil || (n == 0) != (p == prefilling) {
		t.Errorf("%s: it left after %s tokens", p, line[1])
	}
	return logged, freed
}

// settle waits until nothing is held: the log says that a client has gone before the run in progress has ended.
func (w *cancels) settle(t *testing.T) {
	t.Helper()
	eventually(t, func() string {
		c := w.send(t, question{api: ollama, tokens: 1}, 10)
		defer c.conn.Close()
		a := c.read(nil)
		if err := a.complete(c.question); err != nil {
			return err.Error()
		}
		return ""
	})
}

// cancelQueued sends q behind another request and leaves.
func (w *cancels) cancelQueued(t *testing.T, q question) (logged, freed time.Duration) {
	t.Helper()
	holder := w.send(t, question{api: ollama, streaming: true, tokens: endless}, 10)
	w.firstEvent(t, holder)
	c := w.send(t, q, 20)
	time.Sleep(time.Duration(50+w.rng.IntN(50)) * time.Millisecond)
	begin := time.Now()
	w.leave(t, c)

	// The place in the queue is free when another gets it. The head of its answer says so.
	var next *call
	for status := 0; status != http.StatusOK; {
		next = w.send(t, question{api: openai, streaming: true, tokens: endless}, 10)
		if status = w.head(t, next); status != http.StatusOK && status != http.StatusServiceUnavailable {
			t.Fatalf("the one behind: status %d", status)
		}
		if status != http.StatusOK {
			_ = next.conn.Close()
		}
	}
	freed = time.Since(begin)
	line := w.gone(t, c)
	logged = time.Since(begin) // not before another got the place
	if line[1] != "0" {
		t.Errorf("queued: it left after %s tokens", line[1])
	}
	if _, err := holder.in.ReadString('\n'); err != nil {
		t.Errorf("the one with the slot: %v", err)
	}
	for _, c := range []*call{next, holder} {
		w.leave(t, c)
		w.gone(t, c)
	}
	return logged, freed
}

// leave closes the connection in one of the ways there are.
func (w *cancels) leave(t *testing.T, c *call) {
	t.Helper()
	err := error(nil)
	switch w.rng.IntN(3) {
	case 0:
		err = c.conn.CloseWrite()
	case 1:
		if err = c.conn.SetLinger(0); err == nil {
			err = c.conn.Close() // a reset
		}
	default:
		err = c.conn.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// gone waits until the log says that the client has gone, and returns the line with its completion tokens.
func (w *cancels) gone(t *testing.T, c *call) []string {
	t.Helper()
	return w.WaitLog(t, regexp.MustCompile(`request=`+c.id+` .*finish=cancelled .*completion_tokens=(\d+)`))
}

// head reads the head of the answer and returns its status. The head of a stream comes when the request is admitted.
func (w *cancels) head(t *testing.T, c *call) (status int) {
	t.Helper()
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			t.Fatalf("%s: %v after %q, status %d; the log's end:\n%s", c.id, err, line, status, tail(w.Log(), 4000))
		}
		if status == 0 {
			if _, err := fmt.Sscanf(line, "HTTP/1.1 %d", &status); err != nil {
				t.Fatalf("%s: %v in %q", c.id, err, line)
			}
		}
		if line == "\r\n" {
			return status
		}
	}
}

// tail returns the end of a text.
func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// firstEvent waits for the first text of a stream.
func (w *cancels) firstEvent(t *testing.T, c *call) {
	t.Helper()
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			t.Fatalf("%s: %v; the log's end:\n%s", c.id, err, tail(w.Log(), 4000))
		}
		if strings.Contains(line, `"content":"`) || strings.Contains(line, `"response":"`) {
			return
		}
	}
}
