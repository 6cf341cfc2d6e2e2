package tokenize

import (
	"sync"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// form is one of Unicode's normalization forms (UAX 15) over the code points that Hugging Face's crate knows; those of
// newer versions of Unicode stay as they are. The data of each code point is x/text's, the algorithm is not: that one
// breaks long runs of marks up, and its version of Unicode is another.
type form struct {
	classes    *classTable
	compatible bool // NFKC, NFKD
	compose    bool // NFC, NFKC
	risky      *runeSet
}

// runeSet is a set of code points.
type runeSet [(utf8.MaxRune + 1) / 64]uint64

func (x *runeSet) has(r rune) bool { return x[r>>6]>>(r&63)&1 != 0 }

func newForm(compatible, compose bool) *form {
	x := &form{classes(), compatible, compose, new(runeSet)}
	forms := map[[2]bool]norm.Form{{false, false}: norm.NFD, {false, true}: norm.NFC, {true, false}: norm.NFKD, {true, true}: norm.NFKC}
	own := forms[[2]bool{compatible, compose}]
	for i, b := range x.classes {
		r := rune(i)
		risky := b&classCombining != 0
		if b&classCanonical != 0 || compatible && b&classCompatible != 0 {
			risky = risky || !compose || !hangul(r) && own.String(string(r)) != string(r)
		}
		if compose {
			risky = risky || joins(r)
		}
		if risky {
			x.risky[r>>6] |= 1 << (r & 63)
		}
	}
	return x
}

// A mark is a code point of a decomposed run with its canonical combining class.
type mark struct {
	r     rune
	class uint8
}

func (x *form) normalize(s string) string {
	start := x.normalUpTo(s)
	if start == len(s) {
		return s
	}
	out := append(make([]byte, 0, len(s)+len(s)/8+16), s[:start]...)
	var run []mark
	for _, r := range s[start:] {
		run = x.decompose(run, r, func(run []mark) []mark {
			out = x.write(out, run)
			return run[:0]
		})
	}
	return string(x.write(out, run))
}

// normalUpTo returns how much of s is surely as normalize leaves it; what follows begins with a starter.
func (x *form) normalUpTo(s string) int {
	last := 0
	for i := 0; i < len(s); {
		if s[i] < utf8.RuneSelf {
			last = i
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if x.risky.has(r) {
			return last
		}
		last = i
		i += n
	}
	return len(s)
}

func hangul(r rune) bool { return 0xAC00 <= r && r < 0xAC00+11172 }

// decompose appends the full decomposition of r to run. Before each starter it hands the run over.
func (x *form) decompose(run []mark, r rune, flush func([]mark) []mark) []mark {
	put := func(r rune) {
		class := uint8(0)
		if x.classes[r]&classCombining != 0 {
			class = norm.NFD.PropertiesString(string(r)).CCC()
		}
		if class == 0 && len(run) > 0 && (!x.compose || !joins(r)) {
			run = flush(run)
		}
		run = append(run, mark{r, class})
	}
	if hangul(r) {
		i := r - 0xAC00
		put(0x1100 + i/588)
		put(0x1161 + i%588/28)
		if t := i % 28; t != 0 {
			put(0x11A7 + t)
		}
		return run
	}
	b := x.classes[r]
	if x.compatible && b&classCompatible != 0 || b&classCanonical != 0 {
		d := norm.NFD
		if x.compatible {
			d = norm.NFKD
		}
		for _, r := range d.String(string(r)) {
			put(r)
		}
		return run
	}
	put(r)
	return run
}

// joins says that r may be composed with what comes before it.
func joins(r rune) bool {
	return composites().second[r] || 0x1161 <= r && r <= 0x1175 || 0x11A8 <= r && r <= 0x11C2
}

// write puts the marks of a run in order, composes them where the form does, and appends them.
func (x *form) write(out []byte, run []mark) []byte {
	for i := 1; i < len(run); i++ {
		if run[i].class != 0 && run[i].class < run[i-1].class {
			sortMarks(run)
			break
		}
	}
	if x.compose {
		run = composed(run)
	}
	for _, m := range run {
		out = utf8.AppendRune(out, m.r)
	}
	return out
}

// sortMarks puts marks between two starters in the order of their classes, equal ones as they were: a counting sort, so
// that a run of a million marks takes linear time.
func sortMarks(run []mark) {
	for i := 0; i < len(run); {
		if run[i].class == 0 {
			i++
			continue
		}
		end := i
		var count [257]int
		for end < len(run) && run[end].class != 0 {
			count[int(run[end].class)+1]++
			end++
		}
		for c := 1; c < len(count); c++ {
			count[c] += count[c-1]
		}
		sorted := make([]mark, end-i)
		for _, m := range run[i:end] {
			sorted[count[m.class]] = m
			count[m.class]++
		}
		copy(run[i:], sorted)
		i = end
	}
}

// composed applies the canonical composition algorithm (The Unicode Standard, D117) in place.
func composed(run []mark) []mark {
	starter, out := -1, run[:0]
	last := -1 // class of the last mark after the starter that was kept; -1: none
	for _, m := range run {
		if starter >= 0 && (last < int(m.class) && last != 0 || last == -1) {
			if r, ok := compose(out[starter].r, m.r); ok {
				out[starter].r = r
				continue
			}
		}
		out = append(out, m)
		if m.class == 0 {
			starter, last = len(out)-1, -1
		} else {
			last = int(m.class)
		}
	}
	return out
}

// compose returns the primary composite of two code points.
func compose(a, b rune) (rune, bool) {
	if 0x1100 <= a && a < 0x1100+19 && 0x1161 <= b && b < 0x1161+21 {
		return 0xAC00 + (a-0x1100)*588 + (b-0x1161)*28, true
	}
	if hangul(a) && (a-0xAC00)%28 == 0 && 0x11A7 < b && b < 0x11A7+28 {
		return a + b - 0x11A7, true
	}
	r, ok := composites().pairs[[2]rune{a, b}]
	return r, ok
}

// compositeTable has the canonical compositions but Hangul's.
type compositeTable struct {
	pairs  map[[2]rune]rune
	second map[rune]bool // starters and marks that can be the second of a pair
}

var composites = sync.OnceValue(func() *compositeTable {
	t := &compositeTable{map[[2]rune]rune{}, map[rune]bool{}}
	for r, b := range classes() {
		c := rune(r)
		if b&classCanonical == 0 || hangul(c) || norm.NFC.String(string(c)) != string(c) {
			continue
		}
		d := []rune(norm.NFD.String(string(c)))
		a, last := []rune(norm.NFC.String(string(d[:len(d)-1]))), d[len(d)-1]
		if len(a) != 1 {
			continue
		}
		t.pairs[[2]rune{a[0], last}], t.second[last] = c, true
	}
	return t
})
