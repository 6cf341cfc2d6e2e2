package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"ortserve/engine"
	"ortserve/engine/enginetest"
	"ortserve/models"
)

// fixed returns a pool of these models.
func fixed(all []*models.Model, open Opener) *Pool {
	return New(Options{Models: all, Open: open, Queue: 128, Logger: slog.New(slog.DiscardHandler)})
}

// described returns models of these names.
func described(names ...string) []*models.Model {
	var all []*models.Model
	for _, n := range names {
		all = append(all, &models.Model{Name: n})
	}
	return all
}

// nothing is an Opener of models that have no engine.
func nothing(_ context.Context, m *models.Model) (*Loaded, error) {
	return &Loaded{Model: m, Close: func(context.Context) error { return nil }}, nil
}

func TestNames(t *testing.T) {
	p := fixed(described("llama:1b", "tiny:latest", "org/repo:q4", "tiny:other"), nothing)
	if err := p.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := func(name, want string) {
		t.Helper()
		l, release, err := p.Get(t.Context(), name, User{})
		if want == "" {
			if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), fmt.Sprintf("%q", name)) {
				t.Errorf("%q: error %v, want one that is ErrNotFound and names it", name, err)
			}
			return
		}
		if err != nil {
			t.Errorf("%q: %v", name, err)
			return
		}
		release()
		if l.Model.Name != want {
			t.Errorf("%q is served by %s, want %s", name, l.Model.Name, want)
		}
	}
	f("llama:1b", "llama:1b")
	f("", "llama:1b")
	f("tiny", "tiny:latest")
	f("tiny:latest", "tiny:latest")
	f("tiny:other", "tiny:other")
	f("org/repo:q4", "org/repo:q4")
	f("llama", "") // only :latest goes without saying
	f("repo:q4", "")
	f("LLAMA:1b", "")
	f("llama:1b ", "")
	f(":latest", "")

	want := []string{"llama:1b", "tiny:latest", "org/repo:q4", "tiny:other"}
	if diff := cmp.Diff(want, p.Served()); diff != "" {
		t.Errorf("Served (-want +got):\n%s", diff)
	}
	var listed []string
	for _, m := range p.List() {
		listed = append(listed, m.Name)
	}
	if diff := cmp.Diff(want, listed); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
}

func TestNoModels(t *testing.T) {
	p := fixed(nil, nothing)
	if err := p.Load(t.Context()); err != nil {
		t.Error(err)
	}
	if _, _, err := p.Get(t.Context(), "", User{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("the default of no models: %v, want ErrNotFound", err)
	}
	if p.Serving() || p.Stalled() {
		t.Errorf("serving %v, stalled %v, want neither", p.Serving(), p.Stalled())
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// A request for a model that is being loaded waits for that model alone, and no longer than its context.
func TestWhileLoading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := fixed(described("a:x", "b:x"), func(ctx context.Context, m *models.Model) (*Loaded, error) {
			time.Sleep(time.Minute)
			return nothing(ctx, m)
		})
		begin := time.Now()
		type got struct {
			after time.Duration
			err   error
		}
		ask := func(name string, timeout time.Duration) <-chan got {
			c := make(chan got, 1)
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				defer cancel()
				_, release, err := p.Get(ctx, name, User{})
				if err == nil {
					release()
				}
				c <- got{time.Since(begin), err}
			}()
			return c
		}
		f := func(what string, c <-chan got, after time.Duration, err error) {
			t.Helper()
			if g := <-c; g.after != after || !errors.Is(g.err, err) {
				t.Errorf("%s: %v after %s, want %v after %s", what, g.err, g.after, err, after)
			}
		}
		loaded := make(chan error, 1)
		go func() { loaded <- p.Load(t.Context()) }()
		synctest.Wait()
		first, second := ask("a:x", time.Hour), ask("b:x", time.Hour)
		impatient := ask("b:x", 90*time.Second)
		synctest.Wait()
		if p.Ready() || p.Serving() {
			t.Errorf("before a model is loaded: ready %v, serving %v", p.Ready(), p.Serving())
		}
		f("an unknown one", ask("c:x", time.Hour), 0, ErrNotFound)
		f("the first", first, time.Minute, nil)
		if p.Ready() || !p.Serving() {
			t.Errorf("with one of two: ready %v, serving %v, want serving alone", p.Ready(), p.Serving())
		}
		f("the second, with too little time", impatient, 90*time.Second, context.DeadlineExceeded)
		f("the second", second, 2*time.Minute, nil)
		if err := <-loaded; err != nil {
			t.Error(err)
		}
		if !p.Ready() || !p.Serving() {
			t.Errorf("in the end: ready %v, serving %v", p.Ready(), p.Serving())
		}
		l, _, err := p.Get(t.Context(), "b:x", User{})
		if err != nil || l.LoadDuration != time.Minute {
			t.Errorf("loading took %v, %v, want a minute", l, err)
		}
	})
}

// A model that cannot be loaded, or whose loading panics, says so to whom asks for it, and the others are served.
func TestLoadFails(t *testing.T) {
	broken := errors.New("no such operator")
	p := fixed(described("broken:x", "good:x", "panics:x", "nothing:x"), func(ctx context.Context, m *models.Model) (*Loaded, error) {
		switch m.Name {
		case "broken:x":
			return nil, broken
		case "panics:x":
			panic("index out of range")
		case "nothing:x":
			return nil, nil
		}
		return nothing(ctx, m)
	})
	err := p.Load(t.Context())
	for _, want := range []string{"model broken:x: no such operator", "model panics:x: panic while loading: index out of range", "model nothing:x: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Load: %v, want %q in it", err, want)
		}
	}
	if !errors.Is(err, broken) {
		t.Errorf("Load: %v does not wrap its cause", err)
	}
	if !p.Ready() || !p.Serving() || p.Stalled() {
		t.Errorf("ready %v, serving %v, stalled %v", p.Ready(), p.Serving(), p.Stalled())
	}
	f := func(name, want string) {
		t.Helper()
		_, _, err := p.Get(t.Context(), name, User{})
		if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, ErrNotFound) {
			t.Errorf("%s: error %v, want %q", name, err, want)
		}
	}
	f("broken:x", "model broken:x could not be loaded: no such operator")
	f("", "model broken:x could not be loaded")
	f("panics:x", "index out of range")
	f("nothing:x", "could not be loaded")
	if l, _, err := p.Get(t.Context(), "good:x", User{}); err != nil || l.Model.Name != "good:x" {
		t.Errorf("the good one: %v, %v", l, err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// Close closes all models at once, each with the whole time, and tells what failed.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("not freed")
		p := fixed(described("slow:x", "slow:y", "panics:x", "fails:x", "broken:x"), func(_ context.Context, m *models.Model) (*Loaded, error) {
			if m.Name == "broken:x" {
				return nil, broken
			}
			return &Loaded{Model: m, Close: func(ctx context.Context) error {
				switch m.Name {
				case "panics:x":
					panic("twice freed")
				case "fails:x":
					return broken
				}
				<-ctx.Done()
				return ctx.Err()
			}}, nil
		})
		if err := p.Load(t.Context()); err == nil {
			t.Error("broken:x was loaded")
		}
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := p.Close(ctx)
		if took := time.Since(begin); took != time.Minute {
			t.Errorf("Close took %s, want a minute", took)
		}
		if !errors.Is(err, broken) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "twice freed") {
			t.Errorf("Close: %v, want all three errors", err)
		}
	})
}

// Close ends an engine: what runs may end, what comes is refused.
func TestCloseDrains(t *testing.T) {
	m := enginetest.New(1, 64)
	began, gate := make(chan struct{}), make(chan struct{})
	m.Before = func(*engine.Batch) error {
		select {
		case began <- struct{}{}:
		case <-gate:
		}
		<-gate
		return nil
	}
	p := fixed(described("a:x"), func(_ context.Context, d *models.Model) (*Loaded, error) {
		e := engine.New(m, engine.Options{})
		return &Loaded{Model: d, Engine: e, Close: e.Close}, nil
	})
	if err := p.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	l, _, err := p.Get(t.Context(), "a:x", User{})
	if err != nil {
		t.Fatal(err)
	}
	r := engine.Request{Prompt: []int32{1, 2, 3}, MaxTokens: 5, Detokenizer: enginetest.Text{}}
	s, err := l.Engine.Submit(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	<-began
	closed := make(chan error, 1)
	go func() { closed <- p.Close(context.Background()) }()
	for err == nil { // until Close has begun
		_, err = l.Engine.Submit(t.Context(), r)
		if err == nil {
			time.Sleep(time.Millisecond)
		}
	}
	if !errors.Is(err, engine.ErrClosed) && !errors.As(err, new(*engine.OverloadedError)) {
		t.Errorf("a request while it closes: %v", err)
	}
	close(gate)
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	var tokens []int32
	for ev := (engine.Event{}); ev.Finish == ""; {
		if ev, err = s.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, ev.Tokens...)
		if ev.Finish == engine.FinishError {
			t.Errorf("what ran was cut: %v", ev.Err)
		}
	}
	if diff := cmp.Diff(m.Answer(r.Prompt, 5), tokens); diff != "" {
		t.Errorf("what ran (-want +got):\n%s", diff)
	}
}

// Stalled is true while the engine of any loaded model hangs in a run.
func TestStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		p := fixed(described("none:x", "hangs:x"), func(ctx context.Context, d *models.Model) (*Loaded, error) {
			if d.Name == "none:x" {
				return nothing(ctx, d)
			}
			m := enginetest.New(1, 64)
			m.Before = func(*engine.Batch) error { <-hang; return nil }
			e := engine.New(m, engine.Options{})
			return &Loaded{Model: d, Engine: e, Close: e.Close}, nil
		})
		if p.Stalled() {
			t.Error("stalled before anything is loaded")
		}
		if err := p.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		l, _, err := p.Get(t.Context(), "hangs:x", User{})
		if err != nil {
			t.Fatal(err)
		}
		f := func(what string, want bool) {
			t.Helper()
			if got := p.Stalled(); got != want {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
		f("idle", false)
		if _, err := l.Engine.Submit(t.Context(), engine.Request{Prompt: []int32{1, 2}, MaxTokens: 1, Detokenizer: enginetest.Text{}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		f("a minute in the first run, which nothing can be compared with", false)
		time.Sleep(time.Hour)
		f("an hour in a run", true)
		close(hang)
		synctest.Wait()
		f("the run has ended", false)
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// What an unloaded model leaves is released once nothing reaches it, and before its room is another's.
func TestRelease(t *testing.T) {
	events := make(chan string, 10)
	var reachable atomic.Bool
	zero := time.Duration(0)
	p := New(Options{
		Models: described("a:x", "b:x"), Limit: 1, Need: func(*models.Model) (int64, error) { return 1, nil },
		Logger: slog.New(slog.DiscardHandler), KeepAlive: &zero,
		Release: func() {
			for i := 0; i < 2000 && reachable.Load(); i++ { // a hang guard
				runtime.GC()
				time.Sleep(time.Millisecond)
			}
			events <- fmt.Sprint("released, reachable ", reachable.Load())
		},
		Open: func(_ context.Context, m *models.Model) (*Loaded, error) {
			events <- "open " + m.Name
			l := &Loaded{Model: m, Close: func(context.Context) error { events <- "close " + m.Name; return nil }}
			reachable.Store(true)
			runtime.AddCleanup(l, func(r *atomic.Bool) { r.Store(false) }, &reachable)
			return l, nil
		},
	})
	for _, name := range []string{"a:x", "b:x"} {
		_, leave, err := p.Get(t.Context(), name, User{})
		if err != nil {
			t.Fatal(err)
		}
		leave()
	}
	for _, want := range []string{"open a:x", "close a:x", "released, reachable false", "open b:x", "close b:x", "released, reachable false"} {
		if got := <-events; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
