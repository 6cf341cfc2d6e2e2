package template

// loop is the variable loop inside a for block.
type loop struct {
	items []value
	at    int
	last  []value // what changed() was given before; nil at first
}

// attribute returns a part of the loop.
func (l *loop) attribute(name string) (value, bool) {
	n := int64(len(l.items))
	i := int64(l.at)
	switch name {
	case "index":
		return i + 1, true
	case "index0":
		return i, true
	case "revindex":
		return n - i, true
	case "revindex0":
		return n - i - 1, true
	case "first":
		return i == 0, true
	case "last":
		return i == n-1, true
	case "length":
		return n, true
	case "depth":
		return int64(1), true
	case "depth0":
		return int64(0), true
	case "previtem":
		if l.at == 0 {
			return undefined{message: "there is no previous item"}, true
		}
		return l.items[l.at-1], true
	case "nextitem":
		if l.at+1 == len(l.items) {
			return undefined{message: "there is no next item"}, true
		}
		return l.items[l.at+1], true
	case "cycle":
		return &function{"cycle", func(_ *evaluator, a arguments) (value, error) {
			if len(a.positional) == 0 {
				return nil, typeErrorf("no items for cycling given")
			}
			return a.positional[l.at%len(a.positional)], nil
		}}, true
	case "changed":
		return &function{"changed", func(e *evaluator, a arguments) (value, error) {
			same := false
			if l.last != nil {
				var err error
				if same, err = e.equalItems(l.last, a.positional, 0); err != nil {
					return nil, err
				}
			}
			l.last = append([]value{}, a.positional...)
			return !same, nil
		}}, true
	}
	return nil, false
}
