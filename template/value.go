package template

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// value is what an expression has: nil (None), bool, int64, float64, json.Number (an integer that int64 does not hold),
// text, *list, *dict, *namespace, *loop, *function or undefined.
type value any

// undefined is the value of what is not there. It prints as nothing, iterates as nothing, is false; most else of it is
// an error with its message.
type undefined struct{ message string }

// absent is an argument that was not given, and a variable that has no value yet.
type absent struct{}

// listKind tells the sequences of Python apart.
type listKind uint8

const (
	kindList listKind = iota
	kindTuple
	kindRange
	kindView      // dict.keys() and the like: iterates, has a length, no index
	kindGenerator // iterates once, is true, has no length
)

// list is a sequence. It does not change, but a generator is used up by its first reader.
type list struct {
	items []value
	kind  listKind
	used  bool   // a generator's items were given
	shown string // how a range prints
}

// dict is a mapping in the order in which keys were added.
type dict struct {
	keys   []value
	values []value
	index  map[any]int // by hash
}

// namespace is the object that namespace() makes: the only one whose parts a template may set.
type namespace struct {
	names  []string
	values map[string]value
}

// function is what can be called: a macro, a global function, a method.
type function struct {
	name string
	call func(e *evaluator, a arguments) (value, error)
}

func newList(items []value) *list { return &list{items: items} }

func newTuple(items ...value) *list { return &list{items: items, kind: kindTuple} }

func newDict() *dict { return &dict{index: map[any]int{}} }

// hash is v as a key of a Go map: what is equal in Python is equal there.
func (e *evaluator) hash(v value) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case bool:
		if v {
			return int64(1), nil
		}
		return int64(0), nil
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<62 {
			return int64(v), nil
		}
		return v, nil
	case int64, json.Number:
		return v, nil
	case text:
		return v.s, nil
	case undefined:
		return [2]string{v.message}, nil // equal to nothing that a dictionary holds
	case *namespace, *loop, *function:
		return v, nil
	case *list:
		if v.kind == kindTuple {
			t, err := e.display(v, true)
			return [1]string{t.s}, err
		}
	}
	return nil, typeErrorf("unhashable type: '%s'", typeName(v))
}

func (d *dict) set(e *evaluator, k, v value) error {
	h, err := e.hash(k)
	if err != nil {
		return err
	}
	if i, ok := d.index[h]; ok {
		d.values[i] = v
		return nil
	}
	d.index[h] = len(d.keys)
	d.keys = append(d.keys, k)
	d.values = append(d.values, v)
	return nil
}

func (d *dict) get(e *evaluator, k value) (value, bool, error) {
	h, err := e.hash(k)
	if err != nil {
		return nil, false, err
	}
	i, ok := d.index[h]
	if !ok {
		return nil, false, nil
	}
	return d.values[i], true, nil
}

// setText is set for a key that is a string.
func (d *dict) setText(k text, v value) {
	if i, ok := d.index[k.s]; ok {
		d.values[i] = v
		return
	}
	d.index[k.s] = len(d.keys)
	d.keys = append(d.keys, k)
	d.values = append(d.values, v)
}

func (d *dict) items() []value {
	pairs := make([]value, len(d.keys))
	for i := range d.keys {
		pairs[i] = newTuple(d.keys[i], d.values[i])
	}
	return pairs
}

// maxNesting bounds the depth of values from outside and of what is shown of values.
const maxNesting = 200

// fromOutside makes a value of what an Input holds.
func fromOutside(v any, depth int) (value, error) {
	if depth > maxNesting {
		return nil, &Error{Text: fmt.Sprintf("messages or tools are nested more than %d deep", maxNesting)}
	}
	switch v := v.(type) {
	case nil, bool, int64, float64, json.Number:
		if n, ok := v.(json.Number); ok {
			return number(n), nil
		}
		return v, nil
	case int:
		return int64(v), nil
	case string:
		return foreign(v), nil
	case []any:
		items := make([]value, 0, len(v))
		for _, e := range v {
			item, err := fromOutside(e, depth+1)
			if err != nil {
				return nil, err
			}
			items = append(items, item)
		}
		return newList(items), nil
	case map[string]any:
		o := make(Object, 0, len(v))
		for _, k := range sortedKeys(v) {
			o = append(o, Member{k, v[k]})
		}
		return fromOutside(o, depth)
	case Object:
		d := newDict()
		for _, m := range v {
			item, err := fromOutside(m.Value, depth+1)
			if err != nil {
				return nil, err
			}
			d.setText(foreign(m.Name), item)
		}
		return d, nil
	}
	return nil, fmt.Errorf("a chat template cannot be given a %T", v)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// typeName is the name of v's type in Python's messages.
func typeName(v value) string {
	switch v := v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case int64, json.Number:
		return "int"
	case float64:
		return "float"
	case text:
		return "str"
	case *list:
		return [...]string{"list", "tuple", "range", "dict_view", "generator"}[v.kind]
	case *dict:
		return "dict"
	case *namespace:
		return "Namespace"
	case *loop:
		return "LoopContext"
	case undefined:
		return "Undefined"
	}
	return "function"
}

// truth is bool(v).
func truth(v value) bool {
	switch v := v.(type) {
	case nil, undefined, absent:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case text:
		return v.s != ""
	case *list:
		return v.kind == kindGenerator || len(v.items) > 0
	case *dict:
		return len(v.keys) > 0
	}
	return true
}

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

// refuseUndefined is the error of the first undefined value.
func refuseUndefined(values ...value) error {
	for _, v := range values {
		if u, ok := v.(undefined); ok {
			return &Error{Text: u.message}
		}
	}
	return nil
}

// typeErrorf is an error of a template that does with a value what its type does not allow.
func typeErrorf(format string, a ...any) error { return &Error{Text: fmt.Sprintf(format, a...)} }

// iterate gives the items of v, as a for loop sees them.
func (e *evaluator) iterate(v value) ([]value, error) {
	switch v := v.(type) {
	case undefined:
		return nil, nil
	case text:
		items := make([]value, 0, len(v.s))
		for i, r := range v.s {
			items = append(items, v.slice(i, i+len(string(r))))
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

// floatText is repr of a float.
func floatText(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case math.IsNaN(f):
		return "nan"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !slices.Contains([]byte(s), '.') {
		s += ".0"
	}
	return s
}
