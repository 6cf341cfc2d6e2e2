package template

import (
	"encoding/json"
	"math"
)

// tests are what may follow `is`.
var tests map[string]func(e *evaluator, v value, a arguments) (bool, error)

func init() { // as a variable it would refer to itself
	is := func(f func(v value) bool) func(*evaluator, value, arguments) (bool, error) {
		return func(_ *evaluator, v value, a arguments) (bool, error) {
			_, err := a.bind("the test", 0)
			return f(v), err
		}
	}
	with := func(f func(e *evaluator, v, other value) (bool, error)) func(*evaluator, value, arguments) (bool, error) {
		return func(e *evaluator, v value, a arguments) (bool, error) {
			p, err := a.bind("the test", 1, "other")
			if err != nil {
				return false, err
			}
			return f(e, v, p[0])
		}
	}
	op := func(op string) func(*evaluator, value, arguments) (bool, error) {
		return with(func(e *evaluator, v, other value) (bool, error) { return e.compare(op, v, other) })
	}
	tests = map[string]func(e *evaluator, v value, a arguments) (bool, error){
		"defined":     is(func(v value) bool { return !isUndefined(v) }),
		"undefined":   is(isUndefined),
		"none":        is(func(v value) bool { return v == nil }),
		"true":        is(func(v value) bool { b, ok := v.(bool); return ok && b }),
		"false":       is(func(v value) bool { b, ok := v.(bool); return ok && !b }),
		"boolean":     is(func(v value) bool { _, ok := v.(bool); return ok }),
		"integer":     is(func(v value) bool { return isInteger(v) }),
		"float":       is(func(v value) bool { _, ok := v.(float64); return ok }),
		"number":      is(func(v value) bool { _, ok := asFloat(v); return ok || isInteger(v) }),
		"string":      is(func(v value) bool { _, ok := v.(text); return ok }),
		"mapping":     is(func(v value) bool { _, ok := v.(*dict); return ok }),
		"iterable":    is(isIterable),
		"sequence":    is(isSequence),
		"callable":    is(func(v value) bool { _, ok := v.(*function); return ok }),
		"upper":       textTest(func(s string) bool { return upper(own(s)).s == s && lower(own(s)).s != s }),
		"lower":       textTest(func(s string) bool { return lower(own(s)).s == s && upper(own(s)).s != s }),
		"odd":         remainder(2, 1),
		"even":        remainder(2, 0),
		"divisibleby": with(divisible),
		"in":          with(func(e *evaluator, v, other value) (bool, error) { return e.contains(other, v) }),
		"sameas":      with(same),
		"filter":      is(func(v value) bool { t, ok := v.(text); return ok && filters[t.s] != nil }),
		"test":        is(func(v value) bool { t, ok := v.(text); return ok && tests[t.s] != nil }),
		"escaped":     is(func(v value) bool { t, ok := v.(text); return ok && t.markup }),
		"==":          op("=="), "eq": op("=="), "equalto": op("=="),
		"!=": op("!="), "ne": op("!="),
		">": op(">"), "gt": op(">"), "greaterthan": op(">"),
		">=": op(">="), "ge": op(">="),
		"<": op("<"), "lt": op("<"), "lessthan": op("<"),
		"<=": op("<="), "le": op("<="),
	}
}

func isUndefined(v value) bool {
	_, ok := v.(undefined)
	return ok
}

func isInteger(v value) bool {
	switch v.(type) {
	case int64, json.Number:
		return true
	}
	return false
}

func isIterable(v value) bool {
	switch v.(type) {
	case text, *list, *dict, *loop, undefined:
		return true
	}
	return false
}

// isSequence says whether Python finds a length and an index in v.
func isSequence(v value) bool {
	switch v := v.(type) {
	case text, *dict, undefined:
		return true
	case *list:
		return v.kind <= kindRange
	}
	return false
}

func textTest(f func(s string) bool) func(*evaluator, value, arguments) (bool, error) {
	return func(e *evaluator, v value, a arguments) (bool, error) {
		if _, err := a.bind("the test", 0); err != nil {
			return false, err
		}
		t, err := e.text(v)
		return f(t.s), err
	}
}

func remainder(by, want int64) func(*evaluator, value, arguments) (bool, error) {
	return func(e *evaluator, v value, a arguments) (bool, error) {
		if _, err := a.bind("the test", 0); err != nil {
			return false, err
		}
		r, err := e.binary("%", v, by)
		if err != nil {
			return false, err
		}
		return e.equal(r, want, 0)
	}
}

func divisible(e *evaluator, v, by value) (bool, error) {
	r, err := e.binary("%", v, by)
	if err != nil {
		return false, err
	}
	return e.equal(r, int64(0), 0)
}

// same is Python's `is`, as far as it can be told: the same object, or equal simple values of one type.
func same(e *evaluator, a, b value) (bool, error) {
	switch a := a.(type) {
	case *list:
		l, ok := b.(*list)
		return ok && l == a, nil
	case *dict:
		d, ok := b.(*dict)
		return ok && d == a, nil
	}
	if typeName(a) != typeName(b) {
		return false, nil
	}
	if f, ok := a.(float64); ok && math.IsNaN(f) {
		return false, nil
	}
	return e.equal(a, b, 0)
}
