package template

import (
	"slices"
	"strings"
)

// folded is v as sorting sees it where case does not matter.
func folded(v value, caseMatters bool) value {
	if t, ok := v.(text); ok && !caseMatters {
		return lower(t)
	}
	return v
}

// sorted gives the order of keys, stable.
func (e *evaluator) sorted(keys []value, reverse bool) ([]int, error) {
	order := make([]int, len(keys))
	for i := range order {
		order[i] = i
	}
	var failed error
	slices.SortStableFunc(order, func(i, j int) int {
		if failed != nil {
			return 0
		}
		c, err := e.rank(keys[i], keys[j], "<")
		failed = firstError(err, e.spend(1))
		if reverse {
			return -c
		}
		return c
	})
	return order, failed
}

func filterSort(e *evaluator, v value, a arguments) (value, error) {
	p, err := a.bind("sort", 0, "reverse", "case_sensitive", "attribute")
	if err != nil {
		return nil, err
	}
	items, err := e.iterate(v)
	if err != nil {
		return nil, err
	}
	keys := make([]value, len(items))
	for i, item := range items {
		keys[i] = folded(item, truth(p[1]))
		names, ok := p[2].(text)
		if !ok {
			if given(p[2]) {
				if keys[i], err = e.attributeOf(item, p[2]); err != nil {
					return nil, err
				}
			}
			continue
		}
		var several []value
		for name := range strings.SplitSeq(names.s, ",") {
			k, err := e.attributeOf(item, own(name))
			if err != nil {
				return nil, err
			}
			several = append(several, folded(k, truth(p[1])))
		}
		keys[i] = newList(several)
	}
	order, err := e.sorted(keys, truth(p[0]))
	if err != nil {
		return nil, err
	}
	out := make([]value, len(items))
	for i, at := range order {
		out[i] = items[at]
	}
	return newList(out), nil
}

func filterDictSort(e *evaluator, v value, a arguments) (value, error) {
	p, err := a.bind("dictsort", 0, "case_sensitive", "by", "reverse")
	if err != nil {
		return nil, err
	}
	d, ok := v.(*dict)
	if !ok {
		return nil, firstError(refuseUndefined(v), typeErrorf("'%s' object has no attribute 'items'", typeName(v)))
	}
	by := d.keys
	if t, ok := p[1].(text); ok && t.s == "value" {
		by = d.values
	} else if ok && t.s != "key" {
		return nil, typeErrorf("You can only sort by either \"key\" or \"value\"")
	}
	keys := make([]value, len(by))
	for i, k := range by {
		keys[i] = folded(k, truth(p[0]))
	}
	order, err := e.sorted(keys, truth(p[2]))
	if err != nil {
		return nil, err
	}
	pairs := d.items()
	out := make([]value, len(pairs))
	for i, at := range order {
		out[i] = pairs[at]
	}
	return newList(out), nil
}

func filterUnique(e *evaluator, v value, a arguments) (value, error) {
	p, err := a.bind("unique", 0, "case_sensitive", "attribute")
	if err != nil {
		return nil, err
	}
	items, err := e.iterate(v)
	if err != nil {
		return nil, err
	}
	keys, err := e.eachAttribute(items, p[1])
	if err != nil {
		return nil, err
	}
	seen := map[any]bool{}
	var out []value
	for i, k := range keys {
		h, err := e.hash(folded(k, truth(p[0])))
		if err != nil {
			return nil, err
		}
		if !seen[h] {
			seen[h] = true
			out = append(out, items[i])
		}
	}
	return generator(out), e.spend(len(items))
}

func filterExtreme(name string, sign int) filterFunc {
	return func(e *evaluator, v value, a arguments) (value, error) {
		p, err := a.bind(name, 0, "case_sensitive", "attribute")
		if err != nil {
			return nil, err
		}
		items, err := e.iterate(v)
		if err != nil {
			return nil, err
		}
		if len(items) == 0 {
			return undefined{message: "No aggregated item, sequence was empty."}, nil
		}
		keys, err := e.eachAttribute(items, p[1])
		if err != nil {
			return nil, err
		}
		best := 0
		for i := 1; i < len(keys); i++ {
			c, err := e.rank(folded(keys[i], truth(p[0])), folded(keys[best], truth(p[0])), "<")
			if err != nil {
				return nil, err
			}
			if c*sign > 0 {
				best = i
			}
		}
		return items[best], e.spend(len(items))
	}
}
