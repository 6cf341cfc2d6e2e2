package load

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

// TestCancelOneOfEight compares what seven say while an eighth beside them leaves with what each says alone, byte for byte.
func TestCancelOneOfEight(t *testing.T) {
	f := func(name string, args ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) { cancelOneOfEight(t, start(t, append(args, "--slots", "8")...).URL) })
	}
	f("deterministic", "--deterministic")
	f("default", "--speculate", "off") // a verified draft may round differently
}

func cancelOneOfEight(t *testing.T, url string) {
	const n = 8
	rounds := 24
	if testing.Short() {
		rounds = 3
	}
	addr := strings.TrimPrefix(url, "http://")
	rng := rand.New(rand.NewPCG(3, 4))
	questions := make([]question, n)
	alone := make([]string, n)
	for i := range questions {
		questions[i] = question{
			api: api(i % 2), streaming: i%4 < 2, id: fmt.Sprintf("seven-%d", i),
			prompt: letters(i, 10+30*i), tokens: 100 + 5*i, seed: i / 4 * (i + 1),
		}
		a := ask(t, addr, questions[i])
		if err := a.complete(questions[i]); err != nil {
			t.Fatalf("alone: %v", err)
		}
		alone[i] = a.text
	}
	seen := map[string]bool{}
	for _, text := range alone {
		seen[text] = true
	}
	if len(seen) != n {
		t.Fatalf("%d texts of %d differ: a mix-up would not show", len(seen), n)
	}

	for round := range rounds {
		victim, steps := rng.IntN(n), 1+rng.IntN(90)
		answers := make([]answer, n)
		var all sync.WaitGroup
		for i, q := range questions {
			if i == victim {
				q.streaming, q.tokens = true, endless
			}
			c := send(t, addr, q)
			all.Go(func() {
				defer c.conn.Close()
				if i == victim {
					answers[i] = c.read(func(a *answer) bool { return a.events < steps })
					return
				}
				answers[i] = c.read(nil)
			})
		}
		all.Wait()
		for i, a := range answers {
			if i == victim {
				if common := min(len(a.text), len(alone[i])); a.text[:common] != alone[i][:common] {
					t.Errorf("round %d: the one that left, after %d events:\n%q, alone\n%q", round, steps, a.text, alone[i])
				}
				continue
			}
			if err := a.complete(questions[i]); err != nil {
				t.Errorf("round %d: %d: %v", round, i, err)
			}
			if a.text != alone[i] {
				t.Errorf("round %d: %d left after %d events, %d says\n%q, alone\n%q", round, victim, steps, i, a.text, alone[i])
			}
		}
	}
	t.Logf("%d rounds of 7 answers: as alone", rounds)
}
