package grammar

import (
	"fmt"
	"regexp/syntax"
	"strings"
	"unicode"
)

// maxPattern is how many bytes a regular expression may have, and maxRepeat the largest bound of a repeat in it.
const (
	maxPattern = 8 << 10
	maxRepeat  = 1000
)

// Regex is the grammar of the texts that pattern matches as a whole. The syntax is RE2's with ECMAScript's \u escapes; lookarounds, back references and
// word boundaries are errors.
func Regex(pattern string) (*Grammar, error) {
	e, err := regex(pattern, false, utf8Expr)
	if err != nil {
		return nil, err
	}
	return compile(e)
}

// regex returns the expression of pattern, whose characters are written by encode. With search, what it matches may lie anywhere in the text.
func regex(pattern string, search bool, encode func(runeSet) *expr) (*expr, error) {
	if len(pattern) > maxPattern {
		return nil, &LimitError{fmt.Sprintf("a pattern has %d bytes, at most %d can be", len(pattern), maxPattern)}
	}
	re, err := syntax.Parse(translate(pattern), syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", clip(pattern), err)
	}
	c := &regexCompiler{encode: encode, chars: make(map[string]*expr)}
	e, err := c.top(re, search)
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", clip(pattern), err)
	}
	return e, nil
}

// clip shortens a value for an error.
func clip(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// lineEnds are what ECMAScript's dot leaves out.
var lineEnds = runeSet{'\n', '\n', '\r', '\r', 0x2028, 0x2029}

// regexCompiler turns a parsed pattern into an expression.
type regexCompiler struct {
	encode func(runeSet) *expr
	chars  map[string]*expr
	size   int
}

// any is any text.
func (c *regexCompiler) any() *expr { return repeat(c.char(allRunes), 0, -1) }

// char is one rune of set.
func (c *regexCompiler) char(set runeSet) *expr {
	key := string(set)
	e, ok := c.chars[key]
	if !ok {
		e = c.encode(set)
		c.chars[key] = e
	}
	return e
}

// top compiles what may have anchors at its ends.
func (c *regexCompiler) top(re *syntax.Regexp, search bool) (*expr, error) {
	return c.anchored([]*syntax.Regexp{re}, search, search)
}

// anchored compiles a sequence; before and after say whether any text may come before and after it.
func (c *regexCompiler) anchored(list []*syntax.Regexp, before, after bool) (*expr, error) {
	for len(list) > 0 {
		switch first := list[0]; {
		case isBegin(first):
			list, before = list[1:], false
			continue
		case first.Op == syntax.OpCapture && hasAnchor(first):
			list = append([]*syntax.Regexp{first.Sub[0]}, list[1:]...)
			continue
		case first.Op == syntax.OpConcat:
			list = append(append([]*syntax.Regexp(nil), first.Sub...), list[1:]...)
			continue
		}
		last := list[len(list)-1]
		switch {
		case isEnd(last):
			list, after = list[:len(list)-1], false
			continue
		case last.Op == syntax.OpCapture && hasAnchor(last):
			list = append(append([]*syntax.Regexp(nil), list[:len(list)-1]...), last.Sub[0])
			continue
		case last.Op == syntax.OpConcat:
			list = append(append([]*syntax.Regexp(nil), list[:len(list)-1]...), last.Sub...)
			continue
		}
		// An alternation with anchors is that of the sequences with each of its branches.
		for _, i := range []int{0, len(list) - 1} {
			if list[i].Op != syntax.OpAlternate || !hasAnchor(list[i]) {
				continue
			}
			var branches []*expr
			for _, branch := range list[i].Sub {
				if c.size++; c.size > 1000 {
					return nil, &LimitError{"too many alternatives with anchors"}
				}
				one := append(append(append([]*syntax.Regexp(nil), list[:i]...), branch), list[i+1:]...)
				e, err := c.anchored(one, before, after)
				if err != nil {
					return nil, err
				}
				branches = append(branches, e)
			}
			return alt(branches...), nil
		}
		break
	}
	var parts []*expr
	if before {
		parts = append(parts, c.any())
	}
	for _, re := range list {
		e, err := c.compile(re)
		if err != nil {
			return nil, err
		}
		parts = append(parts, e)
	}
	if after {
		parts = append(parts, c.any())
	}
	return cat(parts...), nil
}

func isBegin(re *syntax.Regexp) bool { return re.Op == syntax.OpBeginText }

func isEnd(re *syntax.Regexp) bool { return re.Op == syntax.OpEndText }

// hasAnchor says whether there is an anchor in re.
func hasAnchor(re *syntax.Regexp) bool {
	if isBegin(re) || isEnd(re) {
		return true
	}
	for _, sub := range re.Sub {
		if hasAnchor(sub) {
			return true
		}
	}
	return false
}

// compile compiles what has no anchors.
func (c *regexCompiler) compile(re *syntax.Regexp) (*expr, error) {
	switch re.Op {
	case syntax.OpNoMatch:
		return nothing, nil
	case syntax.OpEmptyMatch:
		return empty, nil
	case syntax.OpLiteral:
		parts := make([]*expr, 0, len(re.Rune))
		for _, r := range re.Rune {
			set := runeSet{r, r}
			if re.Flags&syntax.FoldCase != 0 {
				for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
					set = append(set, f, f)
				}
				set = setOf(set...)
			}
			parts = append(parts, c.char(set))
		}
		return cat(parts...), nil
	case syntax.OpCharClass:
		return c.char(re.Rune), nil
	case syntax.OpAnyChar:
		return c.char(allRunes), nil
	case syntax.OpAnyCharNotNL:
		return c.char(allRunes.minus(lineEnds)), nil
	case syntax.OpCapture:
		return c.compile(re.Sub[0])
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest, syntax.OpRepeat:
		sub, err := c.compile(re.Sub[0])
		if err != nil {
			return nil, err
		}
		switch re.Op {
		case syntax.OpStar:
			return repeat(sub, 0, -1), nil
		case syntax.OpPlus:
			return repeat(sub, 1, -1), nil
		case syntax.OpQuest:
			return optional(sub), nil
		}
		return repeat(sub, re.Min, re.Max), nil
	case syntax.OpConcat, syntax.OpAlternate:
		parts := make([]*expr, len(re.Sub))
		for i, sub := range re.Sub {
			e, err := c.compile(sub)
			if err != nil {
				return nil, err
			}
			parts[i] = e
		}
		if re.Op == syntax.OpConcat {
			return cat(parts...), nil
		}
		return alt(parts...), nil
	case syntax.OpBeginText, syntax.OpEndText:
		return nil, fmt.Errorf("an anchor is compiled at the beginning and the end alone")
	}
	return nil, fmt.Errorf("%s is not compiled", re.Op)
}

// spaces are the characters of ECMAScript's \s beyond ASCII. \s is compiled as RE2's alone, which are ASCII, and \S leaves all out, so that what is
// generated matches by either reading.
const (
	spaces = `\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\x{feff}`
	solid  = `\x00-\x08\x0e-\x1f!-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{fefe}\x{ff00}-\x{10ffff}`
)

// translate turns ECMAScript's escapes that RE2 does not know into its own.
func translate(p string) string {
	var b strings.Builder
	class := false
	for i := 0; i < len(p); i++ {
		ch := p[i]
		if ch != '\\' || i+1 == len(p) {
			switch {
			case ch == '[' && !class:
				class = true
			case ch == ']':
				class = false
			case ch == '[':
				b.WriteByte('\\') // RE2 looks for [:name:] there
			}
			b.WriteByte(ch)
			continue
		}
		i++
		switch n := p[i]; {
		case n == 'u' && i+4 < len(p) && hex(p[i+1:i+5]):
			b.WriteString(`\x{` + p[i+1:i+5] + `}`)
			i += 4
		case n == 'u' && i+2 < len(p) && p[i+1] == '{':
			b.WriteString(`\x`)
		case n == 'd' && !class:
			b.WriteString(`[0-9]`)
		case n == 's' && !class:
			b.WriteString(`[\t\n\f\r ]`)
		case n == 's':
			b.WriteString(`\t\n\f\r `)
		case n == 'S' && !class:
			b.WriteString(`[^\t-\r ` + spaces + `]`)
		case n == 'S':
			b.WriteString(solid)
		case n == 'c' && i+1 < len(p) && unicode.IsLetter(rune(p[i+1])) && p[i+1] < 0x80:
			fmt.Fprintf(&b, `\x{%x}`, p[i+1]&31)
			i++
		case n == 'p' || n == 'P':
			rest := p[i+1:]
			if end := strings.IndexByte(rest, '}'); strings.HasPrefix(rest, "{") && end > 0 {
				name := rest[1:end]
				i += end + 1
				if short, ok := categories[name]; ok {
					name = short
				}
				if _, script, ok := strings.Cut(name, "="); ok {
					name = script
				}
				b.WriteString(`\` + string(n) + `{` + name + `}`)
				continue
			}
			b.WriteString(`\` + string(n))
		default:
			b.WriteByte('\\')
			b.WriteByte(n)
		}
	}
	return b.String()
}

// categories are long names of Unicode's general categories.
var categories = map[string]string{
	"Letter": "L", "Lowercase_Letter": "Ll", "Uppercase_Letter": "Lu", "Titlecase_Letter": "Lt", "Mark": "M", "Number": "N", "Decimal_Number": "Nd",
	"digit": "Nd", "Punctuation": "P", "punct": "P", "Symbol": "S", "Separator": "Z", "Space_Separator": "Zs", "Other": "C", "Control": "Cc", "Alphabetic": "L",
}

func hex(s string) bool {
	return strings.Trim(s, "0123456789abcdefABCDEF") == ""
}
