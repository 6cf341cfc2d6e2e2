package engine_test

import (
	"errors"
	"testing"
	"time"

	"ortserve/engine"
	"ortserve/engine/enginetest"
	"ortserve/sample"
)

func TestRefused(t *testing.T) {
	m := enginetest.New(1, 100)
	e := start(t, m, engine.Options{})
	f := func(r engine.Request, want any) {
		t.Helper()
		_, err := e.Submit(t.Context(), r)
		if !errors.As(err, want) {
			t.Errorf("got %v, want %T", err, want)
		}
	}
	var length *engine.ContextLengthError
	f(request(prompt(1, 100), 1), &length)
	var param *sample.ParamError
	r := request(prompt(1, 10), 1)
	r.Params.TopP = 2
	f(r, &param)
	if _, err := e.Submit(t.Context(), request(nil, 1)); !errors.Is(err, engine.ErrNoPrompt) {
		t.Errorf("no prompt: %v", err)
	}
	if _, err := e.Submit(t.Context(), request([]int32{251}, 1)); !errors.Is(err, engine.ErrToken) {
		t.Errorf("unknown token: %v", err)
	}
}

// TestAdmission holds the model and shows that exactly slots and queue are admitted, a queue of none too.
func TestAdmission(t *testing.T) {
	for _, queue := range []int{4, 0} {
		m := enginetest.New(2, 100)
		gate := make(chan struct{})
		m.Before = func(*engine.Batch) error { <-gate; return nil }
		e := engine.New(m, engine.Options{Queue: queue})
		var streams []*engine.Stream
		var overloaded *engine.OverloadedError
		refused := 0
		for i := range 50 {
			s, err := e.Submit(t.Context(), request(prompt(uint64(i), 5), 3))
			switch {
			case err == nil:
				streams = append(streams, s)
			case errors.As(err, &overloaded) && overloaded.RetryAfter >= time.Second:
				refused++
			default:
				t.Fatal(err)
			}
		}
		if len(streams) != 2+queue || refused != 48-queue {
			t.Errorf("queue %d: %d admitted, %d refused", queue, len(streams), refused)
		}
		close(gate)
		for i, s := range streams {
			if a, err := read(s); err != nil || len(a.Tokens) != 3 {
				t.Errorf("stream %d: %+v, %v", i, a, err)
			}
		}
		if a := run(t, e, request(prompt(99, 5), 3)); len(a.Tokens) != 3 {
			t.Errorf("after the crowd: %+v", a)
		}
		if err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestQueueTokens(t *testing.T) {
	m := enginetest.New(1, 1000)
	gate := make(chan struct{})
	m.Before = func(*engine.Batch) error { <-gate; return nil }
	e := start(t, m, engine.Options{QueueTokens: 100, Queue: 100})
	var streams []*engine.Stream
	submit := func(n int, want bool) {
		t.Helper()
		s, err := e.Submit(t.Context(), request(prompt(uint64(n), n), 2))
		var overloaded *engine.OverloadedError
		if want != (err == nil) || !want && !errors.As(err, &overloaded) {
			t.Fatalf("a prompt of %d: %v", n, err)
		}
		if err == nil {
			streams = append(streams, s)
		}
	}
	submit(500, true) // larger than the limit, and nothing waits
	for e.Snapshot().Waiting > 0 {
		time.Sleep(time.Millisecond) // until it has its slot
	}
	submit(60, true)
	submit(41, false)
	submit(40, true)
	submit(1, false)
	close(gate)
	for _, s := range streams {
		if a, err := read(s); err != nil || len(a.Tokens) != 2 {
			t.Errorf("%+v, %v", a, err)
		}
	}
	submit(100, true)
}
