package template

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// textMethods are the methods of Python's strings.
var textMethods map[string]func(e *evaluator, t text, a arguments) (value, error)

// otherTextMethods are those that are not there: better refused than undefined.
var otherTextMethods = []string{
	"encode", "expandtabs", "format_map", "isidentifier", "isprintable", "istitle", "maketrans", "translate",
}

func init() { // as a variable it would refer to itself: format calls attribute

	textMethods = map[string]func(e *evaluator, t text, a arguments) (value, error){
		"strip":        stripMethod("strip", true, true),
		"lstrip":       stripMethod("lstrip", true, false),
		"rstrip":       stripMethod("rstrip", false, true),
		"split":        splitMethod("split", false),
		"rsplit":       splitMethod("rsplit", true),
		"splitlines":   splitLines,
		"partition":    partitionMethod("partition", strings.Index),
		"rpartition":   partitionMethod("rpartition", strings.LastIndex),
		"startswith":   affixMethod("startswith", strings.HasPrefix),
		"endswith":     affixMethod("endswith", strings.HasSuffix),
		"removeprefix": removeMethod("removeprefix", true),
		"removesuffix": removeMethod("removesuffix", false),
		"replace":      replaceMethod,
		"find":         findMethod("find", strings.Index, false),
		"rfind":        findMethod("rfind", strings.LastIndex, false),
		"index":        findMethod("index", strings.Index, true),
		"rindex":       findMethod("rindex", strings.LastIndex, true),
		"count":        countMethod,
		"join":         joinMethod,
		"format":       formatMethod,
		"upper":        changeMethod("upper", upper),
		"lower":        changeMethod("lower", lower),
		"casefold":     changeMethod("casefold", func(t text) text { return t.like(cases.Fold().String(t.s)) }),
		"capitalize":   changeMethod("capitalize", capitalize),
		"title":        changeMethod("title", titled),
		"swapcase":     changeMethod("swapcase", func(t text) text { return t.mapped(swapCase) }),
		"ljust":        padMethod("ljust", func(n int) int { return 0 }),
		"rjust":        padMethod("rjust", func(n int) int { return n }),
		"center":       nil, // below
		"zfill":        zeroFill,
		"isupper":      caseMethod("isupper", unicode.IsUpper, unicode.IsLower),
		"islower":      caseMethod("islower", unicode.IsLower, unicode.IsUpper),
		"isspace":      everyMethod("isspace", isSpace),
		"isalpha":      everyMethod("isalpha", unicode.IsLetter),
		"isdigit":      everyMethod("isdigit", unicode.IsDigit),
		"isdecimal":    everyMethod("isdecimal", unicode.IsDigit),
		"isnumeric":    everyMethod("isnumeric", unicode.IsNumber),
		"isalnum":      everyMethod("isalnum", func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }),
		"isascii": func(_ *evaluator, t text, a arguments) (value, error) {
			_, err := a.bind("isascii", 0)
			return strings.IndexFunc(t.s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0, err
		},
	}
	textMethods["center"] = padMethod("center", nil)
}

func upper(t text) text { return t.mapped(changeCase(strings.ToUpper, cases.Upper(language.Und))) }

func lower(t text) text { return t.mapped(changeCase(strings.ToLower, cases.Lower(language.Und))) }

// changeCase uses the rules for all of Unicode (ß becomes SS) where there is more than ASCII.
func changeCase(ascii func(string) string, all cases.Caser) func(string) string {
	return func(s string) string {
		if strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0 {
			return ascii(s)
		}
		return all.String(s)
	}
}

func capitalize(t text) text {
	if t.s == "" {
		return t
	}
	_, size := utf8.DecodeRuneInString(t.s)
	return t.like(cases.Title(language.Und, cases.NoLower).String(t.s[:size]) + lower(own(t.s[size:])).s)
}

// titled is str.title: a letter after no letter is in title case, the others are in lower case.
func titled(t text) text {
	after := false
	return t.like(strings.Map(func(r rune) rune {
		cased := unicode.IsUpper(r) || unicode.IsLower(r) || unicode.IsTitle(r)
		defer func() { after = cased }()
		switch {
		case !cased:
			return r
		case after:
			return unicode.ToLower(r)
		}
		return unicode.ToTitle(r)
	}, t.s))
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsUpper(r) {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, s)
}

type textMethod = func(e *evaluator, t text, a arguments) (value, error)

// textArgument is argument v as a string, or ok false for None and what was not given.
func textArgument(fn string, v value) (t text, ok bool, err error) {
	switch v := v.(type) {
	case nil, absent:
		return text{}, false, nil
	case text:
		return v, true, nil
	}
	if err := refuseUndefined(v); err != nil {
		return text{}, false, err
	}
	return text{}, false, typeErrorf("%s: the argument must be a string, not %s", fn, typeName(v))
}

// intArgument is argument v as an integer, def for None and what was not given.
func intArgument(fn string, v value, def int) (int, error) {
	switch v.(type) {
	case nil, absent:
		return def, nil
	}
	n, ok := asInt(v)
	if !ok {
		if err := refuseUndefined(v); err != nil {
			return 0, err
		}
		return 0, typeErrorf("%s: the argument must be an integer, not %s", fn, typeName(v))
	}
	const most = 1 << 40
	return int(max(min(n, most), -most)), nil
}

func stripMethod(name string, left, right bool) textMethod {
	return func(_ *evaluator, t text, a arguments) (value, error) {
		p, err := a.bind(name, 0, "chars")
		if err != nil {
			return nil, err
		}
		chars, ok, err := textArgument(name, p[0])
		if err != nil {
			return nil, err
		}
		if !ok {
			return t.trim(left, right, isSpace), nil
		}
		return t.trim(left, right, func(r rune) bool { return strings.ContainsRune(chars.s, r) }), nil
	}
}

func textList(e *evaluator, parts []text) (value, error) {
	items := make([]value, len(parts))
	for i, p := range parts {
		items[i] = p
	}
	return newList(items), e.spend(len(parts))
}

func splitMethod(name string, fromRight bool) textMethod {
	return func(e *evaluator, t text, a arguments) (value, error) {
		p, err := a.bind(name, 0, "sep", "maxsplit")
		if err != nil {
			return nil, err
		}
		sep, ok, err := textArgument(name, p[0])
		if err != nil {
			return nil, err
		}
		n, err := intArgument(name, p[1], -1)
		switch {
		case err != nil:
			return nil, err
		case !ok:
			return textList(e, t.fields(n, fromRight))
		case sep.s == "":
			return nil, typeErrorf("empty separator")
		}
		return textList(e, t.split(sep.s, n, fromRight))
	}
}

func splitLines(e *evaluator, t text, a arguments) (value, error) {
	p, err := a.bind("splitlines", 0, "keepends")
	if err != nil {
		return nil, err
	}
	return textList(e, t.lines(truth(p[0])))
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func replaceMethod(e *evaluator, t text, a arguments) (value, error) {
	p, err := a.bind("replace", 2, "old", "new", "count")
	if err != nil {
		return nil, err
	}
	old, ok1, err1 := textArgument("replace", p[0])
	by, ok2, err2 := textArgument("replace", p[1])
	if err := firstError(err1, err2); err != nil || !ok1 || !ok2 {
		return nil, firstError(err, typeErrorf("replace: the arguments must be strings"))
	}
	n, err := intArgument("replace", p[2], -1)
	if err != nil {
		return nil, err
	}
	if t.markup {
		by = escaped(by)
	}
	return e.replace(t, old, by, n)
}

// replace replaces within the limits.
func (e *evaluator) replace(t, old, by text, n int) (value, error) {
	found := strings.Count(t.s, old.s)
	if n >= 0 {
		found = min(found, n)
	}
	if err := e.made(len(t.s) + found*max(len(by.s)-len(old.s), 0)); err != nil {
		return nil, err
	}
	return t.replace(old, by, n), e.spend(found)
}

func joinMethod(e *evaluator, t text, a arguments) (value, error) {
	p, err := a.bind("join", 1, "iterable")
	if err != nil {
		return nil, err
	}
	items, err := e.iterate(p[0])
	if err != nil {
		return nil, err
	}
	var b builder
	for i, item := range items {
		part, ok := item.(text)
		if !ok && !t.markup {
			return nil, typeErrorf("sequence item %d: expected str instance, %s found", i, typeName(item))
		}
		if !ok {
			if part, err = e.text(item); err != nil {
				return nil, err
			}
		}
		if t.markup {
			part = escaped(part)
		}
		if i > 0 {
			b.join(t)
		}
		b.join(part)
		if err := e.made(b.len()); err != nil {
			return nil, err
		}
	}
	r := b.text()
	r.markup = t.markup
	return r, nil
}

func changeMethod(name string, change func(text) text) textMethod {
	return func(_ *evaluator, t text, a arguments) (value, error) {
		_, err := a.bind(name, 0)
		return change(t), err
	}
}

func everyMethod(name string, is func(rune) bool) textMethod {
	return func(_ *evaluator, t text, a arguments) (value, error) {
		_, err := a.bind(name, 0)
		return t.s != "" && strings.IndexFunc(t.s, func(r rune) bool { return !is(r) }) < 0, err
	}
}

func caseMethod(name string, is, isNot func(rune) bool) textMethod {
	return func(_ *evaluator, t text, a arguments) (value, error) {
		_, err := a.bind(name, 0)
		return strings.IndexFunc(t.s, is) >= 0 && strings.IndexFunc(t.s, isNot) < 0, err
	}
}

// padMethod fills up to a width; left gives how many of n characters go before the text, nil is Python's centre.
func padMethod(name string, left func(n int) int) textMethod {
	return func(e *evaluator, t text, a arguments) (value, error) {
		p, err := a.bind(name, 1, "width", "fillchar")
		if err != nil {
			return nil, err
		}
		width, err := intArgument(name, p[0], 0)
		if err != nil {
			return nil, err
		}
		fill, ok, err := textArgument(name, p[1])
		if err != nil {
			return nil, err
		}
		if !ok {
			fill = own(" ")
		}
		if fill.runes() != 1 {
			return nil, typeErrorf("the fill character must be exactly one character long")
		}
		n := max(width-t.runes(), 0)
		if err := e.made(len(t.s) + n*len(fill.s)); err != nil {
			return nil, err
		}
		before := n/2 + (n & width & 1)
		if left != nil {
			before = left(n)
		}
		return concat(fill.like(strings.Repeat(fill.s, before)), t, fill.like(strings.Repeat(fill.s, n-before))), nil
	}
}

func zeroFill(e *evaluator, t text, a arguments) (value, error) {
	p, err := a.bind("zfill", 1, "width")
	if err != nil {
		return nil, err
	}
	width, err := intArgument("zfill", p[0], 0)
	if err != nil {
		return nil, err
	}
	n := max(width-t.runes(), 0)
	if err := e.made(len(t.s) + n); err != nil {
		return nil, err
	}
	sign := 0
	if strings.HasPrefix(t.s, "+") || strings.HasPrefix(t.s, "-") {
		sign = 1
	}
	return concat(t.slice(0, sign), own(strings.Repeat("0", n)), t.slice(sign, len(t.s))), nil
}
