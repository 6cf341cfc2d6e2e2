package template

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// text is a string that knows which of its bytes came from outside: messages, tools and variables, as against the
// template's own.
type text struct {
	s      string
	out    []span // ascending, not touching; never changed in place
	markup bool   // Markup of markupsafe, the result of |safe and |escape
}

// span is the range of bytes [from, to).
type span struct{ from, to int }

// own is text of the template.
func own(s string) text { return text{s: s} }

// foreign is text from outside.
func foreign(s string) text {
	if s == "" {
		return text{}
	}
	return text{s: s, out: []span{{0, len(s)}}}
}

// like is s, of which all came from outside if any of t did. It is for changes that cannot be followed byte by byte.
func (t text) like(s string) text {
	if len(t.out) == 0 {
		return text{s: s, markup: t.markup}
	}
	f := foreign(s)
	f.markup = t.markup
	return f
}

// slice is the bytes [from, to) of t.
func (t text) slice(from, to int) text {
	r := text{s: t.s[from:to], markup: t.markup}
	for _, o := range t.out {
		a, b := max(o.from, from), min(o.to, to)
		if a < b {
			r.out = append(r.out, span{a - from, b - from})
		}
	}
	return r
}

// plain is t without the mark of Markup.
func (t text) plain() text {
	t.markup = false
	return t
}

// pieces calls f for each longest part of t that is wholly from outside or wholly not.
func (t text) pieces(f func(part string, outside bool)) {
	at := 0
	for _, o := range t.out {
		if at < o.from {
			f(t.s[at:o.from], false)
		}
		f(t.s[o.from:o.to], true)
		at = o.to
	}
	if at < len(t.s) {
		f(t.s[at:], false)
	}
}

// mapped changes each part of t by f.
func (t text) mapped(f func(string) string) text {
	switch {
	case len(t.out) == 0:
		return text{s: f(t.s), markup: t.markup}
	case t.out[0] == span{0, len(t.s)}:
		return t.like(f(t.s))
	}
	var b builder
	t.pieces(func(part string, outside bool) { b.add(f(part), outside) })
	r := b.text()
	r.markup = t.markup
	return r
}

// runes returns how many code points t has.
func (t text) runes() int { return utf8.RuneCountInString(t.s) }

// offset returns the byte at which code point n begins.
func (t text) offset(n int) int {
	if len(t.s) == t.runes() {
		return n
	}
	at := 0
	for ; n > 0; n-- {
		_, size := utf8.DecodeRuneInString(t.s[at:])
		at += size
	}
	return at
}

// trim cuts code points that cut accepts off the beginning and the end.
func (t text) trim(left, right bool, cut func(rune) bool) text {
	from, to := 0, len(t.s)
	if left {
		from = to - len(strings.TrimLeftFunc(t.s, cut))
	}
	if right {
		to = from + len(strings.TrimRightFunc(t.s[from:], cut))
	}
	return t.slice(from, to)
}

// isSpace is Python's str.isspace for one code point: Unicode's white space and the four separators of ASCII.
func isSpace(r rune) bool {
	switch {
	case '\t' <= r && r <= '\r', 0x1c <= r && r <= ' ', r == 0x85, r == 0xa0:
		return true
	case r < 0x1680:
		return false
	}
	return r == 0x1680 || 0x2000 <= r && r <= 0x200a || r == 0x2028 || r == 0x2029 || r == 0x202f || r == 0x205f || r == 0x3000
}

// builder joins texts.
type builder struct {
	buf []byte
	out []span
}

func (b *builder) len() int { return len(b.buf) }

func (b *builder) add(s string, outside bool) {
	if s == "" {
		return
	}
	from := len(b.buf)
	b.buf = append(b.buf, s...)
	if !outside {
		return
	}
	if n := len(b.out); n > 0 && b.out[n-1].to == from {
		b.out[n-1].to = len(b.buf)
		return
	}
	b.out = append(b.out, span{from, len(b.buf)})
}

func (b *builder) own(s string) { b.add(s, false) }

func (b *builder) text(parts ...text) text {
	for _, p := range parts {
		b.join(p)
	}
	return text{s: string(b.buf), out: slices.Clone(b.out)}
}

func (b *builder) join(t text) {
	if len(t.out) == 0 {
		b.own(t.s)
		return
	}
	t.pieces(b.add)
}

// concat is the texts one after the other.
func concat(parts ...text) text {
	var b builder
	return b.text(parts...)
}

// replace replaces the first n occurrences of old (all where n is negative), as Python's str.replace.
func (t text) replace(old, by text, n int) text {
	var b builder
	at := 0
	if old.s == "" { // before each code point, and at the end
		for ; n != 0; n-- {
			b.join(by)
			if at == len(t.s) {
				break
			}
			_, size := utf8.DecodeRuneInString(t.s[at:])
			b.join(t.slice(at, at+size))
			at += size
		}
	}
	for ; n != 0 && old.s != ""; n-- {
		i := strings.Index(t.s[at:], old.s)
		if i < 0 {
			break
		}
		b.join(t.slice(at, at+i))
		b.join(by)
		at += i + len(old.s)
	}
	b.join(t.slice(at, len(t.s)))
	r := b.text()
	r.markup = t.markup
	return r
}

// split splits at sep, at most n times (without limit where n is negative), from the right where fromRight.
func (t text) split(sep string, n int, fromRight bool) []text {
	var parts []text
	from, to := 0, len(t.s)
	for ; n != 0; n-- {
		if fromRight {
			i := strings.LastIndex(t.s[:to], sep)
			if i < 0 {
				break
			}
			parts = append(parts, t.slice(i+len(sep), to))
			to = i
			continue
		}
		i := strings.Index(t.s[from:], sep)
		if i < 0 {
			break
		}
		parts = append(parts, t.slice(from, from+i))
		from += i + len(sep)
	}
	parts = append(parts, t.slice(from, to))
	if fromRight {
		slices.Reverse(parts)
	}
	return parts
}

// fields splits at runs of white space, at most n times, as Python's str.split and str.rsplit without a separator: what is
// left after n times keeps the white space at its far end.
func (t text) fields(n int, fromRight bool) []text {
	var parts []text
	rest := t
	for {
		rest = rest.trim(!fromRight, fromRight, isSpace)
		if rest.s == "" {
			break
		}
		at := -1
		switch {
		case n == 0:
		case fromRight:
			if at = strings.LastIndexFunc(rest.s, isSpace); at >= 0 {
				_, size := utf8.DecodeRuneInString(rest.s[at:])
				parts = append(parts, rest.slice(at+size, len(rest.s)))
				rest = rest.slice(0, at)
			}
		default:
			if at = strings.IndexFunc(rest.s, isSpace); at >= 0 {
				parts = append(parts, rest.slice(0, at))
				rest = rest.slice(at, len(rest.s))
			}
		}
		if at < 0 {
			parts = append(parts, rest)
			break
		}
		n--
	}
	if fromRight {
		slices.Reverse(parts)
	}
	return parts
}

// lines splits at line ends, as Python's str.splitlines.
func (t text) lines(keepEnds bool) []text {
	var parts []text
	at := 0
	for at < len(t.s) {
		i := strings.IndexFunc(t.s[at:], isLineEnd)
		if i < 0 {
			return append(parts, t.slice(at, len(t.s)))
		}
		end := at + i
		_, size := utf8.DecodeRuneInString(t.s[end:])
		if strings.HasPrefix(t.s[end:], "\r\n") {
			size = 2
		}
		to := end
		if keepEnds {
			to += size
		}
		parts = append(parts, t.slice(at, to))
		at = end + size
	}
	return parts
}

func isLineEnd(r rune) bool {
	return '\n' <= r && r <= '\r' || 0x1c <= r && r <= 0x1e || r == 0x85 || r == 0x2028 || r == 0x2029
}
