package template

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonStyle is the arguments of transformers' tojson, which are those of Python's json.dumps.
type jsonStyle struct {
	ascii     bool
	indented  bool
	indent    string
	item, key string // separators
	sortKeys  bool
	e         *evaluator
}

// filterJSON is the filter tojson: x, ensure_ascii=False, indent=None, separators=None, sort_keys=False.
func filterJSON(e *evaluator, v value, a arguments) (value, error) {
	p, err := a.bind("tojson", 0, "ensure_ascii", "indent", "separators", "sort_keys")
	if err != nil {
		return nil, err
	}
	s := jsonStyle{item: ", ", key: ": ", ascii: truth(p[0]), sortKeys: truth(p[3]), e: e}
	switch indent := p[1].(type) {
	case nil, absent:
	case text:
		s.indented, s.indent, s.item = true, indent.s, ","
	default:
		n, ok := asInt(indent)
		if !ok || n > 64 {
			return nil, typeErrorf("tojson: indent must be None, a string or a small number")
		}
		s.indented, s.indent, s.item = true, strings.Repeat(" ", int(max(n, 0))), ","
	}
	if l, ok := p[2].(*list); ok && len(l.items) == 2 {
		item, ok1 := l.items[0].(text)
		key, ok2 := l.items[1].(text)
		if !ok1 || !ok2 {
			return nil, typeErrorf("tojson: separators must be two strings")
		}
		s.item, s.key = item.s, key.s
	} else if p[2] != nil && p[2] != (absent{}) {
		return nil, typeErrorf("tojson: separators must be two strings")
	}
	var b builder
	if err := s.write(&b, v, 0); err != nil {
		return nil, err
	}
	return b.text(), nil
}

func (s *jsonStyle) write(b *builder, v value, depth int) error {
	if depth > maxNesting {
		return typeErrorf("tojson: nested more than %d deep", maxNesting)
	}
	if err := s.e.spend(1 + b.len()/maxText); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
		b.own("null")
	case bool:
		b.own(strconv.FormatBool(v))
	case int64:
		b.own(strconv.FormatInt(v, 10))
	case json.Number:
		b.own(v.String())
	case float64:
		b.own(jsonFloat(v))
	case text:
		s.quote(b, v)
	case *list:
		if v.kind > kindTuple {
			return typeErrorf("Object of type %s is not JSON serializable", typeName(v))
		}
		return s.sequence(b, "[", "]", len(v.items), depth, func(i int) error { return s.write(b, v.items[i], depth+1) })
	case *dict:
		return s.object(b, v, depth)
	default:
		return typeErrorf("Object of type %s is not JSON serializable", typeName(v))
	}
	return nil
}

// sequence writes n parts between brackets.
func (s *jsonStyle) sequence(b *builder, open, end string, n, depth int, part func(int) error) error {
	b.own(open)
	if n > 0 {
		line := func(depth int) {
			if s.indented {
				b.own("\n" + strings.Repeat(s.indent, depth))
			}
		}
		for i := range n {
			if i > 0 {
				b.own(s.item)
			}
			line(depth + 1)
			if err := part(i); err != nil {
				return err
			}
		}
		line(depth)
	}
	b.own(end)
	return nil
}

func (s *jsonStyle) object(b *builder, d *dict, depth int) error {
	at := make([]int, len(d.keys))
	for i := range at {
		at[i] = i
	}
	if s.sortKeys {
		var failed error
		slices.SortStableFunc(at, func(i, j int) int {
			c, err := s.e.rank(d.keys[i], d.keys[j], "<")
			if err != nil {
				failed = err
			}
			return c
		})
		if failed != nil {
			return failed
		}
	}
	return s.sequence(b, "{", "}", len(at), depth, func(i int) error {
		key, err := s.jsonKey(d.keys[at[i]])
		if err != nil {
			return err
		}
		s.quote(b, key)
		b.own(s.key)
		return s.write(b, d.values[at[i]], depth+1)
	})
}

func (s *jsonStyle) jsonKey(k value) (text, error) {
	switch k := k.(type) {
	case text:
		return k, nil
	case nil:
		return own("null"), nil
	case bool:
		return own(strconv.FormatBool(k)), nil
	case float64:
		return own(jsonFloat(k)), nil
	case int64, json.Number:
		return s.e.display(k, false)
	}
	return text{}, typeErrorf("keys must be str, int, float, bool or None, not %s", typeName(k))
}

func jsonFloat(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case math.IsNaN(f):
		return "NaN"
	}
	return floatText(f)
}

// quote writes a JSON string with the escapes that Python's encoder uses.
func (s *jsonStyle) quote(b *builder, t text) {
	b.own(`"`)
	t.pieces(func(part string, outside bool) {
		from := 0
		for i := 0; i < len(part); {
			r, size := utf8.DecodeRuneInString(part[i:])
			if e := s.escape(r); e != "" {
				b.add(part[from:i], outside)
				b.add(e, outside)
				from = i + size
			}
			i += size
		}
		b.add(part[from:], outside)
	})
	b.own(`"`)
}

// escape returns how r is written, empty for as it is.
func (s *jsonStyle) escape(r rune) string {
	switch r {
	case '"', '\\':
		return `\` + string(r)
	case '\n':
		return `\n`
	case '\r':
		return `\r`
	case '\t':
		return `\t`
	case '\f':
		return `\f`
	case '\b':
		return `\b`
	}
	switch {
	case r < 0x20, s.ascii && 0x7f <= r && r < 0x10000:
		return fmt.Sprintf(`\u%04x`, r)
	case s.ascii && r >= 0x10000:
		high, low := utf16.EncodeRune(r)
		return fmt.Sprintf(`\u%04x\u%04x`, high, low)
	}
	return ""
}
