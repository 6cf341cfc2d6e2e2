package template

import (
	"fmt"
	"strconv"
	"strings"
)

// globals are the functions that every template sees.
var globals = &scope{vars: []variable{
	{"range", &function{"range", globalRange}},
	{"dict", &function{"dict", globalDict}},
	{"namespace", &function{"namespace", globalNamespace}},
	{"cycler", &function{"cycler", globalCycler}},
	{"joiner", &function{"joiner", globalJoiner}},
	{"raise_exception", &function{"raise_exception", globalRaise}},
	{"strftime_now", &function{"strftime_now", globalNow}},
}}

// maxRange is the sandbox's own limit.
const maxRange = 100_000

func globalRange(e *evaluator, a arguments) (value, error) {
	var n [3]int64
	for i, v := range a.positional {
		var ok bool
		if i < 3 {
			n[i], ok = asInt(v)
		}
		if !ok {
			if err := refuseUndefined(v); err != nil {
				return nil, err
			}
			return nil, typeErrorf("range takes one to three integers")
		}
	}
	from, to, step := n[0], n[1], n[2]
	switch len(a.positional) {
	case 1:
		from, to, step = 0, n[0], 1
	case 2:
		step = 1
	case 3:
	default:
		return nil, typeErrorf("range takes one to three integers")
	}
	if step == 0 {
		return nil, typeErrorf("range() arg 3 must not be zero")
	}
	if len(a.named) > 0 {
		return nil, typeErrorf("range() takes no keyword arguments")
	}
	l := &list{kind: kindRange, shown: fmt.Sprintf("range(%d, %d)", from, to)}
	if step != 1 {
		l.shown = fmt.Sprintf("range(%d, %d, %d)", from, to, step)
	}
	for i := from; step > 0 && i < to || step < 0 && i > to; i += step {
		if len(l.items) == maxRange {
			return nil, typeErrorf("range too big. The sandbox blocks ranges larger than %d", maxRange)
		}
		l.items = append(l.items, i)
		if next := i + step; (next > i) != (step > 0) {
			break // beyond the integers
		}
	}
	return l, e.spend(len(l.items))
}

func globalDict(e *evaluator, a arguments) (value, error) {
	d := newDict()
	if len(a.positional) > 1 {
		return nil, typeErrorf("dict expected at most 1 argument, got %d", len(a.positional))
	}
	for _, from := range a.positional {
		pairs, err := e.pairs(from)
		if err != nil {
			return nil, err
		}
		for _, p := range pairs {
			if err := d.set(e, p[0], p[1]); err != nil {
				return nil, err
			}
		}
	}
	for i, name := range a.names {
		if err := d.set(e, own(name), a.named[i]); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// pairs gives the items of a dictionary, or of a sequence of pairs.
func (e *evaluator) pairs(v value) ([][2]value, error) {
	var items []value
	if d, ok := v.(*dict); ok {
		items = d.items()
	} else {
		var err error
		if items, err = e.iterate(v); err != nil {
			return nil, err
		}
	}
	pairs := make([][2]value, 0, len(items))
	for _, item := range items {
		p, err := e.iterate(item)
		if err != nil {
			return nil, err
		}
		if len(p) != 2 {
			return nil, typeErrorf("dictionary update sequence element has length %d; 2 is required", len(p))
		}
		pairs = append(pairs, [2]value{p[0], p[1]})
	}
	return pairs, e.spend(len(pairs))
}

func globalNamespace(e *evaluator, a arguments) (value, error) {
	v, err := globalDict(e, a)
	if err != nil {
		return nil, err
	}
	n := &namespace{values: map[string]value{}}
	d, _ := v.(*dict) // globalDict gives nothing else
	for i, k := range d.keys {
		name, ok := k.(text)
		if !ok {
			return nil, typeErrorf("the names of a namespace must be strings")
		}
		n.set(name.s, d.values[i])
	}
	return n, nil
}

func globalCycler(_ *evaluator, a arguments) (value, error) {
	if len(a.positional) == 0 {
		return nil, typeErrorf("at least one item has to be provided")
	}
	n := &namespace{values: map[string]value{}}
	at := 0
	show := func() { n.set("current", a.positional[at]) }
	show()
	n.set("next", &function{"next", func(*evaluator, arguments) (value, error) {
		v := a.positional[at]
		at = (at + 1) % len(a.positional)
		show()
		return v, nil
	}})
	n.set("reset", &function{"reset", func(*evaluator, arguments) (value, error) {
		at = 0
		show()
		return nil, nil
	}})
	return n, nil
}

func globalJoiner(_ *evaluator, a arguments) (value, error) {
	p, err := a.bind("joiner", 0, "sep")
	if err != nil {
		return nil, err
	}
	sep := p[0]
	if sep == (absent{}) {
		sep = own(", ")
	}
	used := false
	return &function{"joiner", func(*evaluator, arguments) (value, error) {
		if !used {
			used = true
			return own(""), nil
		}
		return sep, nil
	}}, nil
}

func globalRaise(e *evaluator, a arguments) (value, error) {
	p, err := a.bind("raise_exception", 1, "message")
	if err != nil {
		return nil, err
	}
	t, err := e.text(p[0])
	if err != nil {
		return nil, err
	}
	return nil, &Error{Text: t.s, raised: true}
}

func globalNow(e *evaluator, a arguments) (value, error) {
	p, err := a.bind("strftime_now", 1, "format")
	if err != nil {
		return nil, err
	}
	f, ok := p[0].(text)
	if !ok {
		return nil, typeErrorf("strftime_now: format must be a string")
	}
	s, err := strftime(e.now(), f.s)
	return f.like(s), err
}

// parseInteger is Python's int(s, base), for the numbers that int64 holds.
func parseInteger(s string, base int) (int64, error) {
	s = own(s).trim(true, true, isSpace).s
	if base != 0 {
		// Go takes underscores and a prefix only where the prefix gives the base.
		sign := s[:len(s)-len(strings.TrimLeft(s, "+-"))]
		digits := strings.ToLower(s[len(sign):])
		prefix := map[int]string{2: "0b", 8: "0o", 16: "0x"}[base]
		if prefix != "" {
			digits = strings.TrimPrefix(digits, prefix)
		}
		if strings.HasPrefix(digits, "_") || strings.HasSuffix(digits, "_") || strings.Contains(digits, "__") {
			return 0, fmt.Errorf("%q is not a number", clip(s))
		}
		s = sign + strings.ReplaceAll(digits, "_", "")
	}
	n, err := strconv.ParseInt(s, base, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number: %w", clip(s), err)
	}
	return n, nil
}
