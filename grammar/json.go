package grammar

import "sync"

// How JSON is written: between its parts may be nothing, a space, or a line's end with up to maxIndent spaces or tabs; behind a colon at most one
// space; none before and after the whole text. Numbers have at most maxDigits digits in a row and three in the exponent.
const (
	maxIndent = 32
	maxDigits = 64
)

// lexicon has the expressions that JSON's grammars are made of. There is one, so that they are the same everywhere.
type lexicon struct {
	space, colonSpace *expr
	comma, colon      *expr
	digit             *expr
	character         *expr // of a string: as it is, or as an escape of any kind
	plain             *expr // of a string, written in the one way that encodeJSON uses
	str               *expr
	integer, number   *expr
	boolean, null     *expr
	value, object     *expr
}

// words returns the lexicon.
var words = sync.OnceValue(func() *lexicon {
	l := &lexicon{}
	l.space = alt(empty, literal(" "), cat(literal("\n"), repeat(anyOf(" \t"), 0, maxIndent)))
	l.colonSpace = optional(literal(" "))
	l.comma = cat(literal(","), l.space)
	l.colon = cat(literal(":"), l.colonSpace)
	l.digit = byteRange('0', '9')

	h := anyOf("0123456789abcdefABCDEF")
	l.plain = encodeJSON(allRunes)
	l.character = alt(
		utf8Expr(allRunes.minus(runeSet{0, 0x1F, '"', '"', '\\', '\\'})),
		cat(literal(`\`), alt(anyOf(`"\/bfnrt`), cat(literal("u"), alt(
			cat(anyOf("0123456789abcefABCEF"), h, h, h),
			cat(anyOf("dD"), anyOf("01234567"), h, h),
			cat(anyOf("dD"), anyOf("89abAB"), h, h, literal(`\u`), anyOf("dD"), anyOf("cdefCDEF"), h, h), // a pair of surrogates
		)))),
	)
	l.str = cat(literal(`"`), repeat(l.character, 0, -1), literal(`"`))

	digits := alt(literal("0"), cat(byteRange('1', '9'), repeat(l.digit, 0, maxDigits-1)))
	minus := optional(literal("-"))
	l.integer = alt(literal("0"), cat(minus, byteRange('1', '9'), repeat(l.digit, 0, maxDigits-1)))
	l.number = cat(minus, digits, optional(cat(literal("."), repeat(l.digit, 1, maxDigits))),
		optional(cat(anyOf("eE"), optional(anyOf("+-")), repeat(l.digit, 1, 2))))
	l.boolean = choice([]string{"true", "false"})
	l.null = literal("null")

	value := ref("value")
	l.object = cat(literal("{"), l.space, optional(cat(l.member(l.str, value), repeat(cat(l.comma, l.member(l.str, value)), 0, -1), l.space)), literal("}"))
	array := cat(literal("["), l.space, optional(cat(value, repeat(cat(l.comma, value), 0, -1), l.space)), literal("]"))
	value.sub = alt(l.object, array, l.str, l.number, l.boolean, l.null)
	l.value = value
	for _, e := range []*expr{l.object, l.value, l.integer, l.number, l.str, l.plain, l.comma, l.colon, l.space, l.boolean, l.character} {
		if err := analyse(e); err != nil {
			panic(err) // the lexicon is fixed; a test sees it
		}
	}
	return l
})

// member is a name and its value.
func (l *lexicon) member(name, value *expr) *expr { return cat(name, l.colon, value) }

// JSON is the grammar of any JSON object.
func JSON() *Grammar { return fixed(words().object) }

// encodeJSON is one rune of s as it stands in a JSON string: an escape only where there must be one, the shortest.
func encodeJSON(s runeSet) *expr {
	s = s.and(allRunes)
	raw := s.minus(runeSet{0, 0x1F, '"', '"', '\\', '\\'})
	var branches []*expr
	for _, r := range []rune{'"', '\\', '\b', '\f', '\n', '\r', '\t'} {
		if len(s.and(runeSet{r, r})) > 0 {
			branches = append(branches, literal(string(appendQuoted(nil, string(r)))))
		}
	}
	control := s.and(runeSet{0, 7, 0xB, 0xB, 0xE, 0x1F})
	for i := 0; i < len(control); i += 2 {
		for r := control[i]; r <= control[i+1]; r++ {
			branches = append(branches, literal(string(appendQuoted(nil, string(r)))))
		}
	}
	if len(branches) > 0 {
		texts := make([]string, len(branches))
		for i, b := range branches {
			texts[i] = b.lit
		}
		branches = []*expr{choice(texts)}
	}
	if len(raw) > 0 {
		branches = append([]*expr{utf8Expr(raw)}, branches...)
	}
	return alt(branches...)
}

// appendQuoted appends s as it stands in a JSON string, in the spelling of encodeJSON.
func appendQuoted(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\b':
			b = append(b, `\b`...)
		case c == '\f':
			b = append(b, `\f`...)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c < 0x20:
			b = append(b, `\u00`...)
			b = append(b, digits[c>>4], digits[c&15])
		default:
			b = append(b, c)
		}
	}
	return b
}

// quoted is s as a JSON string.
func quoted(s string) string { return string(append(appendQuoted([]byte{'"'}, s), '"')) }
