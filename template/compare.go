package template

import (
	"encoding/json"
)

// equal is a == b.
func (e *evaluator) equal(a, b value, depth int) (bool, error) {
	if err := e.spend(1); err != nil {
		return false, err
	}
	if depth > maxNesting {
		return false, typeErrorf("maximum recursion depth exceeded in comparison")
	}
	if x, y, ok := bothFloat(a, b); ok {
		return x == y, nil
	}
	switch a := a.(type) {
	case nil:
		return b == nil, nil
	case undefined:
		_, ok := b.(undefined)
		return ok, nil
	case json.Number:
		n, ok := b.(json.Number)
		return ok && n == a, nil
	case text:
		t, ok := b.(text)
		return ok && t.s == a.s, nil
	case *list:
		l, ok := b.(*list)
		if !ok || l.kind != a.kind || a.kind == kindGenerator {
			return ok && l == a, nil
		}
		return e.equalItems(a.items, l.items, depth)
	case *dict:
		d, ok := b.(*dict)
		if !ok || len(a.keys) != len(d.keys) {
			return false, nil
		}
		for i, k := range a.keys {
			v, ok, err := d.get(e, k)
			if err != nil || !ok {
				return false, err
			}
			if ok, err := e.equal(a.values[i], v, depth+1); err != nil || !ok {
				return false, err
			}
		}
		return true, nil
	case *namespace, *loop, *function:
		return a == b, nil
	}
	return false, nil
}

func (e *evaluator) equalItems(a, b []value, depth int) (bool, error) {
	if len(a) != len(b) {
		return false, nil
	}
	for i := range a {
		if ok, err := e.equal(a[i], b[i], depth+1); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// asInt is v as Python's int where it is one; bool is a kind of int.
func asInt(v value) (int64, bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int64:
		return v, true
	}
	return 0, false
}

// bothFloat gives two numbers as floats, where both are numbers.
func bothFloat(a, b value) (x, y float64, ok bool) {
	if x, ok = asFloat(a); !ok {
		return 0, 0, false
	}
	y, ok = asFloat(b)
	return x, y, ok
}

func asFloat(v value) (float64, bool) {
	if f, ok := v.(float64); ok {
		return f, true
	}
	n, ok := asInt(v)
	return float64(n), ok
}

// rank orders a and b as < does: negative, 0, positive.
func (e *evaluator) rank(a, b value, op string) (int, error) {
	if x, ok := asInt(a); ok {
		if y, ok := asInt(b); ok {
			return order(x, y), nil
		}
	}
	if x, y, ok := bothFloat(a, b); ok {
		return order(x, y), nil
	}
	if err := refuseUndefined(a, b); err != nil {
		return 0, err
	}
	switch a := a.(type) {
	case text:
		if t, ok := b.(text); ok {
			return order(a.s, t.s), nil
		}
	case *list:
		l, ok := b.(*list)
		if !ok || l.kind != a.kind || a.kind > kindTuple {
			break
		}
		for i := range min(len(a.items), len(l.items)) {
			if same, err := e.equal(a.items[i], l.items[i], 0); err != nil || !same {
				if err != nil {
					return 0, err
				}
				return e.rank(a.items[i], l.items[i], op)
			}
		}
		return order(len(a.items), len(l.items)), nil
	}
	return 0, typeErrorf("'%s' not supported between instances of '%s' and '%s'", op, typeName(a), typeName(b))
}

func order[T int | int64 | float64 | string](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
