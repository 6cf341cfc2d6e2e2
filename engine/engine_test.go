package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ortserve/engine"
	"ortserve/engine/enginetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start returns an engine on m that the end of the test closes.
func start(t *testing.T, m engine.Model, o engine.Options) *engine.Engine {
	t.Helper()
	if o.Queue == 0 {
		o.Queue = 64
	}
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
