package template

import (
	"fmt"
	"math"
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
	if next < len(args) && mapping == nil {
		return nil, typeErrorf("not all arguments converted during string formatting")
	}
	r := out.text()
	r.markup = t.markup
	return r, nil
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

// cut is t up to the precision.
func (p spec) cut(t text) text {
	if p.precision >= 0 && t.runes() > p.precision {
		return t.slice(0, t.offset(p.precision))
	}
	return t
}

// pad fills t up to the width.
func (p spec) pad(t text) text {
	n := p.width - t.runes()
	if n <= 0 {
		return t
	}
	before := n
	switch p.align {
	case '<':
		before = 0
	case '^':
		before = n / 2
	}
	return concat(own(strings.Repeat(p.fill, before)), t, own(strings.Repeat(p.fill, n-before)))
}

// number formats an integer or float.
func (p spec) number(v value) (text, error) {
	digits, negative, err := p.digits(v)
	if err != nil {
		return text{}, err
	}
	sign := ""
	switch {
	case negative:
		sign = "-"
	case p.sign != 0:
		sign = string(p.sign)
	}
	if p.alternate {
		sign += map[byte]string{'x': "0x", 'X': "0X", 'o': "0o", 'b': "0b"}[p.kind]
	}
	if p.align == '=' {
		if n := p.width - len(sign) - len(digits); n > 0 {
			digits = strings.Repeat(p.fill, n) + digits
		}
		return own(sign + digits), nil
	}
	if p.align == 0 {
		p.align = '>'
	}
	return p.pad(own(sign + digits)), nil
}

func (p spec) digits(v value) (digits string, negative bool, err error) {
	if n, ok := asInt(v); ok {
		base := map[byte]int{0: 10, 'd': 10, 'n': 10, 'x': 16, 'X': 16, 'o': 8, 'b': 2}[p.kind]
		if base > 0 {
			negative = n < 0
			s := strings.TrimPrefix(strconv.FormatInt(n, base), "-")
			if p.kind == 'X' {
				s = strings.ToUpper(s)
			}
			if p.precision > len(s) {
				s = strings.Repeat("0", p.precision-len(s)) + s
			}
			return p.group(s), negative, nil
		}
	}
	f, ok := asFloat(v)
	if !ok {
		return "", false, typeErrorf("unknown format code '%c' for object of type '%s'", p.kind, typeName(v))
	}
	negative = math.Signbit(f) && !math.IsNaN(f)
	f = math.Abs(f)
	precision := p.precision
	if precision < 0 && p.kind != 0 {
		precision = 6
	}
	if precision > 1000 {
		return "", false, typeErrorf("the precision %d is too large", precision)
	}
	var s string
	switch p.kind {
	case 0:
		s = floatText(f)
		if precision >= 0 {
			s = generalFloat(f, max(precision, 1))
			if !strings.ContainsAny(s, ".en") {
				s += ".0"
			}
		}
	case 'g', 'G':
		s = generalFloat(f, max(precision, 1))
	case 'f', 'F':
		s = strconv.FormatFloat(f, 'f', precision, 64)
	case 'e', 'E':
		s = strconv.FormatFloat(f, 'e', precision, 64)
	case '%':
		s = strconv.FormatFloat(f*100, 'f', precision, 64) + "%"
	default:
		return "", false, typeErrorf("unknown format code '%c' for object of type 'float'", p.kind)
	}
	switch {
	case math.IsInf(f, 0):
		s = "inf"
	case math.IsNaN(f):
		s = "nan"
	}
	if p.kind == 'G' || p.kind == 'E' || p.kind == 'F' {
		s = strings.ToUpper(s)
	}
	return p.group(s), negative, nil
}

// generalFloat is C's %g.
func generalFloat(f float64, precision int) string {
	if f == 0 {
		return "0"
	}
	e := strconv.FormatFloat(f, 'e', precision-1, 64)
	mantissa, exponent, _ := strings.Cut(e, "e")
	n, err := strconv.Atoi(exponent)
	if err != nil { // inf, nan
		return e
	}
	trim := func(s string) string {
		if strings.Contains(s, ".") {
			s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
		}
		return s
	}
	if n < -4 || n >= precision {
		return trim(mantissa) + "e" + exponent
	}
	return trim(strconv.FormatFloat(f, 'f', precision-1-n, 64))
}

// group puts the separator between groups of three digits.
func (p spec) group(s string) string {
	if p.grouping == 0 {
		return s
	}
	end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(s)
	}
	var b strings.Builder
	for i := range end {
		if i > 0 && (end-i)%3 == 0 {
			b.WriteByte(p.grouping)
		}
		b.WriteByte(s[i])
	}
	return b.String() + s[end:]
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
