package template

import (
	"slices"
	"strconv"
	"strings"
)

// generator is what filters give that are generators in Python.
func generator(items []value) *list { return &list{items: items, kind: kindGenerator} }

func filterLength(_ *evaluator, v value, a arguments) (value, error) {
	if _, err := a.bind("length", 0); err != nil {
		return nil, err
	}
	n, err := length(v)
	return int64(n), err
}

func filterItems(e *evaluator, v value, a arguments) (value, error) {
	if _, err := a.bind("items", 0); err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case undefined:
		return generator(nil), nil
	case *dict:
		return generator(v.items()), e.spend(len(v.keys))
	}
	return nil, typeErrorf("Can only get item pairs from a mapping.")
}

func filterList(e *evaluator, v value, a arguments) (value, error) {
	if _, err := a.bind("list", 0); err != nil {
		return nil, err
	}
	items, err := e.iterate(v)
	return newList(items), err
}

func filterFirst(e *evaluator, v value, a arguments) (value, error) {
	if _, err := a.bind("first", 0); err != nil {
		return nil, err
	}
	items, err := e.iterate(v)
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return undefined{message: "No first item, sequence was empty."}, nil
	}
	return items[0], nil
}

func filterLast(e *evaluator, v value, a arguments) (value, error) {
	if _, err := a.bind("last", 0); err != nil {
		return nil, err
	}
	if l, ok := v.(*list); ok && l.kind == kindGenerator {
		return nil, typeErrorf("'generator' object is not reversible")
	}
	items, err := e.iterate(v)
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return undefined{message: "No last item, sequence was empty."}, nil
	}
	return items[len(items)-1], nil
}

func filterReverse(e *evaluator, v value, a arguments) (value, error) {
	if _, err := a.bind("reverse", 0); err != nil {
		return nil, err
	}
	if t, ok := v.(text); ok {
		return e.slice(t, nil, nil, int64(-1))
	}
	items, err := e.iterate(v)
	if err != nil {
		return nil, err
	}
	items = slices.Clone(items)
	slices.Reverse(items)
	return generator(items), e.spend(len(items))
}

// attributeOf follows an attribute as filters name it: a.b.0, or a number.
func (e *evaluator) attributeOf(v, name value) (value, error) {
	if n, ok := asInt(name); ok {
		return e.index(v, n)
	}
	t, err := e.text(name)
	if err != nil {
		return nil, err
	}
	for part := range strings.SplitSeq(t.s, ".") {
		var at value = own(part)
		if n, err := strconv.ParseInt(part, 10, 64); err == nil {
			at = n
		}
		if v, err = e.index(v, at); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// given says whether an argument was given and is not None.
func given(v value) bool { return v != nil && v != (absent{}) }

// eachAttribute replaces items by their attribute, where one is given.
func (e *evaluator) eachAttribute(items []value, name value) ([]value, error) {
	if !given(name) {
		return items, nil
	}
	of := make([]value, len(items))
	for i, item := range items {
		var err error
		if of[i], err = e.attributeOf(item, name); err != nil {
			return nil, err
		}
	}
	return of, e.spend(len(items))
}

func filterJoin(e *evaluator, v value, a arguments) (value, error) {
	p, err := a.bind("join", 0, "d", "attribute")
	if err != nil {
		return nil, err
	}
	sep := own("")
	if p[0] != (absent{}) {
		if sep, err = e.text(p[0]); err != nil {
			return nil, err
		}
	}
	items, err := e.iterate(v)
	if err != nil {
		return nil, err
	}
	if items, err = e.eachAttribute(items, p[1]); err != nil {
		return nil, err
	}
	var b builder
	for i, item := range items {
		t, err := e.text(item)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.join(sep)
		}
		b.join(t)
		if err := e.made(b.len()); err != nil {
			return nil, err
		}
	}
	return b.text(), nil
}

func filterSum(e *evaluator, v value, a arguments) (value, error) {
	p, err := a.bind("sum", 0, "attribute", "start")
	if err != nil {
		return nil, err
	}
	items, err := e.iterate(v)
	if err != nil {
		return nil, err
	}
	if items, err = e.eachAttribute(items, p[0]); err != nil {
		return nil, err
	}
	sum := p[1]
	if sum == (absent{}) {
		sum = int64(0)
	}
	for _, item := range items {
		if sum, err = e.binary("+", sum, item); err != nil {
			return nil, err
		}
		if err := e.spend(1); err != nil {
			return nil, err
		}
	}
	return sum, nil
}

func filterBatch(e *evaluator, v value, a arguments) (value, error) {
	p, err := a.bind("batch", 1, "linecount", "fill_with")
	if err != nil {
		return nil, err
	}
	n, err := intArgument("batch", p[0], 0)
	if err != nil {
		return nil, err
	}
	if n < 1 || n > maxSteps {
		return nil, typeErrorf("batch: linecount must be between 1 and %d", maxSteps)
	}
	items, err := e.iterate(v)
	if err != nil {
		return nil, err
	}
	var out []value
	for part := range slices.Chunk(items, n) {
		part = slices.Clone(part)
		if given(p[1]) {
			if err := e.spend(n); err != nil {
				return nil, err
			}
			for len(part) < n {
				part = append(part, p[1])
			}
		}
		out = append(out, newList(part))
	}
	return generator(out), e.spend(len(items))
}

// iterateTrue is iterate for the filters that take whatever is false, None too, as empty.
func (e *evaluator) iterateTrue(v value) ([]value, error) {
	if !truth(v) {
		return nil, nil
	}
	return e.iterate(v)
}

func filterMap(e *evaluator, v value, a arguments) (value, error) {
	var each func(item value) (value, error)
	if len(a.positional) == 0 {
		p, err := a.bind("map", 1, "attribute", "default")
		if err != nil {
			return nil, err
		}
		each = func(item value) (value, error) {
			v, err := e.attributeOf(item, p[0])
			if isUndefined(v) && given(p[1]) {
				v = p[1]
			}
			return v, err
		}
	} else {
		name, ok := a.positional[0].(text)
		if !ok {
			return nil, typeErrorf("map requires a filter argument")
		}
		rest := arguments{a.positional[1:], a.names, a.named}
		each = func(item value) (value, error) { return e.filter(name.s, item, rest) }
	}
	items, err := e.iterateTrue(v)
	if err != nil {
		return nil, err
	}
	out := make([]value, len(items))
	for i, item := range items {
		if out[i], err = each(item); err != nil {
			return nil, err
		}
		if err := e.spend(1); err != nil {
			return nil, err
		}
	}
	return generator(out), nil
}

// filterSelect keeps the items, or with byAttribute those with an attribute, for which a test (without one: their truth)
// is want.
func filterSelect(name string, want, byAttribute bool) filterFunc {
	return func(e *evaluator, v value, a arguments) (value, error) {
		positional := a.positional
		var attr value
		if byAttribute {
			if len(positional) == 0 {
				return nil, typeErrorf("%s: missing parameter for attribute name", name)
			}
			attr, positional = positional[0], positional[1:]
		}
		holds := func(v value) (bool, error) { return truth(v), nil }
		if len(positional) > 0 {
			test, ok := positional[0].(text)
			if !ok {
				return nil, typeErrorf("%s: the name of the test must be a string", name)
			}
			rest := arguments{positional[1:], a.names, a.named}
			holds = func(v value) (bool, error) { return e.test(test.s, v, rest) }
		}
		items, err := e.iterateTrue(v)
		if err != nil {
			return nil, err
		}
		keys := items
		if byAttribute {
			if keys, err = e.eachAttribute(items, attr); err != nil {
				return nil, err
			}
		}
		var out []value
		for i := range items {
			ok, err := holds(keys[i])
			if err != nil {
				return nil, err
			}
			if ok == want {
				out = append(out, items[i])
			}
			if err := e.spend(1); err != nil {
				return nil, err
			}
		}
		return generator(out), nil
	}
}
