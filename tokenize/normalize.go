package tokenize

import (
	"slices"
	"strings"
	"unicode"
)

// A normalizer rewrites a text before the model sees it. It returns its argument itself where nothing changes.
type normalizer interface {
	normalize(s string) string
}

// normalizers are run one after the other.
type normalizers []normalizer

func (x normalizers) normalize(s string) string {
	for _, n := range x {
		s = n.normalize(s)
	}
	return s
}

// prependText puts a text before every other that is not empty.
type prependText string

func (x prependText) normalize(s string) string {
	if s == "" {
		return s
	}
	return string(x) + s
}

// replaceText is Replace with a fixed string.
type replaceText struct{ old, new string }

func (x replaceText) normalize(s string) string { return strings.ReplaceAll(s, x.old, x.new) }

// replacePattern is Replace with a pattern, as normalizer and as decoder.
type replacePattern struct {
	re  *regexpSplit
	new string
}

func (x replacePattern) normalize(s string) string {
	matches := x.re.spans(s)
	if len(matches) == 0 {
		return s
	}
	var b strings.Builder
	at := 0
	for _, m := range matches {
		b.WriteString(s[at:m[0]])
		b.WriteString(x.new)
		at = m[1]
	}
	b.WriteString(s[at:])
	return b.String()
}

// lowercase is Rust's char::to_lowercase for each code point: without the special rule of a final sigma.
type lowercase struct{}

func (lowercase) normalize(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return lower(r) != r || r == 'İ' }) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		if r == 'İ' {
			b.WriteString("i̇")
			continue
		}
		b.WriteRune(lower(r))
	}
	return b.String()
}

// newerLower has the lower-case letters of Unicode 16 and 17 that the language's tables may lack yet.
var newerLower = map[rune]rune{0x1C89: 0x1C8A, 0xA7CB: 0x264, 0xA7CC: 0xA7CD, 0xA7CE: 0xA7CF, 0xA7D2: 0xA7D3, 0xA7D4: 0xA7D5, 0xA7DA: 0xA7DB, 0xA7DC: 0x19B}

func lower(r rune) rune {
	switch {
	case r < unicode.MaxASCII:
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	case 0x10D50 <= r && r <= 0x10D65:
		return r + 0x20
	case 0x16EA0 <= r && r <= 0x16EB8:
		return r + 0x1B
	}
	if l, ok := newerLower[r]; ok {
		return l
	}
	return unicode.ToLower(r)
}

// strip removes white space at the ends.
type strip struct {
	classes     *classTable
	left, right bool
}

func (x strip) normalize(s string) string {
	if x.left {
		s = s[x.classes.run(s, 0, classBlank):]
	}
	for x.right && s != "" {
		b, at := x.classes.before(s, len(s))
		if b&classBlank == 0 {
			break
		}
		s = s[:at]
	}
	return s
}

// stripAccents removes combining marks.
type stripAccents struct{ classes *classTable }

func (x stripAccents) normalize(s string) string {
	return strings.Map(func(r rune) rune {
		if x.classes[r]&classAccent != 0 {
			return -1
		}
		return r
	}, s)
}

// nmt removes control characters and makes spaces of others, as SentencePiece's nmt_nfkc rule does.
type nmt struct{}

var (
	nmtRemoved = []rune{1, 2, 3, 4, 5, 6, 7, 8, 0xB, 0xE, 0xF, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x1B, 0x1C, 0x1D, 0x1E, 0x1F, 0x7F, 0x8F, 0x9F}
	nmtSpaces  = []rune{9, 0xA, 0xC, 0xD, 0x1680, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD}
)

func (nmt) normalize(s string) string {
	return strings.Map(func(r rune) rune {
		if slices.Contains(nmtRemoved, r) {
			return -1
		}
		if slices.Contains(nmtSpaces, r) {
			return ' '
		}
		return r
	}, s)
}

// byteText is the normalizer ByteLevel.
type byteText struct{}

func (byteText) normalize(s string) string { return byteChars(s) }
