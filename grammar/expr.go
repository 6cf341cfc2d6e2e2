package grammar

import (
	"math"
	"math/bits"
)

// kind is what an expr is.
type kind uint8

const (
	kindLiteral kind = iota // lit
	kindSet                 // one byte of set
	kindCat                 // list, one after the other
	kindAlt                 // one of list
	kindRepeat              // sub, min to max times; max < 0 is no bound
	kindDFA                 // what dfa accepts from its first state on
	kindRef                 // sub, which may lie above
)

// expr is an expression over bytes. It does not change once it was analysed.
type expr struct {
	kind     kind
	lit      string
	set      byteSet
	list     []*expr
	sub      *expr
	min, max int
	dfa      *dfa
	name     string // of a rule, for errors

	short  int64   // bytes of the shortest text, inf where there is none; valid once done
	suffix []int64 // of a cat: the same for list[i:]
	done   bool    // analysed
	mark   int32   // of the analysis
}

// inf is the length of the shortest text where there is none. Lengths are added with a bound, so they never pass it.
const inf = math.MaxInt64 / 4

// add is a+b, at most inf.
func add(a, b int64) int64 { return min(a+b, inf) }

// times is n*a, at most inf.
func times(n int, a int64) int64 {
	switch {
	case n == 0 || a == 0:
		return 0
	case a >= inf/int64(n):
		return inf
	}
	return int64(n) * a
}

// byteSet is a set of bytes.
type byteSet [4]uint64

func (s *byteSet) has(b byte) bool { return s[b>>6]>>(b&63)&1 != 0 }
func (s *byteSet) add(b byte)      { s[b>>6] |= 1 << (b & 63) }

func (s *byteSet) addRange(lo, hi byte) {
	for b := int(lo); b <= int(hi); b++ {
		s.add(byte(b))
	}
}

func (s *byteSet) union(t byteSet) {
	for i := range s {
		s[i] |= t[i]
	}
}

// single returns the only byte of s, false where there are none or several.
func (s *byteSet) single() (byte, bool) {
	found := -1
	for i, w := range s {
		switch {
		case w == 0:
		case found >= 0 || w&(w-1) != 0:
			return 0, false
		default:
			found = i*64 + bits.TrailingZeros64(w)
		}
	}
	return byte(found), found >= 0
}

// first returns the lowest byte of s, which is not empty.
func (s *byteSet) first() byte {
	for i, w := range s {
		if w != 0 {
			return byte(i*64 + bits.TrailingZeros64(w))
		}
	}
	return 0
}

// The constructors. They simplify, so that nothing that matches nothing or only the empty text stands in a cat or an alt.

var (
	empty   = &expr{kind: kindLiteral, done: true}
	nothing = &expr{kind: kindAlt, short: inf, done: true}
)

func literal(s string) *expr {
	if s == "" {
		return empty
	}
	return &expr{kind: kindLiteral, lit: s, short: int64(len(s)), done: true}
}

func oneOf(s byteSet) *expr {
	if s == (byteSet{}) {
		return nothing
	}
	return &expr{kind: kindSet, set: s, short: 1, done: true}
}

// anyOf is one byte of s.
func anyOf(s string) *expr {
	var set byteSet
	for i := range len(s) {
		set.add(s[i])
	}
	return oneOf(set)
}

func byteRange(lo, hi byte) *expr {
	var set byteSet
	set.addRange(lo, hi)
	return oneOf(set)
}

func cat(list ...*expr) *expr {
	kept := make([]*expr, 0, len(list))
	for _, e := range list {
		switch {
		case e == nothing:
			return nothing
		case e == empty:
		case e.kind == kindLiteral && len(kept) > 0 && kept[len(kept)-1].kind == kindLiteral:
			kept[len(kept)-1] = literal(kept[len(kept)-1].lit + e.lit)
		default:
			kept = append(kept, e)
		}
	}
	switch len(kept) {
	case 0:
		return empty
	case 1:
		return kept[0]
	}
	return &expr{kind: kindCat, list: kept}
}

func alt(list ...*expr) *expr {
	kept := make([]*expr, 0, len(list))
	for _, e := range list {
		if e != nothing {
			kept = append(kept, e)
		}
	}
	switch len(kept) {
	case 0:
		return nothing
	case 1:
		return kept[0]
	}
	return &expr{kind: kindAlt, list: kept}
}

// repeat is e, min to most times; most < 0 is no bound.
func repeat(e *expr, least, most int) *expr {
	switch {
	case most >= 0 && least > most:
		return nothing
	case most == 0 || e == empty:
		return empty
	case e == nothing && least == 0:
		return empty
	case e == nothing:
		return nothing
	case least == 1 && most == 1:
		return e
	}
	return &expr{kind: kindRepeat, sub: e, min: least, max: most}
}

func optional(e *expr) *expr { return alt(empty, e) }

// ref is an expression that is set later.
func ref(name string) *expr { return &expr{kind: kindRef, name: name} }
