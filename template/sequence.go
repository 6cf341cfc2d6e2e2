package template

import (
	"strings"
)

// iterate gives the items of v, as a for loop sees them.
func (e *evaluator) iterate(v value) ([]value, error) {
	switch v := v.(type) {
	case undefined:
		return nil, nil
	case text:
		items := make([]value, 0, len(v.s))
		for i, r := range v.s {
			items = append(items, v.slice(i, i+len(string(r))).plain())
		}
		return items, e.spend(len(items))
	case *list:
		if v.kind != kindGenerator {
			return v.items, nil
		}
		if v.used {
			return nil, nil
		}
		v.used = true
		return v.items, nil
	case *dict:
		return v.keys, nil
	}
	return nil, typeErrorf("'%s' object is not iterable", typeName(v))
}

// contains is item in container.
func (e *evaluator) contains(container, item value) (bool, error) {
	switch c := container.(type) {
	case text:
		t, ok := item.(text)
		if !ok {
			return false, typeErrorf("'in <string>' requires string as left operand, not %s", typeName(item))
		}
		return strings.Contains(c.s, t.s), e.made(len(c.s))
	case *dict:
		_, ok, err := c.get(e, item)
		return ok, err
	}
	items, err := e.iterate(container)
	if err != nil {
		return false, err
	}
	if err := e.spend(len(items)); err != nil {
		return false, err
	}
	for _, v := range items {
		if ok, err := e.equal(v, item, 0); err != nil || ok {
			return ok, err
		}
	}
	return false, nil
}

// length is len(v).
func length(v value) (int, error) {
	switch v := v.(type) {
	case undefined:
		return 0, nil
	case text:
		return v.runes(), nil
	case *list:
		if v.kind != kindGenerator {
			return len(v.items), nil
		}
	case *dict:
		return len(v.keys), nil
	case *loop:
		return len(v.items), nil
	}
	return 0, typeErrorf("object of type '%s' has no len()", typeName(v))
}
