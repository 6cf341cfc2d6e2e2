package tokenize

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// oracles has the known patterns that regexp2 can run. It knows no possessive quantifiers: where a pattern has them, the
// greedy ones match the same.
func oracles(t *testing.T) map[string]*regexpSplit {
	out := map[string]*regexpSplit{}
	for pattern := range knownPatterns {
		re, err := newRegexpSplit(strings.NewReplacer("?+", "?", "++", "+").Replace(pattern))
		if err != nil {
			t.Fatalf("%s: %v", pattern, err)
		}
		out[pattern] = re
	}
	return out
}

// Each hand-written splitter finds the matches that a regular expression engine finds.
func TestSplitters(t *testing.T) {
	oracle := oracles(t)
	check := func(pattern, text string) bool {
		s := knownSplitter(pattern)
		var got [][2]int
		for i := 0; i < len(text); {
			start, end := s.next(text, i)
			if start < i || end < start || end > len(text) || end == start && end < len(text) {
				t.Errorf("%s on %q from %d: match [%d, %d)", pattern, text, i, start, end)
				return false
			}
			if start < end {
				got = append(got, [2]int{start, end})
			}
			i = end
		}
		if diff := cmp.Diff(oracle[pattern].spans(text), got); diff != "" {
			t.Errorf("%s on %q (-regexp2 +ours):\n%s", pattern, text, diff)
			return false
		}
		return true
	}
	// What the patterns tell apart, in all neighbourhoods.
	parts := []string{
		"a", "B", "ǅ", "ʰ", "中", "é", "e\u0301", "\u0301", "ß", "1", "²", "½", "٣", " ", "  ", "\t", "\n", "\r", "\r\n", "\u3000", "\u2028", "\u0085",
		"'", "'s", "'S", "'ll", "'Re", "'x", ".", "/", "//", "_", "$", "«", "\x00", "\u200b", "\U0001F600", "\ufffd", "ーひらカタ", "𝟗",
	}
	for pattern := range oracle {
		for _, a := range parts {
			for _, b := range parts {
				check(pattern, a+b)
				check(pattern, "x"+a+b+"y")
			}
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		text := strings.Join(rapid.SliceOf(rapid.OneOf(rapid.SampledFrom(parts), rapid.StringN(1, 3, -1))).Draw(r, "parts"), "")
		text = strings.ReplaceAll(validText(text), "ſ", "s") // .NET's rules of case differ there
		for pattern := range oracle {
			if !check(pattern, text) {
				r.FailNow()
			}
		}
	})
}

// In Oniguruma (?i:'s) also matches the long s.
func TestContraction(t *testing.T) {
	f := func(in string, want int) {
		t.Helper()
		if got := contraction(in); got != want {
			t.Errorf("contraction(%q) = %d, want %d", in, got, want)
		}
	}
	f("'s", 2)
	f("'Tx", 2)
	f("'RE", 3)
	f("'vE", 3)
	f("'lL", 3)
	f("'ſ", 3)
	f("'l", 0)
	f("'r", 0)
	f("'", 0)
	f("'x", 0)
}

// The behaviors of Split, as Hugging Face's own documentation and tests give them for "-" in "the-final--countdown".
func TestBehaviors(t *testing.T) {
	f := func(behavior string, invert bool, want ...string) {
		t.Helper()
		file := with(llamaFile(), "pre_tokenizer", fields{"type": "Split", "pattern": fields{"String": "-"}, "behavior": behavior, "invert": invert})
		regexp := with(llamaFile(), "pre_tokenizer", fields{"type": "Split", "pattern": fields{"Regex": "-"}, "behavior": behavior, "invert": invert})
		for _, file := range []fields{file, regexp} {
			if diff := cmp.Diff(want, pieces(parsed(t, file), "the-final--countdown")); diff != "" {
				t.Errorf("%s, invert %v (-want +got):\n%s", behavior, invert, diff)
			}
		}
	}
	f("Removed", false, "the", "final", "countdown")
	f("Isolated", false, "the", "-", "final", "-", "-", "countdown")
	f("MergedWithPrevious", false, "the-", "final-", "-", "countdown")
	f("MergedWithNext", false, "the", "-final", "-", "-countdown")
	f("Contiguous", false, "the", "-", "final", "--", "countdown")
	f("Removed", true, "-", "-", "-")
}

// pieces returns what the pre-tokenizer makes of a text.
func pieces(tok *Tokenizer, text string) []string {
	e := tok.encoder()
	defer func() {
		e.collect = nil
		tok.release(e)
	}()
	var out []string
	e.collect = func(piece string) { out = append(out, piece) }
	e.emit(text, true, 0)
	return out
}
