package template

import (
	"fmt"
	"slices"
)

func (x *constExpr) eval(*evaluator) (value, error) { return x.v, nil }

func (x *nameExpr) eval(e *evaluator) (value, error) {
	if err := e.spend(1); err != nil {
		return nil, err
	}
	v := e.scope.get(x.name)
	if _, ok := v.(absent); ok {
		return undefined{message: fmt.Sprintf("'%s' is undefined", x.name)}, nil
	}
	return v, nil
}

func (e *evaluator) all(list []expr) ([]value, error) {
	values := make([]value, len(list))
	for i, x := range list {
		var err error
		if values[i], err = x.eval(e); err != nil {
			return nil, err
		}
	}
	return values, e.spend(1 + len(list))
}

func (x *sequenceExpr) eval(e *evaluator) (value, error) {
	items, err := e.all(x.items)
	return &list{items: items, kind: x.kind}, err
}

func (x *dictExpr) eval(e *evaluator) (value, error) {
	d := newDict()
	for i := range x.keys {
		k, err := x.keys[i].eval(e)
		if err != nil {
			return nil, err
		}
		v, err := x.values[i].eval(e)
		if err != nil {
			return nil, err
		}
		if err := d.set(e, k, v); err != nil {
			return nil, err
		}
	}
	return d, e.spend(1 + len(x.keys))
}

func (x *attrExpr) eval(e *evaluator) (value, error) {
	of, err := x.of.eval(e)
	if err != nil {
		return nil, err
	}
	if err := e.spend(1); err != nil {
		return nil, err
	}
	return e.attribute(of, x.name)
}

func (x *indexExpr) eval(e *evaluator) (value, error) {
	of, err := x.of.eval(e)
	if err != nil {
		return nil, err
	}
	at, err := x.at.eval(e)
	if err != nil {
		return nil, err
	}
	if err := e.spend(1); err != nil {
		return nil, err
	}
	return e.index(of, at)
}

func (x *sliceExpr) eval(e *evaluator) (value, error) {
	of, err := x.of.eval(e)
	if err != nil {
		return nil, err
	}
	var parts [3]value
	for i, part := range []expr{x.from, x.to, x.step} {
		if part == nil {
			continue
		}
		if parts[i], err = part.eval(e); err != nil {
			return nil, err
		}
	}
	return e.slice(of, parts[0], parts[1], parts[2])
}

func (x *callExpr) eval(e *evaluator) (value, error) {
	fn, err := x.fn.eval(e)
	if err != nil {
		return nil, err
	}
	a, err := x.args.eval(e)
	if err != nil {
		return nil, err
	}
	return e.call(fn, a)
}

func (e *evaluator) call(fn value, a arguments) (value, error) {
	if err := e.spend(1); err != nil {
		return nil, err
	}
	f, ok := fn.(*function)
	if !ok {
		if err := refuseUndefined(fn); err != nil {
			return nil, err
		}
		return nil, typeErrorf("'%s' object is not callable", typeName(fn))
	}
	v, err := f.call(e, a)
	if err != nil {
		return nil, err
	}
	if t, ok := v.(text); ok {
		return v, e.made(len(t.s))
	}
	return v, nil
}

func (x *filterExpr) eval(e *evaluator) (value, error) {
	v, err := x.of.eval(e)
	if err != nil {
		return nil, err
	}
	return x.apply(e, v)
}

// apply filters v; a filter in a block has no operand of its own.
func (x *filterExpr) apply(e *evaluator, v value) (value, error) {
	a, err := x.args.eval(e)
	if err != nil {
		return nil, err
	}
	return e.filter(x.name, v, a)
}

// filter is the value of v|name(a).
func (e *evaluator) filter(name string, v value, a arguments) (value, error) {
	f, ok := filters[name]
	if !ok {
		return nil, typeErrorf("no filter named '%s'", name)
	}
	if err := e.spend(1); err != nil {
		return nil, err
	}
	if t, ok := v.(text); ok {
		if err := e.made(len(t.s)); err != nil {
			return nil, err
		}
	}
	r, err := f(e, v, a)
	if err != nil {
		return nil, err
	}
	if t, ok := r.(text); ok {
		return r, e.made(len(t.s))
	}
	return r, nil
}

func (x *testExpr) eval(e *evaluator) (value, error) {
	v, err := x.of.eval(e)
	if err != nil {
		return nil, err
	}
	a, err := x.args.eval(e)
	if err != nil {
		return nil, err
	}
	return e.test(x.name, v, a)
}

// test is the value of v is name(a).
func (e *evaluator) test(name string, v value, a arguments) (bool, error) {
	t, ok := tests[name]
	if !ok {
		return false, typeErrorf("no test named '%s'", name)
	}
	if err := e.spend(1); err != nil {
		return false, err
	}
	return t(e, v, a)
}

func (x *binaryExpr) eval(e *evaluator) (value, error) {
	a, err := x.a.eval(e)
	if err != nil {
		return nil, err
	}
	b, err := x.b.eval(e)
	if err != nil {
		return nil, err
	}
	if err := e.spend(1); err != nil {
		return nil, err
	}
	return e.binary(x.op, a, b)
}

func (x *logicExpr) eval(e *evaluator) (value, error) {
	a, err := x.a.eval(e)
	if err != nil || truth(a) == x.or {
		return a, err
	}
	return x.b.eval(e)
}

func (x *notExpr) eval(e *evaluator) (value, error) {
	v, err := x.of.eval(e)
	return !truth(v), err
}

func (x *signExpr) eval(e *evaluator) (value, error) {
	v, err := x.of.eval(e)
	if err != nil {
		return nil, err
	}
	if n, ok := asInt(v); ok {
		if x.minus {
			return -n, nil
		}
		return n, nil
	}
	if f, ok := v.(float64); ok {
		if x.minus {
			return -f, nil
		}
		return f, nil
	}
	if err := refuseUndefined(v); err != nil {
		return nil, err
	}
	return nil, typeErrorf("bad operand type for unary sign: '%s'", typeName(v))
}

func (x *concatExpr) eval(e *evaluator) (value, error) {
	var b builder
	for _, part := range x.parts {
		v, err := part.eval(e)
		if err != nil {
			return nil, err
		}
		t, err := e.text(v)
		if err != nil {
			return nil, err
		}
		b.join(t)
		if err := e.made(b.len()); err != nil {
			return nil, err
		}
	}
	return b.text(), nil
}

func (x *compareExpr) eval(e *evaluator) (value, error) {
	a, err := x.first.eval(e)
	if err != nil {
		return nil, err
	}
	for i, op := range x.ops {
		b, err := x.rest[i].eval(e)
		if err != nil {
			return nil, err
		}
		if err := e.spend(1); err != nil {
			return nil, err
		}
		ok, err := e.compare(op, a, b)
		if err != nil || !ok {
			return false, err
		}
		a = b
	}
	return true, nil
}

func (e *evaluator) compare(op string, a, b value) (bool, error) {
	switch op {
	case "==", "!=":
		same, err := e.equal(a, b, 0)
		return same == (op == "=="), err
	case "in", "not in":
		found, err := e.contains(b, a)
		return found == (op == "in"), err
	}
	if x, y, ok := bothFloat(a, b); ok && (x != x || y != y) {
		return false, nil // NaN is in no order
	}
	c, err := e.rank(a, b, op)
	switch op {
	case "<":
		return c < 0, err
	case "<=":
		return c <= 0, err
	case ">":
		return c > 0, err
	}
	return c >= 0, err
}

func (x *ifExpr) eval(e *evaluator) (value, error) {
	cond, err := x.cond.eval(e)
	if err != nil {
		return nil, err
	}
	if truth(cond) {
		return x.then.eval(e)
	}
	if x.other == nil {
		return undefined{message: "the inline if-expression evaluated to false and no else section was defined"}, nil
	}
	return x.other.eval(e)
}

// arguments are the values of a call's arguments.
type arguments struct {
	positional []value
	names      []string
	named      []value
}

func (x *argumentExprs) eval(e *evaluator) (arguments, error) {
	var a arguments
	var err error
	if a.positional, err = e.all(x.positional); err != nil {
		return a, err
	}
	a.names = x.names[:len(x.names):len(x.names)]
	a.named, err = e.all(x.named)
	return a, err
}

// bind gives the arguments in the order of names, of which the first required must be given; absent{} stands for the
// others where they are not.
func (a arguments) bind(fn string, required int, names ...string) ([]value, error) {
	if len(a.positional) > len(names) {
		return nil, typeErrorf("%s takes at most %d arguments, %d were given", fn, len(names), len(a.positional))
	}
	values := make([]value, len(names))
	for i := range names {
		values[i] = absent{}
	}
	copy(values, a.positional)
	for i, name := range a.names {
		at := slices.Index(names, name)
		if at < 0 {
			return nil, typeErrorf("%s has no argument '%s'", fn, name)
		}
		if at < len(a.positional) {
			return nil, typeErrorf("%s got multiple values for argument '%s'", fn, name)
		}
		values[at] = a.named[i]
	}
	for i := range required {
		if values[i] == (absent{}) {
			return nil, typeErrorf("%s needs its argument '%s'", fn, names[i])
		}
	}
	return values, nil
}
