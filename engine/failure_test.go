package engine_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"ortserve/engine"
	"ortserve/engine/enginetest"
)

// TestCancelLeavesOthers cancels one of several and compares the others with what they give alone.
func TestCancelLeavesOthers(t *testing.T) {
	m := enginetest.New(4, 400)
	m.Before = enginetest.Slow(200 * time.Microsecond)
	e := start(t, m, engine.Options{})
	var wg sync.WaitGroup
	for i := range 4 {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		p := prompt(uint64(i), 20+i)
		s, err := e.Submit(ctx, request(p, 200))
		if err != nil {
			t.Fatal(err)
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			if i == 1 {
				if _, err := s.Next(t.Context()); err != nil {
					t.Error(err)
				}
				cancel(errors.New("gone"))
			}
			a, err := read(s)
			if err != nil {
				t.Error(err)
				return
			}
			if i == 1 {
				if a.Finish != engine.FinishError || a.Err == nil || a.Err.Error() != "gone" {
					t.Errorf("the cancelled one: %s, %v", a.Finish, a.Err)
				}
				return
			}
			if !slices.Equal(a.Tokens, m.Answer(p, 200)) {
				t.Errorf("sequence %d differs from what it gives alone", i)
			}
		}()
	}
	wg.Wait()
}

// TestFailedRun fails the runs of one sequence at one position, in a batch and alone. Only that sequence ends.
func TestFailedRun(t *testing.T) {
	m := enginetest.New(2, 300)
	failures := 0
	m.Before = func(b *engine.Batch) error {
		for _, r := range b.Rows {
			if r.Past == 12 {
				failures++
				return errors.New("broken")
			}
		}
		return nil
	}
	e := start(t, m, engine.Options{Logger: slog.New(slog.DiscardHandler)})
	long, short := prompt(2, 50), prompt(1, 10)
	other, err := e.Submit(t.Context(), request(long, 100))
	if err != nil {
		t.Fatal(err)
	}
	a := run(t, e, request(short, 5))
	if a.Finish != engine.FinishError || !errors.Is(a.Err, engine.ErrInternal) || !slices.Equal(a.Tokens, m.Answer(short, 3)[:len(a.Tokens)]) {
		t.Errorf("the failing one: %v, %s, %v", a.Tokens, a.Finish, a.Err)
	}
	if a, err := read(other); err != nil || !slices.Equal(a.Tokens, m.Answer(long, 100)) {
		t.Errorf("its neighbour: %v (%s %v), %v", a.Tokens, a.Finish, a.Err, err)
	}
	if failures != 2 {
		t.Errorf("%d runs failed, want the batch and the sequence alone", failures)
	}
}

// TestFailedOnce fails one run. Running its rows again mends it.
func TestFailedOnce(t *testing.T) {
	m := enginetest.New(2, 300)
	runs := 0
	m.Before = func(*engine.Batch) error {
		if runs++; runs == 4 || runs == 1 {
			return errors.New("broken")
		}
		return nil
	}
	e := start(t, m, engine.Options{Logger: slog.New(slog.DiscardHandler)})
	p := prompt(1, 10)
	if a := run(t, e, request(p, 9)); !slices.Equal(a.Tokens, m.Answer(p, 9)) {
		t.Errorf("got %v (%s %v), want %v", a.Tokens, a.Finish, a.Err, m.Answer(p, 9))
	}
}

func TestPanicIsFenced(t *testing.T) {
	m := enginetest.New(2, 100)
	once := sync.OnceFunc(func() { panic("boom") })
	m.Before = func(*engine.Batch) error { once(); return nil }
	e := start(t, m, engine.Options{})
	if a := run(t, e, request(prompt(1, 10), 5)); !errors.Is(a.Err, engine.ErrInternal) {
		t.Errorf("got %v", a.Err)
	}
	m.Before = nil
	if a := run(t, e, request(prompt(1, 10), 5)); !slices.Equal(a.Tokens, m.Answer(prompt(1, 10), 5)) {
		t.Errorf("after a panic: %v, %v", a.Tokens, a.Err)
	}
}

func TestCloseDrains(t *testing.T) {
	m := enginetest.New(2, 200)
	m.Before = enginetest.Slow(100 * time.Microsecond)
	e := engine.New(m, engine.Options{})
	s, err := e.Submit(t.Context(), request(prompt(1, 10), 50))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if a, err := read(s); err != nil || len(a.Tokens) != 50 {
		t.Errorf("%d tokens, %v, want 50", len(a.Tokens), err)
	}
	if _, err := e.Submit(t.Context(), request(prompt(1, 10), 5)); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

func TestCloseCuts(t *testing.T) {
	m := enginetest.New(1, 100000)
	m.Before = enginetest.Slow(time.Millisecond)
	e := engine.New(m, engine.Options{})
	s, err := e.Submit(t.Context(), request(prompt(1, 10), 0))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := e.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v", err)
	}
	if a, err := read(s); err != nil || !errors.Is(a.Err, engine.ErrClosed) {
		t.Errorf("the cut stream: %v, %v", a.Err, err)
	}
}
