package grammar

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// GBNF is the grammar that text describes in llama.cpp's notation (grammars/README.md of llama.cpp): rules name ::= alternatives, of which root is
// the first; "text", [a-z], [^a-z], ., (group), and * + ? {n} {n,} {n,m} behind what they repeat; comments from # on. The errors name the line.
func GBNF(text string) (*Grammar, error) {
	if len(text) > maxSchema {
		return nil, &LimitError{fmt.Sprintf("the grammar has %d bytes, at most %d can be", len(text), maxSchema)}
	}
	p := &gbnfParser{text: text, line: 1, rules: make(map[string]*expr)}
	if err := p.parse(); err != nil {
		return nil, fmt.Errorf("line %d: %w", p.line, err)
	}
	root, ok := p.rules["root"]
	if !ok || root.sub == nil {
		return nil, fmt.Errorf("there is no rule named root")
	}
	return compile(root)
}

type gbnfParser struct {
	text  string
	at    int
	line  int
	depth int
	rules map[string]*expr
}

// rule returns the reference to a rule.
func (p *gbnfParser) rule(name string) *expr {
	r, ok := p.rules[name]
	if !ok {
		r = ref(name)
		p.rules[name] = r
	}
	return r
}

func (p *gbnfParser) parse() error {
	for p.skip(true); p.at < len(p.text); p.skip(true) {
		name := p.name()
		if name == "" {
			return fmt.Errorf("a rule's name is expected at %q", clip(p.text[p.at:]))
		}
		p.skip(false)
		if !p.take("::=") {
			return fmt.Errorf("::= is expected after %q", clip(name))
		}
		p.skip(true)
		r := p.rule(name)
		if r.sub != nil {
			return fmt.Errorf("rule %q is there twice", clip(name))
		}
		e, err := p.alternatives(false)
		if err != nil {
			return err
		}
		r.sub = e
		if p.at < len(p.text) && p.text[p.at] != '\n' && p.text[p.at] != '\r' {
			return fmt.Errorf("a line's end is expected at %q", clip(p.text[p.at:]))
		}
	}
	return nil
}

// skip passes spaces and comments, and ends of lines where lines says so.
func (p *gbnfParser) skip(lines bool) {
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '#':
			for p.at < len(p.text) && p.text[p.at] != '\n' && p.text[p.at] != '\r' {
				p.at++
			}
			continue
		case c == ' ' || c == '\t':
		case lines && (c == '\n' || c == '\r'):
			if c == '\n' {
				p.line++
			}
		default:
			return
		}
		p.at++
	}
}

func (p *gbnfParser) take(s string) bool {
	if len(p.text)-p.at >= len(s) && p.text[p.at:p.at+len(s)] == s {
		p.at += len(s)
		return true
	}
	return false
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

func (p *gbnfParser) name() string {
	begin := p.at
	for p.at < len(p.text) && isNameByte(p.text[p.at]) {
		p.at++
	}
	return p.text[begin:p.at]
}

func (p *gbnfParser) alternatives(nested bool) (*expr, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, &LimitError{fmt.Sprintf("there are more than %d brackets in each other", maxDepth)}
	}
	defer func() { p.depth-- }()
	var branches []*expr
	for {
		e, err := p.sequence(nested)
		if err != nil {
			return nil, err
		}
		branches = append(branches, e)
		p.skip(nested)
		if !p.take("|") {
			return alt(branches...), nil
		}
		p.skip(true)
	}
}

func (p *gbnfParser) sequence(nested bool) (*expr, error) {
	var parts []*expr
	for p.skip(nested); p.at < len(p.text); p.skip(nested) {
		var e *expr
		var err error
		switch c := p.text[p.at]; {
		case c == '"':
			e, err = p.literal()
		case c == '[':
			e, err = p.class()
		case c == '.':
			p.at++
			e = utf8Expr(allRunes)
		case c == '(':
			p.at++
			p.skip(true)
			if e, err = p.alternatives(true); err == nil && !p.take(")") {
				err = fmt.Errorf(") is expected at %q", clip(p.text[p.at:]))
			}
		case isNameByte(c):
			e = p.rule(p.name())
		default:
			return cat(parts...), nil
		}
		if err != nil {
			return nil, err
		}
		if e, err = p.repeats(e); err != nil {
			return nil, err
		}
		parts = append(parts, e)
	}
	return cat(parts...), nil
}

// repeats takes what follows e and repeats it.
func (p *gbnfParser) repeats(e *expr) (*expr, error) {
	for {
		switch {
		case p.take("*"):
			e = repeat(e, 0, -1)
		case p.take("+"):
			e = repeat(e, 1, -1)
		case p.take("?"):
			e = optional(e)
		case p.take("{"):
			least, most, err := p.bounds()
			if err != nil {
				return nil, err
			}
			e = repeat(e, least, most)
		default:
			return e, nil
		}
	}
}

// maxGBNFRepeat is the largest bound of a repeat.
const maxGBNFRepeat = 1 << 20

func (p *gbnfParser) bounds() (least, most int, err error) {
	number := func() (int, bool) {
		p.skip(true)
		begin := p.at
		for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
			p.at++
		}
		n, err := strconv.Atoi(p.text[begin:p.at])
		p.skip(true)
		return n, err == nil
	}
	least, ok := number()
	most = least
	if p.take(",") {
		if !ok {
			least = 0
		}
		if most, ok = number(); !ok {
			most, ok = -1, true
		}
	}
	switch {
	case !ok || !p.take("}"):
		return 0, 0, fmt.Errorf("{n}, {n,} or {n,m} is expected at %q", clip(p.text[p.at:]))
	case least > maxGBNFRepeat || most > maxGBNFRepeat:
		return 0, 0, &LimitError{fmt.Sprintf("a repeat is bounded by %d, at most %d can be", max(least, most), maxGBNFRepeat)}
	}
	return least, most, nil
}

// character takes one character, which may be an escape.
func (p *gbnfParser) character() (rune, error) {
	if p.at >= len(p.text) {
		return 0, fmt.Errorf("the grammar ends inside quotes or brackets")
	}
	if p.text[p.at] != '\\' {
		r, n := utf8.DecodeRuneInString(p.text[p.at:])
		if r == utf8.RuneError && n <= 1 {
			return 0, fmt.Errorf("a character is not UTF-8")
		}
		if r == '\n' {
			p.line++
		}
		p.at += n
		return r, nil
	}
	if p.at+1 >= len(p.text) {
		return 0, fmt.Errorf("the grammar ends inside an escape")
	}
	c := p.text[p.at+1]
	p.at += 2
	digits := 0
	switch c {
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	case 't':
		return '\t', nil
	case 'r':
		return '\r', nil
	case 'n':
		return '\n', nil
	case '\\', '"', '[', ']', '-', '^':
		return rune(c), nil
	default:
		return 0, fmt.Errorf(`the escape \%c is not known`, c)
	}
	if p.at+digits > len(p.text) {
		return 0, fmt.Errorf("the grammar ends inside an escape")
	}
	n, err := strconv.ParseUint(p.text[p.at:p.at+digits], 16, 32)
	if err != nil || n > utf8.MaxRune {
		return 0, fmt.Errorf("%q is no character", p.text[p.at:p.at+digits])
	}
	p.at += digits
	return rune(n), nil
}

func (p *gbnfParser) literal() (*expr, error) {
	p.at++
	var b []byte
	for !p.take(`"`) {
		r, err := p.character()
		if err != nil {
			return nil, err
		}
		b = utf8.AppendRune(b, r)
	}
	return literal(string(b)), nil
}

func (p *gbnfParser) class() (*expr, error) {
	p.at++
	not := p.take("^")
	var pairs []rune
	for !p.take("]") {
		lo, err := p.character()
		if err != nil {
			return nil, err
		}
		hi := lo
		if p.at+1 < len(p.text) && p.text[p.at] == '-' && p.text[p.at+1] != ']' {
			p.at++
			if hi, err = p.character(); err != nil {
				return nil, err
			}
		}
		if hi < lo {
			return nil, fmt.Errorf("the range %q-%q ends before it begins", lo, hi)
		}
		pairs = append(pairs, lo, hi)
	}
	set := setOf(pairs...)
	if not {
		set = allRunes.minus(set)
	}
	return utf8Expr(set), nil
}
