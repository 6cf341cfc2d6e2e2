package template

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// spec says how a value is formatted: the conversions of Python's % and the mini-language of str.format.
type spec struct {
	fill      string
	align     byte // '<', '>', '^', '=' or 0 for the type's own
	sign      byte // '+', ' ' or 0
	alternate bool
	grouping  byte // ',' or '_'
	width     int
	precision int // -1 for none
	kind      byte
}

// formatMethod is str.format.
func formatMethod(e *evaluator, t text, a arguments) (value, error) {
	f := &formatter{e: e, args: a}
	r, err := f.format(t, 2)
	if err != nil {
		return nil, err
	}
	r.markup = t.markup
	return r, nil
}

type formatter struct {
	e    *evaluator
	args arguments
	next int
}

func (f *formatter) format(t text, depth int) (text, error) {
	var out builder
	for at := 0; at < len(t.s); {
		i := strings.IndexAny(t.s[at:], "{}")
		if i < 0 {
			out.join(t.slice(at, len(t.s)))
			break
		}
		out.join(t.slice(at, at+i))
		at += i
		if strings.HasPrefix(t.s[at:], t.s[at:at+1]+t.s[at:at+1]) {
			out.join(t.slice(at, at+1))
			at += 2
			continue
		}
		end := closingBrace(t.s[at:])
		if t.s[at] == '}' || end < 0 || depth == 0 {
			return text{}, typeErrorf("a brace stands alone in a format string")
		}
		part, err := f.field(t.slice(at+1, at+end), depth)
		if err != nil {
			return text{}, err
		}
		if t.markup {
			part = escaped(part)
		}
		out.join(part)
		if err := f.e.made(out.len()); err != nil {
			return text{}, err
		}
		at += end + 1
	}
	return out.text(), nil
}

// closingBrace finds the brace that closes the one that s begins with.
func closingBrace(s string) int {
	open := 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			open++
		case '}':
			if open--; open == 0 {
				return i
			}
		}
	}
	return -1
}

// field formats what stands between braces: name!conversion:spec.
func (f *formatter) field(t text, depth int) (text, error) {
	name, how, _ := strings.Cut(t.s, ":")
	name, conversion, converted := strings.Cut(name, "!")
	v, err := f.lookup(name)
	if err != nil {
		return text{}, err
	}
	spec, err := f.format(own(how), depth-1)
	if err != nil {
		return text{}, err
	}
	if converted {
		if conversion != "s" && conversion != "r" {
			return text{}, typeErrorf("the conversion %q is not supported", clip(conversion))
		}
		if v, err = f.e.display(v, conversion == "r"); err != nil {
			return text{}, err
		}
	}
	return f.e.formatValue(v, spec.s)
}

// lookup finds the argument that a field names: 0, name, name.attribute, name[index].
func (f *formatter) lookup(name string) (value, error) {
	end := strings.IndexAny(name, ".[")
	if end < 0 {
		end = len(name)
	}
	first, rest := name[:end], name[end:]
	var v value
	n, err := strconv.Atoi(first)
	switch {
	case first == "":
		n = f.next
		f.next++
		fallthrough
	case err == nil:
		if n >= len(f.args.positional) {
			return nil, typeErrorf("replacement index %d out of range for positional args tuple", n)
		}
		v = f.args.positional[n]
	default:
		at := -1
		for i, name := range f.args.names {
			if name == first {
				at = i
			}
		}
		if at < 0 {
			return nil, typeErrorf("the format names %q, which was not given", clip(first))
		}
		v = f.args.named[at]
	}
	for rest != "" {
		if rest[0] == '.' {
			end := strings.IndexAny(rest[1:], ".[") + 1
			if end == 0 {
				end = len(rest)
			}
			if v, err = f.e.attribute(v, rest[1:end]); err != nil {
				return nil, err
			}
			rest = rest[end:]
			continue
		}
		end := strings.IndexByte(rest, ']')
		if end < 0 {
			return nil, typeErrorf("a bracket in a format string is not closed")
		}
		var key value = own(rest[1:end])
		if n, err := strconv.ParseInt(rest[1:end], 10, 64); err == nil {
			key = n
		}
		if v, err = f.e.index(v, key); err != nil {
			return nil, err
		}
		rest = rest[end+1:]
	}
	return v, nil
}

// formatValue is format(v, how).
func (e *evaluator) formatValue(v value, how string) (text, error) {
	if how == "" {
		return e.text(v)
	}
	p, err := parseSpec(how)
	if err != nil {
		return text{}, err
	}
	switch v := v.(type) {
	case text:
		if p.kind != 0 && p.kind != 's' || p.sign != 0 || p.grouping != 0 {
			return text{}, typeErrorf("unknown format code '%s' for object of type 'str'", clip(how))
		}
		if p.align == 0 {
			p.align = '<'
		}
		return p.pad(p.cut(v)), nil
	case bool, int64, float64:
		if _, ok := v.(float64); !ok && p.precision >= 0 && strings.IndexByte("eEfFgG%", p.kind) < 0 {
			return text{}, typeErrorf("precision not allowed in integer format specifier")
		}
		return p.number(v)
	}
	return text{}, firstError(refuseUndefined(v), typeErrorf("unsupported format string passed to %s.__format__", typeName(v)))
}

// parseSpec reads [[fill]align][sign][#][0][width][,|_][.precision][kind].
func parseSpec(s string) (spec, error) {
	p := spec{fill: " ", precision: -1}
	bad := func() (spec, error) { return p, typeErrorf("invalid format specifier '%s'", clip(s)) }
	rest := s
	_, size := utf8.DecodeRuneInString(rest)
	switch {
	case len(rest) > size && strings.IndexByte("<>=^", rest[size]) >= 0:
		p.fill, p.align, rest = rest[:size], rest[size], rest[size+1:]
	case strings.IndexByte("<>=^", rest[0]) >= 0:
		p.align, rest = rest[0], rest[1:]
	}
	if rest != "" && strings.IndexByte("+- ", rest[0]) >= 0 {
		if rest[0] != '-' {
			p.sign = rest[0]
		}
		rest = rest[1:]
	}
	if strings.HasPrefix(rest, "#") {
		p.alternate, rest = true, rest[1:]
	}
	if strings.HasPrefix(rest, "0") && p.align == 0 {
		p.fill, p.align, rest = "0", '=', rest[1:]
	}
	number := func() (int, error) {
		end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if end < 0 {
			end = len(rest)
		}
		n, err := strconv.Atoi("0" + rest[:end])
		rest = rest[end:]
		if err != nil || n > maxText {
			return 0, fmt.Errorf("%d is too large", n)
		}
		return n, nil
	}
	var err error
	if p.width, err = number(); err != nil {
		return bad()
	}
	if rest != "" && (rest[0] == ',' || rest[0] == '_') {
		p.grouping, rest = rest[0], rest[1:]
	}
	if strings.HasPrefix(rest, ".") {
		rest = rest[1:]
		if p.precision, err = number(); err != nil {
			return bad()
		}
	}
	if len(rest) > 1 {
		return bad()
	}
	if rest != "" {
		p.kind = rest[0]
	}
	return p, nil
}
