package template

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// indexed says whether Python takes b for a mapping, of which a format need not use anything.
func indexed(b value) bool {
	switch b := b.(type) {
	case *dict, undefined:
		return true
	case *list:
		return b.kind == kindList || b.kind == kindRange
	}
	return false
}

// percentSpec reads flags, width, precision and kind and returns how long they are.
func percentSpec(s string, take func() (value, error)) (spec, int, error) {
	p := spec{fill: " ", align: '>', precision: -1}
	at := 0
	for ; at < len(s) && strings.IndexByte("-+ #0", s[at]) >= 0; at++ {
		switch s[at] {
		case '-':
			p.align = '<'
		case '+':
			p.sign = '+'
		case ' ':
			p.sign = max(p.sign, ' ')
		case '#':
			p.alternate = true
		case '0':
			p.fill = "0"
		}
	}
	number := func() (int, error) {
		if at < len(s) && s[at] == '*' {
			at++
			v, err := take()
			if err != nil {
				return 0, err
			}
			return intArgument("%", v, 0)
		}
		from := at
		for at < len(s) && '0' <= s[at] && s[at] <= '9' {
			at++
		}
		n, err := strconv.Atoi("0" + s[from:at])
		if err != nil || n > maxText {
			return 0, typeErrorf("the width %s is too large", clip(s[from:at]))
		}
		return n, nil
	}
	var err error
	if p.width, err = number(); err != nil {
		return p, 0, err
	}
	if p.width < 0 {
		p.align, p.width = '<', -p.width
	}
	if at < len(s) && s[at] == '.' {
		at++
		if p.precision, err = number(); err != nil {
			return p, 0, err
		}
	}
	for at < len(s) && strings.IndexByte("hlL", s[at]) >= 0 {
		at++
	}
	if at == len(s) {
		return p, 0, typeErrorf("incomplete format")
	}
	p.kind = s[at]
	if p.fill == "0" && p.align == '>' {
		p.align = '='
	}
	if p.align == '<' {
		p.fill = " "
	}
	return p, at + 1, nil
}

// percent is t % b, Python's printf.
func (e *evaluator) percent(t text, b value) (value, error) {
	args := []value{b}
	if l, ok := b.(*list); ok && l.kind == kindTuple {
		args = l.items
	}
	mapping, _ := b.(*dict)
	next := 0
	take := func() (value, error) {
		if next == len(args) {
			return nil, typeErrorf("not enough arguments for format string")
		}
		next++
		return args[next-1], nil
	}
	var out builder
	at := 0
	for {
		i := strings.IndexByte(t.s[at:], '%')
		if i < 0 {
			break
		}
		out.join(t.slice(at, at+i))
		at += i + 1
		var v value
		keyed := false
		if strings.HasPrefix(t.s[at:], "(") {
			end := strings.IndexByte(t.s[at:], ')')
			if end < 0 || mapping == nil {
				return nil, typeErrorf("format requires a mapping")
			}
			var ok bool
			var err error
			if v, ok, err = mapping.get(e, own(t.s[at+1:at+end])); err != nil || !ok {
				return nil, firstError(err, typeErrorf("the format names a key that is not there"))
			}
			keyed = true
			at += end + 1
		}
		s, n, err := percentSpec(t.s[at:], take)
		if err != nil {
			return nil, err
		}
		at += n
		if s.kind == '%' {
			out.own("%")
			continue
		}
		if !keyed {
			if v, err = take(); err != nil {
				return nil, err
			}
		}
		part, err := s.percent(e, v)
		if err != nil {
			return nil, err
		}
		if t.markup {
			part = escaped(part)
		}
		out.join(part)
		if err := e.made(out.len()); err != nil {
			return nil, err
		}
	}
	out.join(t.slice(at, len(t.s)))
	if next < len(args) && !indexed(b) {
		return nil, typeErrorf("not all arguments converted during string formatting")
	}
	r := out.text()
	r.markup = t.markup
	return r, nil
}

// percent formats v for %.
func (p spec) percent(e *evaluator, v value) (text, error) {
	switch p.kind {
	case 's', 'r', 'a':
		t, err := e.text(v)
		if p.kind != 's' {
			t, err = e.display(v, true)
		}
		if err != nil {
			return text{}, err
		}
		p.fill, p.align = " ", map[byte]byte{'<': '<'}[p.align]
		if p.align == 0 {
			p.align = '>'
		}
		return p.pad(p.cut(t)), nil
	case 'c':
		if n, ok := asInt(v); ok && 0 <= n && n <= utf8.MaxRune {
			return p.pad(own(string(rune(n)))), nil
		}
		if t, ok := v.(text); ok && t.runes() == 1 {
			return p.pad(t), nil
		}
		return text{}, typeErrorf("%%c requires int or char")
	case 'd', 'i', 'u':
		if f, ok := v.(float64); ok && math.Abs(f) < 1<<62 {
			v = int64(f)
		}
		p.kind = 'd'
	case 'e', 'E', 'f', 'F', 'g', 'G':
		if f, ok := asFloat(v); ok {
			v = f
		}
		if p.precision < 0 {
			p.precision = 6
		}
	case 'x', 'X', 'o':
	default:
		return text{}, typeErrorf("unsupported format character '%c'", p.kind)
	}
	if _, ok := asFloat(v); !ok {
		return text{}, firstError(refuseUndefined(v), typeErrorf("%%%c format: a number is required, not %s", p.kind, typeName(v)))
	}
	return p.number(v)
}
