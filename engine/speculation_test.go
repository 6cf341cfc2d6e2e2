package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"ortserve/engine"
	"ortserve/engine/enginetest"
)

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
