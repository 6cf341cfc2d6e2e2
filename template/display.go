package template

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// toText is str(v), what {{ v }} prints.
func (e *evaluator) text(v value) (text, error) {
	if t, ok := v.(text); ok {
		return t, nil
	}
	return e.display(v, false)
}

// display is str(v), or repr(v).
func (e *evaluator) display(v value, repr bool) (text, error) {
	var b builder
	if err := writeDisplay(&b, v, repr, 0); err != nil {
		return text{}, err
	}
	return b.text(), e.made(b.len())
}

func writeDisplay(b *builder, v value, repr bool, depth int) error {
	if b.len() > maxText {
		return &Error{Text: tooLong}
	}
	if depth > maxNesting {
		return typeErrorf("maximum recursion depth exceeded while getting the repr of an object")
	}
	switch v := v.(type) {
	case nil:
		b.own("None")
	case bool:
		if v {
			b.own("True")
		} else {
			b.own("False")
		}
	case int64:
		b.own(strconv.FormatInt(v, 10))
	case json.Number:
		b.own(v.String())
	case float64:
		b.own(floatText(v))
	case undefined:
		if repr {
			b.own("Undefined")
		}
	case text:
		if repr {
			writeRepr(b, v)
		} else {
			b.join(v)
		}
	case *list:
		return writeList(b, v, depth)
	case *dict:
		return writeDict(b, v, depth)
	case *namespace:
		b.own("<Namespace ")
		if err := writeDict(b, v.dict(), depth); err != nil {
			return err
		}
		b.own(">")
	case *loop:
		b.own(fmt.Sprintf("<LoopContext %d/%d>", v.at+1, len(v.items)))
	default:
		return typeErrorf("a %s cannot be printed", typeName(v))
	}
	return nil
}

func (n *namespace) dict() *dict {
	d := newDict()
	for _, name := range n.names {
		d.setText(own(name), n.values[name])
	}
	return d
}

func writeList(b *builder, l *list, depth int) error {
	open, end := "[", "]"
	switch l.kind {
	case kindTuple:
		open, end = "(", ")"
		if len(l.items) == 1 {
			end = ",)"
		}
	case kindRange:
		if l.shown == "" { // a slice of one
			return typeErrorf("a part of a range cannot be printed: make it a list first")
		}
		b.own(l.shown)
		return nil
	case kindView, kindGenerator:
		return typeErrorf("a %s cannot be printed: make it a list first", typeName(l))
	}
	b.own(open)
	for i, item := range l.items {
		if i > 0 {
			b.own(", ")
		}
		if err := writeDisplay(b, item, true, depth+1); err != nil {
			return err
		}
	}
	b.own(end)
	return nil
}

func writeDict(b *builder, d *dict, depth int) error {
	b.own("{")
	for i := range d.keys {
		if i > 0 {
			b.own(", ")
		}
		if err := writeDisplay(b, d.keys[i], true, depth+1); err != nil {
			return err
		}
		b.own(": ")
		if err := writeDisplay(b, d.values[i], true, depth+1); err != nil {
			return err
		}
	}
	b.own("}")
	return nil
}

// writeRepr writes a string as Python's repr does.
func writeRepr(b *builder, t text) {
	quote := "'"
	if strings.Contains(t.s, "'") && !strings.Contains(t.s, `"`) {
		quote = `"`
	}
	if t.markup {
		b.own("Markup(")
	}
	b.own(quote)
	t.pieces(func(part string, outside bool) {
		for _, r := range part {
			b.add(reprRune(r, quote), outside)
		}
	})
	b.own(quote)
	if t.markup {
		b.own(")")
	}
}

func reprRune(r rune, quote string) string {
	switch {
	case r == '\\' || string(r) == quote:
		return `\` + string(r)
	case r == '\n':
		return `\n`
	case r == '\r':
		return `\r`
	case r == '\t':
		return `\t`
	case r == ' ' || unicode.IsPrint(r):
		return string(r)
	case r < 0x100:
		return fmt.Sprintf(`\x%02x`, r)
	case r < 0x10000:
		return fmt.Sprintf(`\u%04x`, r)
	}
	return fmt.Sprintf(`\U%08x`, r)
}
