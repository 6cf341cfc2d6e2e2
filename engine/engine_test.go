package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ortserve/engine"
	"ortserve/engine/enginetest"
	"ortserve/sample"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start returns an engine on m that the end of the test closes.
func start(t *testing.T, m engine.Model, o engine.Options) *engine.Engine {
	t.Helper()
	e := engine.New(m, o)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = e.Close(ctx) // what still runs was left running on purpose
	})
	return e
}

// request asks for n tokens after prompt.
func request(prompt []int32, n int) engine.Request {
	return engine.Request{Prompt: prompt, MaxTokens: n, Detokenizer: enginetest.Text{}}
}

// answer is a stream read to its end.
type answer struct {
	engine.Event // the last one, with the text and tokens of all
}

// read reads a stream to its end.
func read(s *engine.Stream) (answer, error) {
	var a answer
	for {
		e, err := s.Next(context.Background())
		if err != nil {
			return a, err
		}
		e.Text, e.Tokens = a.Text+e.Text, append(a.Tokens, e.Tokens...)
		a.Event = e
		if e.Finish != "" {
			return a, nil
		}
	}
}

// run submits a request and reads its answer.
func run(t *testing.T, e *engine.Engine, r engine.Request) answer {
	t.Helper()
	s, err := e.Submit(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	a, err := read(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// prompt returns n tokens that depend on seed.
func prompt(seed uint64, n int) []int32 {
	rng := rand.New(rand.NewPCG(seed, 0))
	p := make([]int32, n)
	for i := range p {
		p[i] = int32(rng.IntN(251))
	}
	return p
}

func TestAnswer(t *testing.T) {
	m := enginetest.New(2, 1000)
	e := start(t, m, engine.Options{})
	for _, n := range []int{1, 2, 3, 63, 64, 65, 66, 128, 129, 500, 999} {
		p := prompt(uint64(n), n)
		want := m.Answer(p, min(20, 1000-n))
		a := run(t, e, request(p, 20))
		if a.Finish != engine.FinishLength || !slices.Equal(a.Tokens, want) {
			t.Errorf("prompt of %d: got %v (%s %v), want %v", n, a.Tokens, a.Finish, a.Err, want)
		}
		if u := a.Usage; u.PromptTokens != n || u.CompletionTokens != len(want) || u.CachedTokens != 0 {
			t.Errorf("prompt of %d: usage %+v", n, u)
		}
	}
	for i, r := range m.Runs() {
		if r.Tokens == 1 && r.Rows == 1 && i > 0 && m.Runs()[i-1].Tokens > 1 {
			continue // the first decode step
		}
		if r.Tokens > 64 {
			t.Errorf("run %d has %d tokens, the model takes 64", i, r.Tokens)
		}
	}
}

// TestCrowd runs many sequences at once, with prompts that share beginnings, and compares each with its answer alone.
func TestCrowd(t *testing.T) {
	m := enginetest.New(5, 600)
	e := start(t, m, engine.Options{Chunk: 16, Queue: 1000})
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			rng := rand.New(rand.NewPCG(9, uint64(i)))
			p := append(prompt(uint64(i%3), rng.IntN(100)), prompt(uint64(i), 1+rng.IntN(80))...)
			n := 1 + rng.IntN(40)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s, err := e.Submit(ctx, request(p, n))
			if err != nil {
				t.Error(err)
				return
			}
			if i%7 == 0 {
				time.AfterFunc(time.Duration(rng.IntN(3000))*time.Microsecond, cancel)
			}
			a, err := read(s)
			if err != nil {
				t.Error(err)
				return
			}
			want := m.Answer(p, n)
			if a.Finish == engine.FinishError && i%7 == 0 {
				want = want[:len(a.Tokens)]
			}
			if !slices.Equal(a.Tokens, want) {
				t.Errorf("sequence %d: got %v (%s %v), want %v", i, a.Tokens, a.Finish, a.Err, want)
			}
		}()
	}
	wg.Wait()
	batched := 0
	for _, r := range m.Runs() {
		if r.Rows > 1 {
			batched++
		}
	}
	if batched == 0 {
		t.Error("no run had more than one row")
	}
	s := e.Snapshot()
	if s.Running != 0 || s.Waiting != 0 || s.Prefilling != 0 {
		t.Errorf("after the last answer: %+v", s)
	}
	if s.CachedTokens == 0 {
		t.Error("no prefix was used again")
	}
}

func TestPrefixReuse(t *testing.T) {
	m := enginetest.New(3, 500)
	e := start(t, m, engine.Options{})
	p := prompt(1, 100)
	first := run(t, e, request(p, 10))
	turn := slices.Concat(p, first.Tokens, prompt(2, 20))

	f := func(p []int32, cached int) {
		t.Helper()
		a := run(t, e, request(p, 10))
		if !slices.Equal(a.Tokens, m.Answer(p, 10)) {
			t.Errorf("got %v, want %v", a.Tokens, m.Answer(p, 10))
		}
		if a.Usage.CachedTokens != cached {
			t.Errorf("%d tokens were cached, want %d", a.Usage.CachedTokens, cached)
		}
	}
	f(turn, 109)        // all but the last token of the answer, which was sampled and never run
	f(turn, 128)        // two tokens are always computed
	f(p, 98)            // a shorter one
	f(prompt(3, 50), 0) // another
	f(turn[:60], 58)
}

func TestStopTokenAndStrings(t *testing.T) {
	m := enginetest.New(1, 500)
	e := start(t, m, engine.Options{})
	p := prompt(5, 30)
	want := m.Answer(p, 20)
	text := enginetest.Text{}.Next(want)

	r := request(p, 20)
	r.StopTokens = []int32{want[7]}
	a := run(t, e, r)
	i := slices.Index(want, want[7])
	if a.Finish != engine.FinishStop || len(a.Tokens) != i+1 || a.Text != (enginetest.Text{}).Next(want[:i]) {
		t.Errorf("stop token: %q, %d tokens, %s", a.Text, len(a.Tokens), a.Finish)
	}

	f := func(stops ...string) {
		t.Helper()
		r := request(p, 20)
		r.Stop = stops
		a := run(t, e, r)
		first := len(text)
		for _, s := range stops {
			if i := strings.Index(text, s); i >= 0 {
				first = min(first, i)
			}
		}
		finish := engine.FinishStop
		if first == len(text) {
			finish = engine.FinishLength
		}
		if a.Text != text[:first] || a.Finish != finish {
			t.Errorf("stop %q: got %q (%s), want %q (%s)", stops, a.Text, a.Finish, text[:first], finish)
		}
	}
	f(fmt.Sprintf("<%d>", want[4]))
	f(fmt.Sprintf("%d><%d", want[2], want[3])) // over the border of tokens
	f("not there", fmt.Sprint(want[9]))
	f("never")
	f(text[len(text)-3:]+"x", "y") // held back to the end
	f(text[len(text)-3:])
}

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

// TestAdmission holds the model and shows that exactly slots and queue are admitted.
func TestAdmission(t *testing.T) {
	m := enginetest.New(2, 100)
	gate := make(chan struct{})
	m.Before = func(*engine.Batch) error { <-gate; return nil }
	e := start(t, m, engine.Options{Queue: 4})
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
	if len(streams) != 6 || refused != 44 {
		t.Errorf("%d admitted, %d refused, want 6 and 44", len(streams), refused)
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
}

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

// TestSpeculation verifies drafts: the tokens are those of decoding one by one, in fewer runs where the text repeats itself.
func TestSpeculation(t *testing.T) {
	f := func(name string, m *enginetest.Checksum, n, mostRuns int) {
		t.Run(name, func(t *testing.T) {
			e := start(t, m, engine.Options{Speculate: true})
			p := prompt(1, 30)
			a := run(t, e, request(p, n))
			if !slices.Equal(a.Tokens, m.Answer(p, n)) {
				t.Errorf("got %v, want %v", a.Tokens, m.Answer(p, n))
			}
			if runs := len(m.Runs()); runs > mostRuns {
				t.Errorf("%d runs for %d tokens, want at most %d", runs, n, mostRuns)
			}
			if u := a.Usage; u.AcceptedTokens > u.DraftTokens || mostRuns < n && u.AcceptedTokens == 0 {
				t.Errorf("usage %+v", u)
			}
		})
	}
	f("text without a pattern", enginetest.New(1, 2000), 300, 301)
	f("text that repeats itself", enginetest.NewRepeating(1, 2000, 17), 300, 80)
	f("text that repeats itself at times", enginetest.NewRepeating(1, 2000, 260), 1000, 600)
}

// TestSpeculationEnds stops inside an accepted draft.
func TestSpeculationEnds(t *testing.T) {
	m := enginetest.NewRepeating(2, 2000, 11)
	e := start(t, m, engine.Options{Speculate: true})
	p := prompt(1, 30)
	for n := 1; n < 60; n++ {
		if a := run(t, e, request(p, n)); !slices.Equal(a.Tokens, m.Answer(p, n)) || a.Finish != engine.FinishLength {
			t.Errorf("limit %d: got %v (%s)", n, a.Tokens, a.Finish)
		}
	}
	want := m.Answer(p, 60)
	r := request(p, 60)
	r.Stop = []string{fmt.Sprintf("<%d><%d><%d>", want[40], want[41], want[42])}
	a := run(t, e, r)
	text := enginetest.Text{}.Next(want)
	if i := strings.Index(text, r.Stop[0]); a.Text != text[:i] || a.Finish != engine.FinishStop {
		t.Errorf("got %q (%s), want %q", a.Text, a.Finish, text[:i])
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
