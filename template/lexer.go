package template

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The lexer follows jinja2's (lexer.py) with trim_blocks and lstrip_blocks: the newline after a block or comment is
// dropped, and so is the white space before one that begins a line; '-' drops all white space on its side, '+' none.

// tokenKind is the kind of a token.
type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenData
	tokenBlockBegin
	tokenBlockEnd
	tokenPrintBegin
	tokenPrintEnd
	tokenName
	tokenString
	tokenInteger
	tokenFloat
	tokenOperator
)

// token is one token of a template.
type token struct {
	kind tokenKind
	s    string // text, name, operator, the string's value
	line int
}

// describe names a token in an error.
func (t token) describe() string {
	switch t.kind {
	case tokenEnd:
		return "end of template"
	case tokenData:
		return "text"
	case tokenBlockBegin:
		return "'{%'"
	case tokenBlockEnd:
		return "end of statement block"
	case tokenPrintBegin:
		return "'{{'"
	case tokenPrintEnd:
		return "end of print statement"
	}
	return strconv.Quote(t.s)
}

// ws is Python's \s, which is isSpace.
const ws = `[\t-\r\x1c- \x{85}\p{Z}]*`

var (
	tagBegin   = regexp.MustCompile(`\{%[-+]?` + ws + `raw` + ws + `(?:-%\}` + ws + `|%\})|\{#[-+]?|\{%[-+]?|\{\{[-+]?`)
	rawEnd     = regexp.MustCompile(`\{%[-+]?` + ws + `endraw` + ws + `(?:\+%\}|-%\}` + ws + `|%\}\n?)`)
	commentEnd = regexp.MustCompile(`\+#\}|-#\}` + ws + `|#\}\n?`)
	blockEnd   = regexp.MustCompile(`^(?:\+%\}|-%\}` + ws + `|%\}\n?)`)
	printEnd   = regexp.MustCompile(`^(?:-\}\}` + ws + `|\}\})`)

	floatToken   = regexp.MustCompile(`^(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?[eE][+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)`)
	integerToken = regexp.MustCompile(`^(?:0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[0-9a-fA-F])+|[1-9](?:_?\d)*|0(?:_?0)*)`)
	nameToken    = regexp.MustCompile(`^[\p{L}_][\p{L}\p{M}\p{N}_]*`)
	stringToken  = regexp.MustCompile(`(?s)^(?:'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*")`)
)

// operators, longest first.
var operators = []string{
	"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":",
	"|", ",", ";",
}

type lexer struct {
	src       string
	at        int
	line      int
	lineStart bool // at begins a line
	tokens    []token
}

// lex cuts a template into tokens.
func lex(source string) ([]token, error) {
	source = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(source)
	l := &lexer{src: strings.TrimSuffix(source, "\n"), line: 1, lineStart: true}
	for l.at < len(l.src) {
		if err := l.next(); err != nil {
			return nil, err
		}
	}
	l.emit(tokenEnd, "")
	return l.tokens, nil
}

func (l *lexer) errorf(format string, a ...any) error {
	return fmt.Errorf("line %d: %s", l.line, fmt.Sprintf(format, a...))
}

func (l *lexer) emit(kind tokenKind, s string) {
	l.tokens = append(l.tokens, token{kind, s, l.line})
}

// advance steps over n bytes.
func (l *lexer) advance(n int) {
	s := l.src[l.at : l.at+n]
	l.line += strings.Count(s, "\n")
	if s != "" {
		l.lineStart = strings.HasSuffix(s, "\n")
	}
	l.at += n
}

// data emits the text before a tag.
func (l *lexer) data(s string, sign byte, isPrint bool) {
	switch {
	case sign == '-':
		s = strings.TrimRightFunc(s, isSpace)
	case sign != '+' && !isPrint:
		line := strings.LastIndexByte(s, '\n') + 1
		if (line > 0 || l.lineStart) && strings.TrimLeftFunc(s[line:], isSpace) == "" {
			s = s[:line]
		}
	}
	if s != "" {
		l.emit(tokenData, s)
	}
}

// signOf is the '-' or '+' after the two bytes that open a tag.
func signOf(tag string) byte {
	if len(tag) > 2 && (tag[2] == '-' || tag[2] == '+') {
		return tag[2]
	}
	return 0
}

// next reads text and the tag after it.
func (l *lexer) next() error {
	m := tagBegin.FindStringIndex(l.src[l.at:])
	if m == nil {
		l.emit(tokenData, l.src[l.at:])
		l.advance(len(l.src) - l.at)
		return nil
	}
	tag := l.src[l.at+m[0] : l.at+m[1]]
	sign := signOf(tag)
	l.data(l.src[l.at:l.at+m[0]], sign, tag[1] == '{')
	l.advance(m[1])
	switch {
	case strings.HasSuffix(strings.TrimRightFunc(tag, isSpace), "%}"):
		return l.raw()
	case tag[1] == '#':
		end := commentEnd.FindStringIndex(l.src[l.at:])
		if end == nil {
			return l.errorf("a comment has no end")
		}
		l.advance(end[1])
		return nil
	case tag[1] == '%':
		return l.code(tokenBlockBegin, tokenBlockEnd, blockEnd)
	}
	return l.code(tokenPrintBegin, tokenPrintEnd, printEnd)
}

// raw reads up to the end of a raw block.
func (l *lexer) raw() error {
	m := rawEnd.FindStringIndex(l.src[l.at:])
	if m == nil {
		return l.errorf("a raw block has no end")
	}
	l.data(l.src[l.at:l.at+m[0]], signOf(l.src[l.at+m[0]:l.at+m[1]]), false)
	l.advance(m[1])
	return nil
}

// code reads the tokens of a tag.
func (l *lexer) code(begin, end tokenKind, endToken *regexp.Regexp) error {
	l.emit(begin, "")
	var open []byte // brackets
	for {
		rest := l.src[l.at:]
		if rest == "" {
			return l.errorf("a tag has no end")
		}
		if len(open) == 0 && strings.IndexByte("%}-+", rest[0]) >= 0 {
			if m := endToken.FindString(rest); m != "" {
				l.emit(end, "")
				l.advance(len(m))
				return nil
			}
		}
		if trimmed := strings.TrimLeftFunc(rest, isSpace); len(trimmed) < len(rest) {
			l.advance(len(rest) - len(trimmed))
			continue
		}
		n, err := l.token(rest)
		if err != nil {
			return err
		}
		if t := l.tokens[len(l.tokens)-1]; t.kind == tokenOperator {
			if open, err = l.balance(open, t.s[0]); err != nil {
				return err
			}
		}
		l.advance(n)
	}
}

// token emits the token that begins rest and returns its length.
func (l *lexer) token(rest string) (int, error) {
	switch c := rest[0]; {
	case '0' <= c && c <= '9':
		if m := floatToken.FindString(rest); m != "" && (l.at == 0 || l.src[l.at-1] != '.') {
			l.emit(tokenFloat, strings.ReplaceAll(m, "_", ""))
			return len(m), nil
		}
		if m := integerToken.FindString(rest); m != "" {
			l.emit(tokenInteger, strings.ReplaceAll(m, "_", ""))
			return len(m), nil
		}
	case c == '_', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c >= utf8.RuneSelf:
		if m := nameToken.FindString(rest); m != "" {
			l.emit(tokenName, m)
			return len(m), nil
		}
	case c == '\'', c == '"':
		if m := stringToken.FindString(rest); m != "" {
			s, err := unescape(m[1 : len(m)-1])
			if err != nil {
				return 0, l.errorf("%v", err)
			}
			l.emit(tokenString, s)
			return len(m), nil
		}
	}
	for _, op := range operators {
		if strings.HasPrefix(rest, op) {
			l.emit(tokenOperator, op)
			return len(op), nil
		}
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return 0, l.errorf("unexpected character %q", r)
}

// balance keeps the open brackets: a tag does not end inside of them.
func (l *lexer) balance(open []byte, op byte) ([]byte, error) {
	switch op {
	case '(', '[', '{':
		return append(open, op), nil
	case ')', ']', '}':
		if len(open) == 0 || open[len(open)-1] != map[byte]byte{')': '(', ']': '[', '}': '{'}[op] {
			return nil, l.errorf("unexpected %q", op)
		}
		return open[:len(open)-1], nil
	}
	return open, nil
}

// unescape reads the escapes of a Python string literal.
func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	simple := map[byte]string{
		'\n': "", '\\': `\`, '\'': "'", '"': `"`, 'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v",
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if r, ok := simple[s[i]]; ok {
			b.WriteString(r)
			continue
		}
		digits, base := 0, 16
		from := i + 1
		switch c := s[i]; {
		case c == 'x':
			digits = 2
		case c == 'u':
			digits = 4
		case c == 'U':
			digits = 8
		case '0' <= c && c <= '7':
			from, base = i, 8
			for digits = 1; digits < 3 && from+digits < len(s) && '0' <= s[from+digits] && s[from+digits] <= '7'; {
				digits++
			}
		case c == 'N':
			return "", fmt.Errorf(`the escape \N is not supported`)
		default:
			b.WriteString(s[i-1 : i+1])
			continue
		}
		if from+digits > len(s) {
			return "", fmt.Errorf("an escape in a string is cut off")
		}
		n, err := strconv.ParseUint(s[from:from+digits], base, 32)
		if err != nil || n > utf8.MaxRune || 0xd800 <= n && n < 0xe000 {
			return "", fmt.Errorf("the escape %q is no character", s[i-1:from+digits])
		}
		b.WriteRune(rune(n))
		i = from + digits - 1
	}
	return b.String(), nil
}
