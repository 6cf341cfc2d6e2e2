package load

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ortserve/engine"
	"ortserve/engine/enginetest"
	"ortserve/routes"
)

// The server of the random history: more clients than slots and queue together, so that some are refused.
const (
	historySlots   = 4
	historyQueue   = 5
	historyClients = 14
	historyWindow  = 512
)

// TestHistory lets clients come, read slowly, leave and lose their connections at random, and checks what each of them got:
//
//	J1 every answer is the beginning of what the model says to that prompt
//	J2 it has one end, or its connection failed
//	J3 its usage is what was sent
//	J4 it holds nothing of another request
//	J5 every request that was sent was admitted, refused or lost, once
//	J6 in the end nothing is held
//	J7 ids are unique, and one for all of an answer
//
// ORTSERVE_SEED repeats a history's choices; what they meet depends on the clock.
func TestHistory(t *testing.T) {
	length := 5 * time.Minute
	if testing.Short() {
		length = 20 * time.Second
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("ORTSERVE_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("ORTSERVE_SEED=%d", seed)

	before := held()
	m := enginetest.New(historySlots, historyWindow)
	m.Before = stumbling(rand.New(rand.NewPCG(seed, 1)))
	h := &history{
		world: newWorld(t, m, engine.Options{Queue: historyQueue, Chunk: 32, Speculate: true}, routes.Options{StallTimeout: 10 * time.Second}),
		seed:  seed, ids: map[string]string{}, outcomes: map[string]int{}, got: map[string]outcome{},
	}
	h.proxy = newProxy(t, h.addr)
	for i := range h.shared {
		h.shared[i] = randomText(rand.New(rand.NewPCG(seed, uint64(100+i))), 20+30*i)
	}

	end := time.Now().Add(length)
	var clients sync.WaitGroup
	for i := range historyClients {
		c := &rude{history: h, number: i, rng: rand.New(rand.NewPCG(seed, uint64(1000+i)))}
		clients.Go(func() {
			defer c.hangUp()
			for time.Now().Before(end) && !t.Failed() {
				c.request(t)
			}
		})
	}
	clients.Wait()
	if err := h.proxy.close(); err != nil {
		t.Error(err)
	}
	h.idle(t) // J6
	h.account(t)
	h.stop()
	returnsTo(t, before)
	s := h.engine.Snapshot()
	t.Logf("%d requests in %s: %v; %d steps, %d prompt tokens of which %d were cached, %d answered, %d drafted of which %d right",
		len(h.got), length, h.outcomes, s.Steps, s.PromptTokens, s.CachedTokens, s.CompletionTokens, s.DraftTokens, s.AcceptedTokens)
	for _, o := range []outcome{whole, refused, left, lost} {
		if h.outcomes[o.String()] == 0 {
			t.Errorf("no request was %s", o)
		}
	}
	if s.CachedTokens == 0 {
		t.Error("no prefix was used again")
	}
}

// stumbling returns a Before of runs that take up to half a millisecond, some of which fail, though not twice in a row.
func stumbling(rng *rand.Rand) func(*engine.Batch) error {
	since := 0
	return func(*engine.Batch) error {
		time.Sleep(time.Duration(rng.IntN(500)) * time.Microsecond)
		if since++; since > 20 && rng.IntN(200) == 0 {
			since = 0
			return errors.New("a run that stumbles")
		}
		return nil
	}
}

// outcome is what became of a request.
type outcome int

const (
	whole outcome = iota
	refused
	left // its client left
	lost // its connection failed
)

func (o outcome) String() string { return [...]string{"whole", "refused", "left", "lost"}[o] }

// history is a world with what happened in it.
type history struct {
	*world
	proxy  *proxy
	seed   uint64
	shared [4]string // beginnings of prompts

	mu       sync.Mutex
	ids      map[string]string // answers' ids, and the request of each
	outcomes map[string]int
	got      map[string]outcome // by request
}

// rude is a client.
type rude struct {
	*history
	number, n int
	rng       *rand.Rand
	conn      *net.TCPConn // kept alive after a whole answer, or nil
	before    string       // a prompt with its whole answer, to go on from
}

// request makes a request of a random kind in a random way and checks what comes back.
func (c *rude) request(t *testing.T) {
	c.n++
	rng := c.rng
	q := question{
		api: api(rng.IntN(2)), streaming: rng.IntN(4) > 0, id: fmt.Sprintf("%d-%d", c.number, c.n),
		prompt: c.prompt(), tokens: 1 + rng.IntN(60),
	}
	f, leaves, slow := none, 0, time.Duration(0)
	switch rng.IntN(8) {
	case 0, 1, 2:
		f = fault(1 + rng.IntN(int(faults)-1))
	case 3:
		leaves = 1 + rng.IntN(30)
	case 4:
		slow = time.Duration(rng.IntN(20)) * time.Millisecond
	}
	if f != none {
		c.hangUp()
		c.conn = c.proxy.dial(t, f, 1+rng.IntN(5000>>rng.IntN(4)))
	} else if c.conn == nil {
		c.conn = dial(t, c.addr)
	}

	var a answer
	call, err := sendOn(t, c.conn, q)
	switch {
	case err != nil:
		a.err = err
	case leaves > 0 && !q.streaming:
		go func(conn *net.TCPConn) {
			time.Sleep(time.Duration(leaves) * time.Millisecond)
			_ = conn.SetReadDeadline(time.Now())
		}(c.conn)
		if a = call.read(nil); errors.Is(a.err, os.ErrDeadlineExceeded) {
			a.err = errLeft
		}
	default:
		a = call.read(func(a *answer) bool {
			time.Sleep(slow)
			return leaves == 0 || a.events < leaves
		})
	}
	if f != none || leaves > 0 || a.err != nil || rng.IntN(3) == 0 {
		c.hangUp()
	}
	o := c.check(t, q, a, f, fmt.Sprintf("ORTSERVE_SEED=%d: request %s (%s, streaming %v, %d tokens, fault %s, leaves after %d)",
		c.seed, q.id, q.api, q.streaming, q.tokens, f, leaves))
	c.mu.Lock()
	c.outcomes[o.String()]++
	c.got[q.id] = o
	c.mu.Unlock()
	if o == refused {
		time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond)
	}
}

// hangUp closes the connection, if there is one, in one of two ways.
func (c *rude) hangUp() {
	if c.conn == nil {
		return
	}
	if c.rng.IntN(2) == 0 {
		_ = c.conn.SetLinger(0)
	}
	_ = c.conn.Close()
	c.conn = nil
}

// prompt makes a prompt: a new one, one that begins as others do, one that goes on where an answer ended, or a long one.
func (c *rude) prompt() string {
	rng := c.rng
	switch rng.IntN(6) {
	case 0:
		return randomText(rng, 1+rng.IntN(40))
	case 1:
		if n := len([]rune(c.before)); n > 0 && n < 300 {
			return c.before + randomText(rng, 1+rng.IntN(20))
		}
	case 2:
		return randomText(rng, 150+rng.IntN(250))
	}
	return c.shared[rng.IntN(len(c.shared))] + randomText(rng, 1+rng.IntN(40))
}

// check compares an answer with what it must be.
func (c *rude) check(t *testing.T, q question, a answer, f fault, what string) outcome {
	prompt := ids(q.prompt)
	want := text(c.model.Answer(prompt, q.tokens))
	if !strings.HasPrefix(want, a.text) { // J1, J4
		t.Errorf("%s: says %q, want the beginning of %q", what, a.text, want)
	}
	if a.header != nil && a.header.Get("X-Request-ID") != q.id { // J4
		t.Errorf("%s: the answer is to request %q", what, a.header.Get("X-Request-ID"))
	}
	if len(a.ids) > 1 { // J7
		t.Errorf("%s: its ids are %q", what, a.ids)
	}
	for _, id := range a.ids {
		c.mu.Lock()
		other, ok := c.history.ids[id]
		c.history.ids[id] = q.id
		c.mu.Unlock()
		if ok {
			t.Errorf("%s: its id %s is that of request %s", what, id, other)
		}
	}
	if a.terminal > 1 || a.done > 1 || a.done == 1 && a.terminal == 0 { // J2
		t.Errorf("%s: %d ends, %d times [DONE]", what, a.terminal, a.done)
	}
	switch {
	case a.err == nil && a.status == http.StatusServiceUnavailable:
		if a.header.Get("Retry-After") == "" || !strings.Contains(a.failure, "--queue") {
			t.Errorf("%s: refused with Retry-After %q: %s", what, a.header.Get("Retry-After"), a.failure)
		}
		return refused
	case a.err == nil:
		if err := a.complete(q); err != nil { // J2, J3
			t.Errorf("%s: %v", what, err)
		} else if u := a.usage; *u.prompt != len(prompt) || *u.cached > max(0, len(prompt)-2) || a.text != want {
			t.Errorf("%s: usage of %d prompt tokens, %d cached, want %d; text %q, want %q", what, *u.prompt, *u.cached, len(prompt), a.text, want)
		}
		c.before = q.prompt + a.text
		return whole
	case errors.Is(a.err, errLeft):
		return left
	case f.breaks():
		return lost
	}
	t.Errorf("%s: %v after %q", what, a.err, a.text) // J2
	return lost
}

// account compares what the clients saw with what the server says it did (J5).
func (h *history) account(t *testing.T) {
	t.Helper()
	var lines map[string][]logged
	seen := func(n int) string {
		for id, o := range h.got {
			if (o == whole || o == refused) && len(lines[id]) != n {
				return fmt.Sprintf("request %s, which was %s, has %d lines in the log", id, o, len(lines[id]))
			}
		}
		return ""
	}
	eventually(t, func() string { lines = h.requests(t); return seen(1) })
	admitted, rejected, halves := 0, 0, 0
	for id, l := range lines {
		if len(l) != 1 {
			t.Errorf("request %s has %d lines in the log", id, len(l))
		}
		o, sent := h.got[id]
		switch line := l[0]; {
		case !sent && line.Finish == "" && line.Status >= 400 && line.Status < 500:
			halves++ // the fault came before its id had
		case !sent:
			t.Errorf("request %s was not sent, the log says %+v", id, line)
		case line.Finish != "":
			admitted++
			if o == refused || o == whole && line.Finish != "length" {
				t.Errorf("request %s was %s, the log says %+v", id, o, line)
			}
		case line.Status == http.StatusServiceUnavailable:
			rejected++
			if o == whole {
				t.Errorf("request %s was %s, the log says %+v", id, o, line)
			}
		case o == whole || o == refused:
			t.Errorf("request %s was %s, the log says %+v", id, o, line)
		}
	}
	finished := uint64(0)
	for _, n := range h.engine.Snapshot().Finished {
		finished += n
	}
	if finished != uint64(admitted) {
		t.Errorf("the engine ended %d sequences, the log has %d", finished, admitted)
	}
	if lost := h.outcomes[lost.String()]; halves > lost {
		t.Errorf("%d requests came in halves, %d were lost", halves, lost)
	}
	t.Logf("sent %d, admitted %d, refused %d, received in part %d", len(h.got), admitted, rejected, halves)
}

// randomText returns n random tokens as text.
func randomText(rng *rand.Rand, n int) string {
	all := make([]int32, n)
	for i := range all {
		all[i] = rng.Int32N(251)
	}
	return text(all)
}
