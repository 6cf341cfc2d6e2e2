package grammar

import (
	"slices"
	"unicode/utf8"
)

// runeSet holds ranges of runes as pairs of the first and the last, in order and apart.
type runeSet []rune

// allRunes are all that UTF-8 encodes.
var allRunes = runeSet{0, 0xD7FF, 0xE000, utf8.MaxRune}

// minus returns the runes of s that are not in t.
func (s runeSet) minus(t runeSet) runeSet {
	var out runeSet
	for i := 0; i < len(s); i += 2 {
		lo, hi := s[i], s[i+1]
		for j := 0; j < len(t) && lo <= hi; j += 2 {
			if t[j+1] < lo || t[j] > hi {
				continue
			}
			if t[j] > lo {
				out = append(out, lo, t[j]-1)
			}
			lo = t[j+1] + 1
		}
		if lo <= hi {
			out = append(out, lo, hi)
		}
	}
	return out
}

// and returns the runes that are in both.
func (s runeSet) and(t runeSet) runeSet { return s.minus(runeSet{0, utf8.MaxRune}.minus(t)) }

// setOf returns the set of pairs in any order that may overlap.
func setOf(pairs ...rune) runeSet {
	type span struct{ lo, hi rune }
	var spans []span
	for i := 0; i+1 < len(pairs); i += 2 {
		spans = append(spans, span{pairs[i], pairs[i+1]})
	}
	slices.SortFunc(spans, func(a, b span) int { return int(a.lo - b.lo) })
	var out runeSet
	for _, p := range spans {
		if n := len(out); n > 0 && p.lo <= out[n-1]+1 {
			out[n-1] = max(out[n-1], p.hi)
			continue
		}
		out = append(out, p.lo, p.hi)
	}
	return out
}

// utf8Expr is one rune of s in UTF-8. It is deterministic: no two of its branches begin with the same byte.
func utf8Expr(s runeSet) *expr {
	s = s.and(allRunes)
	var all []spans
	for i := 0; i < len(s); i += 2 {
		lo, hi := s[i], s[i+1]
		if lo < utf8.RuneSelf {
			all = append(all, spans{{byte(lo), byte(min(hi, utf8.RuneSelf-1))}})
			lo = utf8.RuneSelf
		}
		if lo <= hi {
			all = multibyte(all, lo, hi)
		}
	}
	return firstBytes(all, make(map[string]*expr))
}

// spans are the ranges of the bytes of some runes: the first byte's, the second's, and so on.
type spans []struct{ lo, hi byte }

// firstBytes is one of the sequences of all, whose first bytes it groups by what may follow them.
func firstBytes(all []spans, memo map[string]*expr) *expr {
	var key []byte
	for _, one := range all {
		for _, p := range one {
			key = append(key, p.lo, p.hi)
		}
		key = append(key, 0xFF, 0) // no range ends before it begins
	}
	if e, ok := memo[string(key)]; ok {
		return e
	}
	after := make(map[*expr]*byteSet)
	var order []*expr
	for b := range 256 {
		var rest []spans
		end := false
		for _, one := range all {
			if int(one[0].lo) <= b && b <= int(one[0].hi) {
				rest = append(rest, one[1:])
				end = len(one) == 1
			}
		}
		e := empty
		switch {
		case len(rest) == 0:
			continue
		case !end:
			e = firstBytes(rest, memo)
		}
		if after[e] == nil {
			after[e] = new(byteSet)
			order = append(order, e)
		}
		after[e].add(byte(b))
	}
	branches := make([]*expr, len(order))
	for i, e := range order {
		branches[i] = cat(oneOf(*after[e]), e)
	}
	e := alt(branches...)
	memo[string(key)] = e
	return e
}

// multibyte appends sequences of byte ranges that together are the runes from lo to hi, which are not ASCII.
func multibyte(all []spans, lo, hi rune) []spans {
	for _, last := range []rune{0x7FF, 0xFFFF} { // the last rune of two bytes, of three
		if lo <= last && hi > last {
			return multibyte(multibyte(all, lo, last), last+1, hi)
		}
	}
	// Split until all bytes but the first that differs are whole ranges.
	for bits := 6; bits <= 18; bits += 6 {
		m := rune(1)<<bits - 1
		if lo&^m == hi&^m {
			break
		}
		if lo&m != 0 {
			return multibyte(multibyte(all, lo, lo|m), (lo|m)+1, hi)
		}
		if hi&m != m {
			return multibyte(multibyte(all, lo, hi&^m-1), hi&^m, hi)
		}
	}
	var a, b [utf8.UTFMax]byte
	n := utf8.EncodeRune(a[:], lo)
	utf8.EncodeRune(b[:], hi)
	one := make(spans, n)
	for i := range one {
		one[i] = struct{ lo, hi byte }{a[i], b[i]}
	}
	return append(all, one)
}
