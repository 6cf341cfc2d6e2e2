package template

import (
	"fmt"
	"slices"
	"strings"
)

// method returns the attribute that an object of v's type has by that name: a method, or a part of a namespace or loop.
// What the sandbox keeps back (what changes an object, what begins with an underscore) is undefined and unsafe.
func method(v value, name string) (value, bool) {
	if strings.HasPrefix(name, "__") && strings.HasSuffix(name, "__") {
		return unsafe(v, name), true
	}
	var f func(e *evaluator, a arguments) (value, error)
	switch v := v.(type) {
	case text:
		if m, ok := textMethods[name]; ok {
			f = func(e *evaluator, a arguments) (value, error) {
				if err := e.made(len(v.s)); err != nil {
					return nil, err
				}
				return m(e, v, a)
			}
		} else if slices.Contains(otherTextMethods, name) {
			f = func(*evaluator, arguments) (value, error) {
				return nil, typeErrorf("the method '%s' of strings is not supported", name)
			}
		}
	case *dict:
		if slices.Contains([]string{"clear", "pop", "popitem", "setdefault", "update"}, name) {
			return unsafe(v, name), true
		}
		f = dictMethod(v, name)
	case *list:
		if v.kind == kindList && slices.Contains([]string{
			"append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort",
		}, name) {
			return unsafe(v, name), true
		}
		if v.kind <= kindRange {
			f = listMethod(v, name)
		}
	case *namespace:
		n, ok := v.values[name]
		return n, ok
	case *loop:
		return v.attribute(name)
	}
	if f == nil {
		return nil, false
	}
	return &function{name: name, call: f}, true
}

func unsafe(v value, name string) value {
	return undefined{message: fmt.Sprintf("access to attribute '%s' of '%s' object is unsafe", name, typeName(v))}
}

func dictMethod(d *dict, name string) func(*evaluator, arguments) (value, error) {
	view := func(items func() []value) func(*evaluator, arguments) (value, error) {
		return func(e *evaluator, a arguments) (value, error) {
			if _, err := a.bind(name, 0); err != nil {
				return nil, err
			}
			return &list{items: items(), kind: kindView}, e.spend(len(d.keys))
		}
	}
	switch name {
	case "items":
		return view(d.items)
	case "keys":
		return view(func() []value { return d.keys })
	case "values":
		return view(func() []value { return d.values })
	case "get":
		return func(e *evaluator, a arguments) (value, error) {
			p, err := a.bind(name, 1, "key", "default")
			if err != nil {
				return nil, err
			}
			v, ok, err := d.get(e, p[0])
			if ok || err != nil {
				return v, err
			}
			if p[1] == (absent{}) {
				return nil, nil
			}
			return p[1], nil
		}
	case "copy":
		return func(_ *evaluator, a arguments) (value, error) {
			_, err := a.bind(name, 0)
			return d, err
		}
	}
	return nil
}

func listMethod(l *list, name string) func(*evaluator, arguments) (value, error) {
	switch name {
	case "copy":
		return func(_ *evaluator, a arguments) (value, error) {
			_, err := a.bind(name, 0)
			return l, err
		}
	case "count", "index":
		return func(e *evaluator, a arguments) (value, error) {
			p, err := a.bind(name, 1, "value")
			if err != nil {
				return nil, err
			}
			n := int64(0)
			for i, item := range l.items {
				same, err := e.equal(item, p[0], 0)
				switch {
				case err != nil:
					return nil, err
				case same && name == "index":
					return int64(i), nil
				case same:
					n++
				}
			}
			if name == "index" {
				return nil, typeErrorf("the value is not in the list")
			}
			return n, e.spend(len(l.items))
		}
	}
	return nil
}
