package template

import (
	"math"
	"strconv"
	"strings"
)

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
