package engine

import (
	"slices"
	"testing"

	"ortserve/sample"
)

// TestAlign gives tokens with and without text to an aligner and looks at which come with which piece of the text.
func TestAlign(t *testing.T) {
	type step struct {
		bytes    int // of the token's text
		released int
		want     []int32
	}
	f := func(name string, end int, cut bool, rest []int32, steps ...step) {
		t.Helper()
		var a aligner
		ids := func(all []sample.Logprobs) (out []int32) {
			for _, l := range all {
				out = append(out, l.ID)
			}
			return out
		}
		for i, s := range steps {
			a.add(sample.Logprobs{Logprob: sample.Logprob{ID: int32(i)}}, s.bytes)
			if got := ids(a.release(s.released, false, false)); !slices.Equal(got, s.want) {
				t.Errorf("%s: with token %d come %v, want %v", name, i, got, s.want)
			}
		}
		if got := ids(a.release(end, true, cut)); !slices.Equal(got, rest) {
			t.Errorf("%s: at the end come %v, want %v", name, got, rest)
		}
	}
	f("plain", 0, false, nil, step{3, 3, []int32{0}}, step{1, 1, []int32{1}})
	f("a rune of three tokens", 0, false, nil, step{1, 1, []int32{0}}, step{0, 0, nil}, step{0, 0, nil}, step{4, 4, []int32{1, 2, 3}})
	f("held back", 5, false, []int32{1, 2}, step{2, 2, []int32{0}}, step{3, 0, nil}, step{2, 0, nil})
	f("partly held back", 3, false, []int32{1}, step{2, 1, nil}, step{3, 1, []int32{0}})
	f("a stop string", 0, true, nil, step{2, 2, []int32{0}}, step{3, 0, nil}, step{3, 0, nil})
	f("a stop string from the middle of a token", 1, true, []int32{1}, step{2, 2, []int32{0}}, step{3, 0, nil}, step{3, 0, nil})
	f("half a rune at the end", 3, false, []int32{1}, step{1, 1, []int32{0}}, step{0, 0, nil})
}
