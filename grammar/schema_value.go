package grammar

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
)

// value is a JSON value of a schema, with its place.
type value struct {
	id     int
	kind   byte   // n null, b boolean, # number, s string, a array, o object
	truth  bool   // of a boolean
	text   string // of a string; of a number, in the one spelling of canonical
	number *big.Rat
	list   []*value
	keys   []string // of an object, in order
	fields map[string]*value

	parent *value
	name   string // in the parent
	base   string // the URI that references are relative to
	made   bool   // it is not written in the schema
}

// get returns a field of an object, nil where it has none.
func (v *value) get(key string) *value { return v.fields[key] }

// set sets a field of an object.
func (v *value) set(key string, to *value) {
	if _, ok := v.fields[key]; !ok {
		v.keys = append(v.keys, key)
	}
	v.fields[key] = to
}

// path is the JSON pointer (RFC 6901) of v, "/" being written for the root.
func (v *value) path() string {
	if v.parent == nil {
		return "/"
	}
	var parts []string
	for ; v.parent != nil; v = v.parent {
		parts = append(parts, strings.NewReplacer("~", "~0", "/", "~1").Replace(v.name))
	}
	var b strings.Builder
	for i := len(parts) - 1; i >= 0; i-- {
		b.WriteString("/" + clip(parts[i]))
	}
	return b.String()
}

// What a schema may be like.
const (
	maxSchema   = 128 << 10
	maxDepth    = 64  // brackets in brackets
	maxExponent = 308 // of a number
)

// parseValue parses one JSON value. The errors are *SchemaError and *LimitError.
func parseValue(data []byte, next func() int) (*value, error) {
	if len(data) > maxSchema {
		return nil, &LimitError{fmt.Sprintf("the schema has %d bytes, at most %d can be", len(data), maxSchema)}
	}
	p := &valueParser{d: json.NewDecoder(bytes.NewReader(data)), next: next}
	p.d.UseNumber()
	v, err := p.value(nil, "", 0)
	if err == nil {
		if _, end := p.d.Token(); end != io.EOF {
			err = fmt.Errorf("something follows the schema")
		}
	}
	return v, err
}

type valueParser struct {
	d    *json.Decoder
	next func() int
}

func (p *valueParser) value(parent *value, name string, depth int) (*value, error) {
	if depth > maxDepth {
		return nil, &LimitError{fmt.Sprintf("the schema has more than %d brackets in each other", maxDepth)}
	}
	t, err := p.d.Token()
	if err != nil {
		return nil, fmt.Errorf("the schema is not JSON: %w", err)
	}
	v := &value{id: p.next(), parent: parent, name: name}
	switch t := t.(type) {
	case nil:
		v.kind = 'n'
	case bool:
		v.kind, v.truth = 'b', t
	case string:
		v.kind, v.text = 's', t
	case json.Number:
		v.kind = '#'
		if v.number, v.text, err = number(string(t)); err != nil {
			return nil, &SchemaError{Path: v.path(), Text: err.Error()}
		}
	case json.Delim:
		if t == '[' {
			v.kind = 'a'
			for p.d.More() {
				x, err := p.value(v, strconv.Itoa(len(v.list)), depth+1)
				if err != nil {
					return nil, err
				}
				v.list = append(v.list, x)
			}
		} else {
			v.kind, v.fields = 'o', make(map[string]*value)
			for p.d.More() {
				key, err := p.d.Token()
				if err != nil {
					return nil, fmt.Errorf("the schema is not JSON: %w", err)
				}
				k, _ := key.(string)
				x, err := p.value(v, k, depth+1)
				if err != nil {
					return nil, err
				}
				v.set(k, x)
			}
		}
		if _, err := p.d.Token(); err != nil {
			return nil, fmt.Errorf("the schema is not JSON: %w", err)
		}
	}
	return v, nil
}

// number returns the number that s spells, and its one spelling without an exponent.
func number(s string) (*big.Rat, string, error) {
	if _, e, ok := strings.Cut(strings.ToLower(s), "e"); ok {
		if n, err := strconv.Atoi(e); err != nil || n > maxExponent || n < -maxExponent {
			return nil, "", fmt.Errorf("%s has an exponent beyond %d", clip(s), maxExponent)
		}
	}
	if len(s) > 2*maxExponent {
		return nil, "", fmt.Errorf("%s has too many digits", clip(s))
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return nil, "", fmt.Errorf("%s is not a number", clip(s))
	}
	return r, decimal(r), nil
}

// decimal spells r, which has finitely many digits.
func decimal(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	n, _ := r.FloatPrec()
	return r.FloatString(n)
}

// canonical appends v as JSON in one spelling, so that equal values of scalars and arrays have equal texts.
func (v *value) canonical(b []byte) []byte {
	switch v.kind {
	case 'n':
		return append(b, "null"...)
	case 'b':
		return strconv.AppendBool(b, v.truth)
	case '#':
		return append(b, v.text...)
	case 's':
		return append(b, quoted(v.text)...)
	case 'a':
		b = append(b, '[')
		for i, x := range v.list {
			if i > 0 {
				b = append(b, ',')
			}
			b = x.canonical(b)
		}
		return append(b, ']')
	}
	b = append(b, '{')
	for i, k := range v.keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, quoted(k)...), ':')
		b = v.fields[k].canonical(b)
	}
	return append(b, '}')
}

// equal compares as JSON Schema does: the order of an object's fields does not count.
func (v *value) equal(w *value) bool {
	if v.kind != w.kind || v.truth != w.truth || v.text != w.text || len(v.list) != len(w.list) || len(v.keys) != len(w.keys) {
		return false
	}
	for i := range v.list {
		if !v.list[i].equal(w.list[i]) {
			return false
		}
	}
	for k, x := range v.fields {
		if y := w.get(k); y == nil || !x.equal(y) {
			return false
		}
	}
	return true
}
