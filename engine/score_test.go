package engine_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"ortserve/engine"
	"ortserve/engine/enginetest"
	"ortserve/sample"
)

// scores reads a stream to its end and returns what it says of the prompt.
func scores(t *testing.T, s *engine.Stream) ([]sample.Logprobs, engine.Event) {
	t.Helper()
	var all []sample.Logprobs
	for {
		ev, err := s.Next(t.Context())
		if err != nil {
			t.Error(err)
			return nil, ev
		}
		all = append(all, ev.Prompt...)
		if ev.Finish != "" {
			return all, ev
		}
	}
}

// TestScore compares the log-probabilities of prompts' tokens with what the model says of each beginning of the prompt: prompts of many
// lengths, scored from many places, while other sequences decode and slots hold prefixes.
func TestScore(t *testing.T) {
	m := enginetest.New(3, 400)
	e := start(t, m, engine.Options{Chunk: 32})
	norm := math.Log(math.E + float64(e.Info().Vocab-1)) // its logits are 1 for one token and 0 for the others
	var wg sync.WaitGroup
	for n := 1; n < 90; n += 4 {
		for _, from := range []int{1, 2, n / 2, n - 2, n - 1} {
			if from < 1 || from >= n {
				continue
			}
			p := prompt(uint64(n), n)
			if n > 20 { // some tokens are what the model expects
				copy(p[n-8:], m.Answer(p[:n-8], 5))
			}
			answer := n%8 == 1
			r := request(p, 3)
			r.Score, r.NoAnswer = &engine.Score{From: from, Top: 2}, !answer
			s, err := e.Submit(t.Context(), r)
			if overloaded := new(engine.OverloadedError); errors.As(err, &overloaded) {
				wg.Wait()
				s, err = e.Submit(t.Context(), r)
			}
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				got, end := scores(t, s)
				if len(got) != n-from {
					t.Errorf("a prompt of %d from %d: %d scores", n, from, len(got))
					return
				}
				if want := 3; answer && end.Usage.CompletionTokens != want || !answer && end.Usage.CompletionTokens != 0 || end.Finish != engine.FinishLength {
					t.Errorf("a prompt of %d: %d tokens of an answer, %s", n, end.Usage.CompletionTokens, end.Finish)
				}
				for i, l := range got {
					expected := m.Answer(p[:from+i], 1)[0]
					want, rank := -norm, 2
					if p[from+i] == expected {
						want, rank = 1-norm, 1
					}
					if l.ID != p[from+i] || math.Abs(l.Logprob.Logprob-want) > 1e-5 || (l.Rank == 1) != (rank == 1) || l.Top[0].ID != expected || len(l.Top) != 2 {
						t.Errorf("a prompt of %d from %d, token %d: %+v, want %d with %v, first %d", n, from, from+i, l, p[from+i], want, expected)
					}
				}
			})
		}
	}
	wg.Wait()
	for _, run := range m.Runs() {
		if run.Tokens > 64 {
			t.Errorf("a run of %d tokens", run.Tokens)
		}
	}
	// What comes before the scored part may be cached.
	p := prompt(1000, 100)
	for _, want := range []int{0, 89} {
		r := request(p, 1)
		r.Score, r.NoAnswer = &engine.Score{From: 90}, true
		s, err := e.Submit(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if got, end := scores(t, s); len(got) != 10 || end.Usage.CachedTokens != want {
			t.Errorf("%d scores, %d tokens were cached, want 10 and %d", len(got), end.Usage.CachedTokens, want)
		}
	}
}

// TestLogprobsFollowText reads log-probabilities beside stop strings that hold text back: in every event they are those of its text.
func TestLogprobsFollowText(t *testing.T) {
	m := enginetest.New(2, 400)
	e := start(t, m, engine.Options{})
	p := prompt(5, 10)
	answer := m.Answer(p, 12)
	text := func(ids ...int32) string { return enginetest.Text{}.Next(ids) }
	f := func(name string, want int, finish engine.FinishReason, stops ...string) {
		t.Helper()
		r := request(p, 12)
		r.Stop, r.Logprobs = stops, &engine.Logprobs{Top: 1}
		s, err := e.Submit(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for {
			ev, err := s.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, l := range ev.Logprobs {
				b.WriteString(text(l.ID))
				if l.ID != answer[n] || l.Rank != 1 || l.Top[0] != l.Logprob {
					t.Errorf("%s: token %d: %+v", name, n, l)
				}
				n++
			}
			if !strings.HasPrefix(b.String(), ev.Text) || ev.Finish == "" && b.String() != ev.Text {
				t.Errorf("%s: the tokens of %q are %q", name, ev.Text, b.String())
			}
			if ev.Finish != "" {
				if ev.Finish != finish {
					t.Errorf("%s: finish reason %s", name, ev.Finish)
				}
				break
			}
		}
		if n != want {
			t.Errorf("%s: %d log-probabilities, want %d", name, n, want)
		}
	}
	f("no stop string", 12, engine.FinishLength)
	f("a stop string of two tokens", 4, engine.FinishStop, text(answer[4], answer[5]))
	f("one that does not come", 12, engine.FinishLength, text(answer[4], answer[4]))
	f("one inside a token", 7, engine.FinishStop, fmt.Sprintf("%d>", answer[6]))
	f("one that may still come at the end", 12, engine.FinishLength, text(answer[11])+"x")
}
