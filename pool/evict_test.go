package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ortserve/engine"
	"ortserve/models"
)

// stable is a pool of models of one byte each whose loading takes a second, and what happens to them.
type stable struct {
	*Pool
	t *testing.T

	mu   sync.Mutex
	open map[string]bool
	log  []string // "+a" is loaded, "-a" unloaded
}

func newStable(t *testing.T, limit int64, keep time.Duration, names ...string) *stable {
	s := &stable{t: t, open: map[string]bool{}}
	s.Pool = New(Options{
		Models: described(names...), Limit: limit, KeepAlive: &keep, Queue: 128, Logger: slog.New(slog.DiscardHandler),
		Need: func(*models.Model) (int64, error) { return 1, nil },
		Open: func(_ context.Context, m *models.Model) (*Loaded, error) {
			time.Sleep(time.Second)
			s.note("+", m.Name, true)
			return &Loaded{Model: m, Close: func(context.Context) error { s.note("-", m.Name, false); return nil }}, nil
		},
	})
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if len(s.open) > 0 {
			t.Errorf("in the end these are loaded: %v", s.open)
		}
	})
	return s
}

func (s *stable) note(what, name string, open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[name] == open {
		s.t.Errorf("%s%s: it is so already", what, name)
	}
	delete(s.open, name)
	if open {
		s.open[name] = true
	}
	if s.Limit > 0 && int64(len(s.open)) > s.Limit {
		s.t.Errorf("%d models are loaded, %d fit", len(s.open), s.Limit)
	}
	s.log = append(s.log, what+strings.TrimSuffix(name, ":x"))
}

// said returns the log and empties it.
func (s *stable) said() string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	text := strings.Join(s.log, " ")
	s.log = nil
	return text
}

// use asks for a model and returns what releases it.
func (s *stable) use(name string, by User) func() {
	s.t.Helper()
	l, release, err := s.Get(s.t.Context(), name, by)
	if err != nil {
		s.t.Fatal(err)
	}
	if l.Model.Name != name {
		s.t.Fatalf("%s is served by %s", name, l.Model.Name)
	}
	return release
}

// A model is loaded once for all that wait for it, and stays for its time after the last one has gone.
func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStable(t, 0, time.Minute, "a:x")
		f := func(what, want string) {
			t.Helper()
			if got := s.said(); got != want {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() { s.use("a:x", User{})() })
		}
		all.Wait()
		f("five at once", "+a")
		time.Sleep(59 * time.Second)
		s.use("a:x", User{})()
		time.Sleep(59 * time.Second)
		f("used again before its time", "")
		if r := s.Running(); len(r) != 1 || time.Until(r[0].Expires) != time.Second || r[0].Bytes != 1 {
			t.Errorf("running: %+v", r)
		}
		time.Sleep(time.Second)
		f("a minute after the last use", "-a")

		release := s.use("a:x", User{})
		time.Sleep(time.Hour)
		f("in use for an hour", "+a")
		release()
		release() // counts once
		time.Sleep(time.Minute)
		f("and then left", "-a")

		admin := func(d time.Duration) User { return User{Admin: true, KeepAlive: &d} }
		s.use("a:x", admin(2*time.Hour))()
		time.Sleep(2*time.Hour - time.Second)
		f("an admin keeps it", "+a")
		time.Sleep(time.Second)
		f("for that long", "-a")
		s.use("a:x", admin(-1))()
		time.Sleep(1000 * time.Hour)
		f("for ever", "+a")
		if r := s.Running(); len(r) != 1 || !r[0].Expires.IsZero() {
			t.Errorf("running: %+v", r)
		}
		release = s.use("a:x", User{})
		s.use("a:x", admin(0))()
		f("not at all, but another uses it", "")
		release()
		f("and goes", "-a")
		if gone, err := s.Unload("a:x", admin(0)); !gone || err != nil {
			t.Errorf("unloading what is not loaded: %v, %v", gone, err)
		}
		if _, err := s.Unload("b:x", admin(0)); !errors.Is(err, ErrNotFound) {
			t.Errorf("unloading what is not there: %v", err)
		}
		f("which loads nothing", "")
		s.use("a:x", User{})()
		if gone, err := s.Unload("a:x", admin(0)); !gone || err != nil {
			t.Errorf("unloading: %v, %v", gone, err)
		}
		f("unloaded", "+a -a")
	})
}

// What a key asks for counts for it alone: it can neither shorten what others use nor keep a model for longer than the operator does.
func TestKeepAliveOfKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStable(t, 0, time.Minute, "a:x")
		by := func(group string, d time.Duration) User { return User{Group: group, KeepAlive: &d} }
		f := func(what string, stays time.Duration) {
			t.Helper()
			time.Sleep(stays - 1)
			if got := s.said(); got != "+a" {
				t.Errorf("%s: %q before %s", what, got, stays)
			}
			time.Sleep(time.Nanosecond)
			if got := s.said(); got != "-a" {
				t.Errorf("%s: %q after %s, want it gone", what, got, stays)
			}
		}
		s.use("a:x", by("one", 10*time.Second))()
		f("shorter", 10*time.Second)
		s.use("a:x", by("one", time.Hour))()
		f("longer than the operator's", time.Minute)
		s.use("a:x", by("one", -1))()
		f("for ever", time.Minute)
		s.use("a:x", by("", 0))()
		f("nobody in particular", time.Minute)
		s.use("a:x", User{Group: "two"})()
		s.use("a:x", by("one", 0))()
		f("not at all, after another key has used it", time.Minute)
		s.use("a:x", by("two", 20*time.Second))()
		s.use("a:x", by("one", 10*time.Second))()
		f("each its own time", 20*time.Second)

		s.use("a:x", User{Group: "one"})()
		if gone, err := s.Unload("a:x", User{Group: "two"}); gone || err != nil {
			t.Errorf("one key unloads what another uses: %v, %v", gone, err)
		}
		f("asked to go by one that does not use it", time.Minute)
		s.use("a:x", User{Group: "one"})()
		if gone, err := s.Unload("a:x", User{Group: "one"}); !gone || err != nil {
			t.Errorf("a key does not unload what it alone uses: %v, %v", gone, err)
		}
		if got := s.said(); got != "+a -a" {
			t.Errorf("unloaded: %q", got)
		}
	})
}

// A model that was loaded at the start is the operator's: no key unloads it.
func TestKeepAliveOfPreloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStable(t, 0, -1, "a:x")
		if err := s.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if gone, err := s.Unload("a:x", User{Group: "one"}); gone || err != nil {
			t.Errorf("a key unloads it: %v, %v", gone, err)
		}
		time.Sleep(1000 * time.Hour)
		if got := s.said(); got != "+a" {
			t.Errorf("%q", got)
		}
		if gone, err := s.Unload("a:x", User{Admin: true}); !gone || err != nil {
			t.Errorf("an admin does not: %v, %v", gone, err)
		}
	})
}

// The model that was used least recently makes room, and never one that is in use.
func TestEviction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStable(t, 2, -1, "a:x", "b:x", "c:x")
		f := func(what, want string) {
			t.Helper()
			if got := s.said(); got != want {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		if err := s.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		f("what fits is loaded at the start", "+a +b")
		time.Sleep(time.Nanosecond)
		s.use("a:x", User{})()
		time.Sleep(time.Nanosecond)
		s.use("c:x", User{})()
		f("the one not used since", "-b +c")
		release := s.use("a:x", User{})
		time.Sleep(time.Second)
		s.use("b:x", User{})()
		f("the oldest is in use", "-c +b")
		s.use("a:x", User{})()
		f("a second use of it", "")

		// Both in use: nobody new joins the one whose room is wanted, and the load waits until it is left.
		time.Sleep(time.Second)
		other := s.use("b:x", User{})
		time.Sleep(time.Second)
		got := make(chan string, 4)
		ask := func(name string) {
			go func() {
				s.use(name, User{})()
				got <- name
			}()
			synctest.Wait()
		}
		ask("c:x")
		ask("a:x")
		ask("b:x")
		if first := <-got; first != "b:x" {
			t.Errorf("%s came first; b's room is not wanted", first)
		}
		f("while a is in use", "")
		release()
		if second := <-got; second != "c:x" {
			t.Errorf("%s came second", second)
		}
		f("a was left, and its next user wants c's place", "-a +c -c")
		if third := <-got; third != "a:x" {
			t.Errorf("%s came third", third)
		}
		f("a came back", "+a")
		other()
	})
}

// A load that finds no room gives up, and what was in use is used on.
func TestNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStable(t, 1, -1, "a:x", "b:x")
		release := s.use("a:x", User{})
		begin := time.Now()
		joined := make(chan time.Duration, 1)
		go func() {
			time.Sleep(time.Second)
			s.use("a:x", User{})()
			joined <- time.Since(begin)
		}()
		var full *engine.OverloadedError
		if _, _, err := s.Get(t.Context(), "b:x", User{}); !errors.As(err, &full) || !strings.Contains(err.Error(), "--memory-limit") {
			t.Errorf("a second model where one fits: %v", err)
		}
		if took := time.Since(begin); took != patience {
			t.Errorf("it gave up after %s, want %s", took, patience)
		}
		if got := <-joined; got != patience {
			t.Errorf("another user of the first waited until %s, want %s", got, patience)
		}
		release()
		s.use("b:x", User{})()
		if got := s.said(); got != "+a -a +b" {
			t.Errorf("%q", got)
		}
	})
}

// A model larger than the limit is refused, and nothing is unloaded for it.
func TestTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStable(t, 2, -1, "a:x", "b:x")
		s.Need = func(m *models.Model) (int64, error) { return map[string]int64{"a:x": 2, "b:x": 3}[m.Name], nil }
		s.use("a:x", User{})()
		if _, _, err := s.Get(t.Context(), "b:x", User{}); err == nil || !strings.Contains(err.Error(), "--memory-limit") {
			t.Errorf("three bytes of two: %v", err)
		}
		if got := s.said(); got != "+a" {
			t.Errorf("%q", got)
		}
	})
}

// A load that failed is told to those who ask next for a moment, then it is tried again.
func TestFailedLoadIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tried := 0
		p := fixed(described("a:x"), func(ctx context.Context, m *models.Model) (*Loaded, error) {
			if tried++; tried < 3 {
				return nil, fmt.Errorf("attempt %d", tried)
			}
			return nothing(ctx, m)
		})
		f := func(want string) {
			t.Helper()
			_, release, err := p.Get(t.Context(), "a:x", User{})
			if want == "" && err == nil {
				release()
				return
			}
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
		f("attempt 1")
		f("attempt 1")
		time.Sleep(retryFailed)
		f("attempt 2")
		time.Sleep(retryFailed)
		f("")
		f("")
		if tried != 3 {
			t.Errorf("%d attempts", tried)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// The number of requests that wait for loads is bounded; one may always wait, or a queue of none would keep models from being loaded.
func TestQueueForLoads(t *testing.T) {
	f := func(queue, serves int32) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) { queueForLoads(t, queue, serves) })
	}
	f(3, 3)
	f(0, 1)
}

func queueForLoads(t *testing.T, queue, serves int32) {
	t.Helper()
	s := newStable(t, 0, -1, "a:x")
	s.Queue = int(queue)
	var full, served atomic.Int32
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			_, release, err := s.Get(t.Context(), "a:x", User{})
			if over := new(engine.OverloadedError); errors.As(err, &over) && strings.Contains(err.Error(), "--queue") {
				full.Add(1)
			} else if err == nil {
				served.Add(1)
				release()
			}
		})
	}
	all.Wait()
	if full.Load() != 10-serves || served.Load() != serves {
		t.Errorf("a queue of %d: %d were refused and %d served, want %d served", queue, full.Load(), served.Load(), serves)
	}
	for range 10 { // loaded, nobody waits
		s.use("a:x", User{})()
	}
}

// After Close nothing is given out, and a load that runs is given up.
func TestCloseWhileLoading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := fixed(described("a:x"), func(ctx context.Context, _ *models.Model) (*Loaded, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		got := make(chan error, 1)
		go func() {
			_, _, err := p.Get(t.Context(), "a:x", User{})
			got <- err
		}()
		synctest.Wait()
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-got; !errors.Is(err, engine.ErrClosed) {
			t.Errorf("who waited is told %v", err)
		}
		if _, _, err := p.Get(t.Context(), "a:x", User{}); !errors.Is(err, engine.ErrClosed) {
			t.Errorf("after it: %v", err)
		}
		if err := p.Load(t.Context()); !errors.Is(err, engine.ErrClosed) {
			t.Errorf("Load after it: %v", err)
		}
	})
}

// Many users who come, stay and go at random: the limit holds, each gets the model it asked for, none is unloaded under anybody.
func TestSwitching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := []string{"a:x", "b:x", "c:x", "d:x"}
		s := newStable(t, 2, time.Second, names...)
		var all sync.WaitGroup
		for i := range 8 {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			all.Go(func() {
				for range 300 {
					name := names[r.IntN(len(names))]
					keep := time.Duration(r.IntN(4)-1) * time.Second
					by := User{Group: fmt.Sprint(i % 3), KeepAlive: &keep}
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+r.IntN(60_000))*time.Millisecond)
					_, release, err := s.Get(ctx, name, by)
					if err == nil {
						time.Sleep(time.Duration(r.IntN(2000)) * time.Millisecond)
						s.mu.Lock()
						if !s.open[name] {
							t.Errorf("%s was unloaded while it was used", name)
						}
						s.mu.Unlock()
						release()
					} else if full := new(engine.OverloadedError); !errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &full) {
						t.Errorf("%s: %v", name, err)
					}
					cancel()
					time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
				}
			})
		}
		all.Wait()
		if n := strings.Count(s.said(), "+"); n < 100 {
			t.Errorf("%d loads: too few to show anything", n)
		}
		s.Pool.mu.Lock()
		defer s.Pool.mu.Unlock()
		if s.waiting != 0 || s.bytes != int64(len(s.open)) {
			t.Errorf("in the end %d wait, %d bytes are set aside for %d models", s.waiting, s.bytes, len(s.open))
		}
	})
}
