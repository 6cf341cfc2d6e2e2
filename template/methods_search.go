package template

import (
	"strings"
	"unicode/utf8"
)

func partitionMethod(name string, find func(s, sep string) int) textMethod {
	return func(_ *evaluator, t text, a arguments) (value, error) {
		p, err := a.bind(name, 1, "sep")
		if err != nil {
			return nil, err
		}
		sep, ok, err := textArgument(name, p[0])
		if err != nil || !ok || sep.s == "" {
			return nil, firstError(err, typeErrorf("%s: the separator must be a string that is not empty", name))
		}
		i := find(t.s, sep.s)
		switch {
		case i >= 0:
			j := i + len(sep.s)
			return newTuple(t.slice(0, i), t.slice(i, j), t.slice(j, len(t.s))), nil
		case name == "partition":
			return newTuple(t, own(""), own("")), nil
		}
		return newTuple(own(""), own(""), t), nil
	}
}

// bounds gives the part of t that the arguments start and end of many methods mean, and where it begins.
func bounds(fn string, t text, start, end value) (part string, from int, ok bool, err error) {
	n := t.runes()
	low, err := intArgument(fn, start, 0)
	if err != nil {
		return "", 0, false, err
	}
	high, err := intArgument(fn, end, n)
	if err != nil {
		return "", 0, false, err
	}
	if low < 0 {
		low = max(low+n, 0)
	}
	if high < 0 {
		high = max(high+n, 0)
	}
	high = min(high, n)
	if low > high {
		return "", low, false, nil
	}
	return t.s[t.offset(low):t.offset(high)], low, true, nil
}

func affixMethod(name string, has func(s, affix string) bool) textMethod {
	return func(_ *evaluator, t text, a arguments) (value, error) {
		p, err := a.bind(name, 1, "affix", "start", "end")
		if err != nil {
			return nil, err
		}
		part, _, ok, err := bounds(name, t, p[1], p[2])
		if err != nil {
			return nil, err
		}
		affixes := []value{p[0]}
		if l, isList := p[0].(*list); isList && l.kind == kindTuple {
			affixes = l.items
		}
		for _, affix := range affixes {
			s, isText, err := textArgument(name, affix)
			if err != nil || !isText {
				return nil, firstError(err, typeErrorf("%s first arg must be str or a tuple of str", name))
			}
			if ok && has(part, s.s) {
				return true, nil
			}
		}
		return false, nil
	}
}

func removeMethod(name string, prefix bool) textMethod {
	return func(_ *evaluator, t text, a arguments) (value, error) {
		p, err := a.bind(name, 1, "affix")
		if err != nil {
			return nil, err
		}
		affix, ok, err := textArgument(name, p[0])
		switch {
		case err != nil || !ok:
			return nil, firstError(err, typeErrorf("%s: the argument must be a string", name))
		case prefix && strings.HasPrefix(t.s, affix.s):
			return t.slice(len(affix.s), len(t.s)), nil
		case !prefix && strings.HasSuffix(t.s, affix.s):
			return t.slice(0, len(t.s)-len(affix.s)), nil
		}
		return t, nil
	}
}

func findMethod(name string, find func(s, sep string) int, must bool) textMethod {
	return func(_ *evaluator, t text, a arguments) (value, error) {
		p, err := a.bind(name, 1, "sub", "start", "end")
		if err != nil {
			return nil, err
		}
		sub, ok, err := textArgument(name, p[0])
		if err != nil || !ok {
			return nil, firstError(err, typeErrorf("%s: the argument must be a string", name))
		}
		part, from, ok, err := bounds(name, t, p[1], p[2])
		if err != nil {
			return nil, err
		}
		if ok {
			if i := find(part, sub.s); i >= 0 {
				return int64(from + utf8.RuneCountInString(part[:i])), nil
			}
		}
		if must {
			return nil, typeErrorf("substring not found")
		}
		return int64(-1), nil
	}
}

func countMethod(_ *evaluator, t text, a arguments) (value, error) {
	p, err := a.bind("count", 1, "sub", "start", "end")
	if err != nil {
		return nil, err
	}
	sub, ok, err := textArgument("count", p[0])
	if err != nil || !ok {
		return nil, firstError(err, typeErrorf("count: the argument must be a string"))
	}
	part, _, ok, err := bounds("count", t, p[1], p[2])
	if err != nil || !ok {
		return int64(0), err
	}
	return int64(strings.Count(part, sub.s)), nil
}
