package template

import (
	"encoding/json"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// filters are what may follow `|`: those of jinja2 that chat templates have a use for, and transformers' tojson.
var filters map[string]func(e *evaluator, v value, a arguments) (value, error)

type filterFunc = func(e *evaluator, v value, a arguments) (value, error)

func init() { // as a variable it would refer to itself: map applies filters
	onText := func(name string, change func(text) text) filterFunc {
		return func(e *evaluator, v value, a arguments) (value, error) {
			if _, err := a.bind(name, 0); err != nil {
				return nil, err
			}
			t, err := e.text(v)
			return change(t), err
		}
	}
	same := func(t text) text { return t }
	filters = map[string]filterFunc{
		"upper":      onText("upper", upper),
		"lower":      onText("lower", lower),
		"capitalize": onText("capitalize", capitalize),
		"title":      onText("title", filterTitle),
		"string":     onText("string", same),
		"escape":     onText("escape", escaped),
		"e":          onText("e", escaped),
		"safe":       onText("safe", func(t text) text { t.markup = true; return t }),
		"trim":       filterTrim,
		"replace":    filterReplace,
		"format":     filterFormat,
		"indent":     filterIndent,
		"center":     filterCenter,
		"wordcount":  filterWordCount,
		"tojson":     filterJSON,
		"default":    filterDefault,
		"d":          filterDefault,
		"abs":        filterAbs,
		"int":        filterInt,
		"float":      filterFloat,
		"round":      filterRound,
		"attr":       filterAttr,
		"length":     filterLength,
		"count":      filterLength,
		"items":      filterItems,
		"list":       filterList,
		"first":      filterFirst,
		"last":       filterLast,
		"reverse":    filterReverse,
		"join":       filterJoin,
		"sort":       filterSort,
		"dictsort":   filterDictSort,
		"unique":     filterUnique,
		"max":        filterExtreme("max", 1),
		"min":        filterExtreme("min", -1),
		"sum":        filterSum,
		"batch":      filterBatch,
		"map":        filterMap,
		"select":     filterSelect("select", true, false),
		"reject":     filterSelect("reject", false, false),
		"selectattr": filterSelect("selectattr", true, true),
		"rejectattr": filterSelect("rejectattr", false, true),
	}
}

// escaped is t as Markup: what is Markup already stays.
func escaped(t text) text {
	if !t.markup {
		t = t.mapped(strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;").Replace)
		t.markup = true
	}
	return t
}

// filterTitle begins each word with a capital.
func filterTitle(t text) text {
	var b strings.Builder
	begins := true
	for at := 0; at < len(t.s); {
		r, size := utf8.DecodeRuneInString(t.s[at:])
		part := t.s[at : at+size]
		switch {
		case isSpace(r) || strings.ContainsRune("-({[<", r):
			begins = true
			b.WriteString(part)
		case begins:
			begins = false
			b.WriteString(upper(own(part)).s)
		default:
			b.WriteString(lower(own(part)).s)
		}
		at += size
	}
	return t.like(b.String())
}

func filterTrim(e *evaluator, v value, a arguments) (value, error) {
	t, err := e.text(v)
	if err != nil {
		return nil, err
	}
	return stripMethod("trim", true, true)(e, t, a)
}

func filterReplace(e *evaluator, v value, a arguments) (value, error) {
	p, err := a.bind("replace", 2, "old", "new", "count")
	if err != nil {
		return nil, err
	}
	var t [3]text
	for i, part := range []value{v, p[0], p[1]} {
		if t[i], err = e.text(part); err != nil {
			return nil, err
		}
	}
	n, err := intArgument("replace", p[2], -1)
	if err != nil {
		return nil, err
	}
	return e.replace(t[0].plain(), t[1], t[2], n)
}

func filterFormat(e *evaluator, v value, a arguments) (value, error) {
	t, err := e.text(v)
	if err != nil {
		return nil, err
	}
	if len(a.named) == 0 {
		return e.percent(t, newTuple(a.positional...))
	}
	if len(a.positional) > 0 {
		return nil, typeErrorf("can't handle positional and keyword arguments at the same time")
	}
	d, err := globalDict(e, a)
	if err != nil {
		return nil, err
	}
	return e.percent(t, d)
}

func filterIndent(e *evaluator, v value, a arguments) (value, error) {
	p, err := a.bind("indent", 0, "width", "first", "blank")
	if err != nil {
		return nil, err
	}
	t, ok, err := textArgument("indent", v)
	if err != nil || !ok {
		return nil, firstError(err, typeErrorf("indent: the value must be a string"))
	}
	by, ok := p[0].(text)
	if !ok {
		n, err := intArgument("indent", p[0], 4)
		if err != nil {
			return nil, err
		}
		if err := e.made(n); err != nil {
			return nil, err
		}
		by = own(strings.Repeat(" ", max(n, 0)))
	}
	lines := concat(t, own("\n")).lines(false)
	if err := e.made(len(t.s) + len(lines)*len(by.s)); err != nil {
		return nil, err
	}
	var b builder
	for i, line := range lines {
		if i > 0 {
			b.own("\n")
		}
		if i == 0 && truth(p[1]) || i > 0 && (line.s != "" || truth(p[2])) {
			b.join(by)
		}
		b.join(line)
	}
	r := b.text()
	r.markup = t.markup
	return r, nil
}

func filterCenter(e *evaluator, v value, a arguments) (value, error) {
	p, err := a.bind("center", 0, "width")
	if err != nil {
		return nil, err
	}
	t, err := e.text(v)
	if err != nil {
		return nil, err
	}
	if p[0] == (absent{}) {
		p[0] = int64(80)
	}
	return textMethods["center"](e, t, arguments{positional: p})
}

var word = regexp.MustCompile(`[\p{L}\p{M}\p{N}_]+`)

func filterWordCount(e *evaluator, v value, a arguments) (value, error) {
	if _, err := a.bind("wordcount", 0); err != nil {
		return nil, err
	}
	t, err := e.text(v)
	return int64(len(word.FindAllString(t.s, -1))), err
}

func filterDefault(e *evaluator, v value, a arguments) (value, error) {
	p, err := a.bind("default", 0, "default_value", "boolean")
	if err != nil {
		return nil, err
	}
	if !isUndefined(v) && (truth(v) || !truth(p[1])) {
		return v, nil
	}
	if p[0] == (absent{}) {
		return own(""), nil
	}
	return p[0], nil
}

func filterAbs(e *evaluator, v value, a arguments) (value, error) {
	if _, err := a.bind("abs", 0); err != nil {
		return nil, err
	}
	if n, ok := asInt(v); ok {
		return max(n, -n), nil
	}
	if f, ok := v.(float64); ok {
		return math.Abs(f), nil
	}
	return nil, firstError(refuseUndefined(v), typeErrorf("bad operand type for abs(): '%s'", typeName(v)))
}

func filterInt(e *evaluator, v value, a arguments) (value, error) {
	p, err := a.bind("int", 0, "default", "base")
	if err != nil {
		return nil, err
	}
	base, err := intArgument("int", p[1], 10)
	if err != nil {
		return nil, err
	}
	if err := refuseUndefined(v); err != nil {
		return nil, err
	}
	if t, ok := v.(text); ok {
		if n, err := parseInteger(t.s, base); err == nil {
			return n, nil
		}
		if f, ok := parseFloat(t.s); ok {
			v = f
		}
	}
	switch v := v.(type) {
	case json.Number:
		return v, nil
	case float64:
		if math.Abs(v) < 1<<63 {
			return int64(v), nil
		}
	default:
		if n, ok := asInt(v); ok {
			return n, nil
		}
	}
	if p[0] == (absent{}) {
		return int64(0), nil
	}
	return p[0], nil
}

// parseFloat is Python's float(s).
func parseFloat(s string) (float64, bool) {
	s = own(s).trim(true, true, isSpace).s
	if strings.ContainsAny(s, "xXpP") { // Go's hexadecimal floats
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil || math.IsInf(f, 0)
}

func filterFloat(e *evaluator, v value, a arguments) (value, error) {
	p, err := a.bind("float", 0, "default")
	if err != nil {
		return nil, err
	}
	if err := refuseUndefined(v); err != nil {
		return nil, err
	}
	if t, ok := v.(text); ok {
		if f, ok := parseFloat(t.s); ok {
			return f, nil
		}
	} else if f, ok := asFloat(v); ok {
		return f, nil
	}
	if p[0] == (absent{}) {
		return 0.0, nil
	}
	return p[0], nil
}

func filterRound(e *evaluator, v value, a arguments) (value, error) {
	p, err := a.bind("round", 0, "precision", "method")
	if err != nil {
		return nil, err
	}
	n, err := intArgument("round", p[0], 0)
	if err != nil {
		return nil, err
	}
	how, ok, err := textArgument("round", p[1])
	if err != nil {
		return nil, err
	}
	f, isNumber := asFloat(v)
	if !isNumber {
		return nil, firstError(refuseUndefined(v), typeErrorf("type %s doesn't define __round__ method", typeName(v)))
	}
	if n > 300 || n < -300 {
		return nil, typeErrorf("round: the precision %d is too large", n)
	}
	scale := math.Pow(10, float64(n))
	switch {
	case !ok || how.s == "common":
		if i, ok := asInt(v); ok && n >= 0 {
			return i, nil
		}
		if n < 0 {
			return math.RoundToEven(f*scale) / scale, nil
		}
		r, _ := strconv.ParseFloat(strconv.FormatFloat(f, 'f', n, 64), 64) // exact decimal, half to even, as Python
		return r, nil
	case how.s == "ceil":
		return math.Ceil(f*scale) / scale, nil
	case how.s == "floor":
		return math.Floor(f*scale) / scale, nil
	}
	return nil, typeErrorf("method must be common, ceil or floor")
}

func filterAttr(e *evaluator, v value, a arguments) (value, error) {
	p, err := a.bind("attr", 1, "name")
	if err != nil {
		return nil, err
	}
	name, err := e.text(p[0])
	if err != nil {
		return nil, err
	}
	if m, ok := method(v, name.s); ok {
		return m, nil
	}
	return e.missing(v, name), nil
}
