package template

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
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
