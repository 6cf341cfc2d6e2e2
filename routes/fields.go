package routes

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"ortserve/grammar"
)

// class says what the server does with a field of a request.
type class uint8

const (
	honoured class = iota // read, and acted upon
	inert                 // cannot change the answer here; any value is accepted
	refused               // would change the answer, and we cannot do it; accepted only where its value means "off"
)

// field is a row of a dialect's table. A name that is in no row is ignored and listed in the header X-Ignored-Params.
type field[T any] struct {
	name  string
	class class
	// read takes the value of a honoured field; at is the field's path for errors. It is not called for null.
	read func(d *decoder, at string, v value, dst *T) error
	// off says, for a refused field, which values besides the empty ones change nothing.
	off func(v value) bool
	// why is what the error of a refused field adds.
	why string
	// schema describes a honoured field's value: JSON Schema. Nil is any value.
	schema schema
}

// table is the fields of one kind of object in one dialect.
type table[T any] struct {
	rows []field[T]
	at   map[string]int
	// replayed: clients send these objects as they received them, so that a name in no row is never an error.
	replayed bool
}

// newTable joins rows to a table.
func newTable[T any](rows ...[]field[T]) *table[T] {
	t := &table[T]{rows: slices.Concat(rows...), at: map[string]int{}}
	for i, r := range t.rows {
		t.at[r.name] = i
	}
	return t
}

// newReplayedTable joins rows to the table of an object that clients send as they received it.
func newReplayedTable[T any](rows ...[]field[T]) *table[T] {
	t := newTable(rows...)
	t.replayed = true
	return t
}

// decoder collects what is said of a whole body.
type decoder struct {
	grammars *grammar.Cache
	ignored  []string // paths of names that no table has
	unknown  string   // the first of them that is not part of a replayed object
	depth    int      // replayed objects around the one that is read
}

// object reads an object's members into dst by the table. Names are exact: one that differs from a known name only in case is
// refused, because ignoring it would be a surprise.
func (t *table[T]) object(d *decoder, at string, v value, dst *T) error {
	if v.kind != kindObject {
		return wrongType(at, "an object", v)
	}
	if t.replayed {
		d.depth++
		defer func() { d.depth-- }()
	}
	for _, m := range v.members {
		path := join(at, m.name)
		i, ok := t.at[m.name]
		if !ok {
			for _, r := range t.rows {
				if strings.EqualFold(r.name, m.name) {
					of := ""
					if at != "" {
						of = " of " + at
					}
					return invalid(join(at, r.name), "the field %s%s is spelled %q", quote(m.name), of, r.name)
				}
			}
			d.ignored = append(d.ignored, path)
			if d.depth == 0 && d.unknown == "" {
				d.unknown = path
			}
			continue
		}
		f := t.rows[i]
		if m.value.kind == kindNull || f.class == inert {
			continue
		}
		if f.class == refused {
			if m.value.empty() || f.off != nil && f.off(m.value) {
				continue
			}
			return f.refusal(path)
		}
		if err := f.read(d, path, m.value, dst); err != nil {
			return err
		}
	}
	return nil
}

// refusal is the error of a refused field.
func (f field[T]) refusal(path string) error {
	if f.why != "" {
		return notSupported(path, "%s is not supported: %s", path, f.why)
	}
	return notSupported(path, "%s is not supported", path)
}

// join appends a name to a path.
func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

// wrongType is the error of a value of another type than its field's.
func wrongType(at, want string, got value) error {
	if at == "" {
		return invalid("", "the body must be %s, not %s", want, got.kind)
	}
	return invalid(at, "%s must be %s, not %s", at, want, got.kind)
}

// The rows of plain types.

func numberField[T any](name string, of func(*T) **float64) field[T] {
	return field[T]{name: name, schema: schema{"type": "number"}, read: func(_ *decoder, at string, v value, dst *T) error {
		if v.kind != kindNumber {
			return wrongType(at, "a number", v)
		}
		f, err := strconv.ParseFloat(v.text, 64)
		if err != nil {
			return invalid(at, "%s is %s, which is out of range", at, clip(v.text))
		}
		if *of(dst) != nil { // no name stands twice
			return invalid(at, "%s has two names, and both are there; send one of them", at)
		}
		*of(dst) = &f
		return nil
	}}
}

func integerField[T any](name string, lowest, highest int64, of func(*T) **int64) field[T] {
	return field[T]{name: name, schema: integerSchema(lowest, highest), read: func(_ *decoder, at string, v value, dst *T) error {
		n, err := integer(at, v, lowest, highest)
		*of(dst) = &n
		return err
	}}
}

func boolField[T any](name string, of func(*T) *bool) field[T] {
	return field[T]{name: name, schema: schema{"type": "boolean"}, read: func(_ *decoder, at string, v value, dst *T) error {
		if v.kind != kindBool {
			return wrongType(at, "a boolean", v)
		}
		*of(dst) = v.text == "true"
		return nil
	}}
}

func textField[T any](name string, of func(*T) *string) field[T] {
	return field[T]{name: name, schema: textSchema, read: func(_ *decoder, at string, v value, dst *T) error {
		if v.kind != kindText {
			return wrongType(at, "a string", v)
		}
		*of(dst) = v.text
		return nil
	}}
}

// objectField is a row whose value is an object with a table of its own.
func objectField[T any](name string, t *table[T]) field[T] {
	return field[T]{name: name, schema: t.schema(), read: func(d *decoder, at string, v value, dst *T) error {
		return t.object(d, at, v, dst)
	}}
}

// inertFields are rows of names alone.
func inertFields[T any](names ...string) []field[T] {
	rows := make([]field[T], len(names))
	for i, n := range names {
		rows[i] = field[T]{name: n, class: inert}
	}
	return rows
}

// refusedField is a row of a name that is accepted only with its empty values and those that off names.
func refusedField[T any](name, why string, off ...func(value) bool) field[T] {
	return field[T]{name: name, class: refused, why: why, off: func(v value) bool {
		return slices.ContainsFunc(off, func(is func(value) bool) bool { return is(v) })
	}}
}

// refusedFields are rows of names that are accepted only with their empty values.
func refusedFields[T any](names ...string) []field[T] {
	rows := make([]field[T], len(names))
	for i, n := range names {
		rows[i] = field[T]{name: n, class: refused}
	}
	return rows
}

// onlyField is a row of a name that is accepted only with the values that ok names: its empty values mean something.
func onlyField[T any](name, why string, ok func(value) bool) field[T] {
	f := field[T]{name: name, class: refused, why: why}
	return field[T]{name: name, why: why, read: func(_ *decoder, at string, v value, _ *T) error {
		if ok(v) {
			return nil
		}
		return f.refusal(at)
	}}
}

// The values that change nothing.

func isNumber(want float64) func(value) bool {
	return func(v value) bool {
		f, err := strconv.ParseFloat(v.text, 64)
		return v.kind == kindNumber && err == nil && f == want
	}
}

func isText(want ...string) func(value) bool {
	return func(v value) bool { return v.kind == kindText && slices.Contains(want, v.text) }
}

// isListOf accepts a list whose only value is that text.
func isListOf(want string) func(value) bool {
	return func(v value) bool { return v.kind == kindList && len(v.list) == 1 && isText(want)(v.list[0]) }
}

func isTrue(v value) bool { return v.kind == kindBool && v.text == "true" }

// integer reads a whole number; 40.0 is one, because JSON has no other numbers than real ones.
func integer(at string, v value, lowest, highest int64) (int64, error) {
	if v.kind != kindNumber {
		return 0, wrongType(at, "an integer", v)
	}
	n, err := strconv.ParseInt(v.text, 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(v.text, 64)
		switch {
		case ferr == nil && f != math.Trunc(f):
			return 0, invalid(at, "%s is %s, must be an integer", at, clip(v.text))
		case ferr != nil || math.Abs(f) > 1<<53:
			return 0, outOfRange(at, v.text, lowest, highest)
		}
		n = int64(f)
	}
	if n < lowest || n > highest {
		return 0, outOfRange(at, v.text, lowest, highest)
	}
	return n, nil
}

func outOfRange(at, text string, lowest, highest int64) error {
	return invalid(at, "%s is %s, must be between %d and %d", at, clip(text), lowest, highest)
}

// The limits of stop strings.
const (
	maxStops     = 32
	maxStopBytes = 256
)

// readStops reads one string or a list of them. Empty ones mean nothing.
func readStops(at string, v value) ([]string, error) {
	list := v.list
	switch v.kind {
	case kindText:
		list = []value{v}
	case kindList:
	default:
		return nil, wrongType(at, "a string or a list of strings", v)
	}
	if len(list) > maxStops {
		return nil, invalid(at, "%s holds %d strings, at most %d are allowed", at, len(list), maxStops)
	}
	var stops []string
	for i, s := range list {
		switch at := fmt.Sprintf("%s[%d]", at, i); {
		case s.kind != kindText:
			return nil, wrongType(at, "a string", s)
		case len(s.text) > maxStopBytes:
			return nil, invalid(at, "%s has %d bytes, at most %d are allowed", at, len(s.text), maxStopBytes)
		case s.text != "":
			stops = append(stops, s.text)
		}
	}
	return stops, nil
}
