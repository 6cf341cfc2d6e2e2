package tokenize

import (
	"sync"
	"unicode/utf8"
)

// The classes of a code point, as gen/classes.py reads them from Hugging Face's package.
const (
	classUpper      = 1 << iota // \p{Lu}, \p{Lt}
	classLower                  // \p{Ll}
	classOther                  // \p{Lm}, \p{Lo}
	classMark                   // \p{M}
	classNumber                 // \p{N} in a pattern
	classPunct                  // \p{P} in a pattern
	classSymbol                 // \p{S} in a pattern
	classSpace                  // \s in a pattern
	classNumeric                // a digit for Digits
	classWord                   // \w for Whitespace and single_word
	classMarks                  // a mark for Punctuation
	classBlank                  // white space for WhitespaceSplit, lstrip, rstrip, Strip
	classCombining              // canonical combining class above 0
	classCanonical              // changed by NFD
	classCompatible             // changed by NFKD
	classAccent                 // removed by StripAccents

	classLetter = classUpper | classLower | classOther
)

// classTable holds the classes of every code point: two megabytes that make a look-up one load.
type classTable [utf8.MaxRune + 1]uint16

// classes returns the table, made on first use and never changed.
var classes = sync.OnceValue(func() *classTable {
	t := new(classTable)
	for i, run := range classRuns {
		end := rune(len(t))
		if i+1 < len(classRuns) {
			end = classRuns[i+1].from
		}
		for r := run.from; r < end; r++ {
			t[r] = run.bits
		}
	}
	return t
})

// at returns the classes and the length in bytes of the code point at s[i].
func (t *classTable) at(s string, i int) (uint16, int) {
	if c := s[i]; c < utf8.RuneSelf {
		return t[c], 1
	}
	r, n := utf8.DecodeRuneInString(s[i:])
	return t[r], n
}

// run returns the end of the code points from s[i] on that are in one of the classes.
func (t *classTable) run(s string, i int, in uint16) int {
	for i < len(s) {
		c := s[i]
		if c < utf8.RuneSelf {
			if t[c]&in == 0 {
				return i
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if t[r]&in == 0 {
			return i
		}
		i += n
	}
	return i
}

// runNot returns the end of the code points from s[i] on that are in none of the classes.
func (t *classTable) runNot(s string, i int, out uint16) int {
	for i < len(s) {
		b, n := t.at(s, i)
		if b&out != 0 {
			return i
		}
		i += n
	}
	return i
}

// before returns the classes of the code point that ends at s[:i], and where it starts.
func (t *classTable) before(s string, i int) (uint16, int) {
	r, n := utf8.DecodeLastRuneInString(s[:i])
	return t[r], i - n
}
