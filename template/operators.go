package template

import (
	"fmt"
	"math"
	"strings"
)

// binary is a op b.
func (e *evaluator) binary(op string, a, b value) (value, error) {
	if t, ok := a.(text); ok && op == "%" {
		return e.percent(t, b)
	}
	if err := refuseUndefined(a, b); err != nil {
		return nil, err
	}
	switch op {
	case "+":
		if v, ok, err := e.join(a, b); ok || err != nil {
			return v, err
		}
	case "*":
		if v, ok, err := e.repeat(a, b); ok || err != nil {
			return v, err
		}
	}
	if x, ok := asInt(a); ok {
		if y, ok := asInt(b); ok && op != "/" {
			return integers(op, x, y)
		}
	}
	if x, y, ok := bothFloat(a, b); ok {
		return floats(op, x, y)
	}
	return nil, typeErrorf("unsupported operand type(s) for %s: '%s' and '%s'", op, typeName(a), typeName(b))
}

// join is a + b of two texts or sequences.
func (e *evaluator) join(a, b value) (value, bool, error) {
	switch a := a.(type) {
	case text:
		t, ok := b.(text)
		if !ok {
			return nil, false, typeErrorf("can only concatenate str (not \"%s\") to str", typeName(b))
		}
		if err := e.made(len(a.s) + len(t.s)); err != nil {
			return nil, false, err
		}
		markup := a.markup || t.markup
		if markup { // Markup escapes what it is added to
			a, t = escaped(a), escaped(t)
		}
		r := concat(a, t)
		r.markup = markup
		return r, true, nil
	case *list:
		l, ok := b.(*list)
		if !ok || l.kind != a.kind || a.kind > kindTuple {
			return nil, false, nil
		}
		items := append(a.items[:len(a.items):len(a.items)], l.items...)
		return &list{items: items, kind: a.kind}, true, e.spend(len(items))
	}
	return nil, false, nil
}

// repeat is a * b of a text or sequence and an integer.
func (e *evaluator) repeat(a, b value) (value, bool, error) {
	if _, ok := asInt(a); ok {
		a, b = b, a
	}
	n, ok := asInt(b)
	if !ok {
		return nil, false, nil
	}
	n = max(n, 0)
	switch a := a.(type) {
	case text:
		if n > int64(e.maxText) {
			n = int64(e.maxText) + 1
		}
		if err := e.made(len(a.s) * int(n)); err != nil {
			return nil, false, err
		}
		return a.like(strings.Repeat(a.s, int(n))), true, nil
	case *list:
		if a.kind > kindTuple {
			return nil, false, nil
		}
		if n > int64(e.maxSteps) {
			n = int64(e.maxSteps) + 1
		}
		if err := e.spend(len(a.items) * int(n)); err != nil {
			return nil, false, err
		}
		var items []value
		for range n {
			items = append(items, a.items...)
		}
		return &list{items: items, kind: a.kind}, true, nil
	}
	return nil, false, nil
}

func integers(op string, x, y int64) (value, error) {
	var r int64
	var ok bool
	switch op {
	case "+":
		r = x + y
		ok = (r > x) == (y > 0)
	case "-":
		r = x - y
		ok = (r < x) == (y > 0)
	case "*":
		r = x * y
		ok = x == 0 || r/x == y && (x != -1 || y != math.MinInt64)
	case "//", "%":
		if y == 0 {
			return nil, typeErrorf("integer modulo by zero")
		}
		if y == -1 {
			if op == "%" {
				return int64(0), nil
			}
			return integers("-", 0, x)
		}
		q, m := x/y, x%y
		if m != 0 && (m < 0) != (y < 0) { // Python rounds down
			q, m = q-1, m+y
		}
		if op == "%" {
			return m, nil
		}
		return q, nil
	case "**":
		return power(x, y)
	default:
		return nil, typeErrorf("unknown operator %s", op)
	}
	if !ok {
		return nil, typeErrorf("%d %s %d is too large", x, op, y)
	}
	return r, nil
}

func power(x, y int64) (value, error) {
	if y < 0 {
		return floats("**", float64(x), float64(y))
	}
	r := int64(1)
	for range min(y, 64) {
		v, err := integers("*", r, x)
		if err != nil {
			return nil, err
		}
		r = v.(int64) //nolint:forcetypeassert // integers of * gives nothing else
	}
	if y > 64 && x != 0 && x != 1 && x != -1 {
		return nil, typeErrorf("%d ** %d is too large", x, y)
	}
	if x == -1 && y%2 != 0 {
		r = -1
	}
	return r, nil
}

func floats(op string, x, y float64) (value, error) {
	switch op {
	case "+":
		return x + y, nil
	case "-":
		return x - y, nil
	case "*":
		return x * y, nil
	case "**":
		r := math.Pow(x, y)
		if math.IsInf(r, 0) && !math.IsInf(x, 0) && !math.IsInf(y, 0) {
			return nil, typeErrorf("%v ** %v is too large", x, y)
		}
		if x < 0 && math.IsNaN(r) && !math.IsNaN(y) {
			return nil, typeErrorf("%v ** %v is a complex number", x, y)
		}
		return r, nil
	}
	if y == 0 {
		return nil, typeErrorf("division by zero")
	}
	m := math.Mod(x, y)
	switch {
	case m == 0:
		m = math.Copysign(0, y)
	case (m < 0) != (y < 0):
		m += y
	}
	switch op {
	case "/":
		return x / y, nil
	case "//":
		q := math.Round((x - m) / y)
		if q == 0 {
			q = math.Copysign(0, x/y)
		}
		return q, nil
	}
	return m, nil
}

// index is of[at], as jinja2 has it: what is not there is undefined, and a name may be an attribute.
func (e *evaluator) index(of, at value) (value, error) {
	if err := refuseUndefined(of); err != nil {
		return nil, err
	}
	switch of := of.(type) {
	case *dict:
		if v, ok, err := of.get(e, at); ok && err == nil {
			return v, nil
		}
	case *list:
		if n, ok := asInt(at); ok && of.kind <= kindRange {
			if n < 0 {
				n += int64(len(of.items))
			}
			if 0 <= n && n < int64(len(of.items)) {
				return of.items[n], nil
			}
		}
	case text:
		if n, ok := asInt(at); ok {
			if err := e.made(len(of.s)); err != nil {
				return nil, err
			}
			count := int64(of.runes())
			if n < 0 {
				n += count
			}
			if 0 <= n && n < count {
				return of.slice(of.offset(int(n)), of.offset(int(n)+1)), nil
			}
		}
	}
	if name, ok := at.(text); ok {
		if v, ok := method(of, name.s); ok {
			return v, nil
		}
	}
	return e.missing(of, at), nil
}

// attribute is of.name, as jinja2 has it: an attribute of the object goes before an item of that name.
func (e *evaluator) attribute(of value, name string) (value, error) {
	if err := refuseUndefined(of); err != nil {
		return nil, err
	}
	if v, ok := method(of, name); ok {
		return v, nil
	}
	if d, ok := of.(*dict); ok {
		if v, ok, err := d.get(e, own(name)); ok || err != nil {
			return v, err
		}
	}
	return e.missing(of, own(name)), nil
}

// missing is the undefined value of what of does not have.
func (e *evaluator) missing(of, at value) value {
	if name, ok := at.(text); ok {
		return undefined{message: fmt.Sprintf("'%s object' has no attribute '%s'", typeName(of), clip(name.s))}
	}
	shown, _ := e.display(at, true) // an index that cannot be shown is left out
	return undefined{message: fmt.Sprintf("'%s object' has no element %s", typeName(of), clip(shown.s))}
}

// clip bounds what an error repeats.
func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}

// slice is of[from:to:step].
func (e *evaluator) slice(of, from, to, step value) (value, error) {
	if err := refuseUndefined(of, from, to, step); err != nil {
		return nil, err
	}
	if l, ok := of.(*list); !ok || l.kind > kindRange {
		if _, ok := of.(text); !ok {
			return nil, typeErrorf("'%s' object is not subscriptable by slices", typeName(of))
		}
	}
	count, err := length(of)
	if err != nil {
		return nil, err
	}
	at, err := sliceIndices(from, to, step, count)
	if err != nil {
		return nil, err
	}
	if err := e.spend(len(at)); err != nil {
		return nil, err
	}
	switch of := of.(type) {
	case text:
		if err := e.made(len(of.s)); err != nil {
			return nil, err
		}
		if n := len(at); n > 0 && at[n-1]-at[0] == n-1 {
			return of.slice(of.offset(at[0]), of.offset(at[n-1]+1)), nil
		}
		var b builder
		for _, i := range at {
			b.join(of.slice(of.offset(i), of.offset(i+1)))
		}
		return b.text(), nil
	case *list:
		items := make([]value, 0, len(at))
		for _, i := range at {
			items = append(items, of.items[i])
		}
		return &list{items: items, kind: of.kind}, nil
	}
	return e.missing(of, own("slice")), nil
}

// sliceIndices gives the indices of a slice of something of length n.
func sliceIndices(from, to, step value, n int) ([]int, error) {
	get := func(v value, def int64) (int64, error) {
		if v == nil {
			return def, nil
		}
		i, ok := asInt(v)
		if !ok {
			return 0, typeErrorf("slice indices must be integers or None")
		}
		return i, nil
	}
	by, err := get(step, 1)
	if err != nil {
		return nil, err
	}
	if by == 0 {
		return nil, typeErrorf("slice step cannot be zero")
	}
	low, high := int64(0), int64(n)
	first, last := low, high
	if by < 0 {
		low, high = -1, int64(n)-1
		first, last = high, low
	}
	bound := func(v value, def int64) (int64, error) {
		i, err := get(v, def)
		if v != nil && i < 0 {
			i += int64(n)
		}
		return min(max(i, low), high), err
	}
	if first, err = bound(from, first); err != nil {
		return nil, err
	}
	if last, err = bound(to, last); err != nil {
		return nil, err
	}
	var at []int
	if by > int64(n) {
		by = int64(n) + 1
	}
	if by < -int64(n) {
		by = -int64(n) - 1
	}
	for i := first; by > 0 && i < last || by < 0 && i > last; i += by {
		at = append(at, int(i))
	}
	return at, nil
}
