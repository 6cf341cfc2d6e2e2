package template

// matcher finds control tokens: a tree of their bytes.
type matcher struct {
	next    map[byte]*matcher
	end     bool
	longest int // of the root: bytes of the longest token
}

func newMatcher(tokens []string) *matcher {
	root := &matcher{}
	for _, token := range tokens {
		m := root
		for i := range len(token) {
			if m.next == nil {
				m.next = map[byte]*matcher{}
			}
			if m.next[token[i]] == nil {
				m.next[token[i]] = &matcher{}
			}
			m = m.next[token[i]]
		}
		m.end = m != root
		root.longest = max(root.longest, len(token))
	}
	return root
}

// literal returns the bytes of t from outside that are in what looks like a control token, wholly or partly.
func (root *matcher) literal(t text) [][2]int {
	var ranges [][2]int
	done := 0 // tokens that begin before it were looked for
	for i, o := range t.out {
		for at := max(done, o.from-root.longest+1, 0); at < o.to; at++ {
			done = at + 1
			m := root
			for end := at; m != nil; end++ {
				if m.end && end > o.from {
					ranges = mark(ranges, t.out[i:], at, end)
				}
				if end == len(t.s) {
					break
				}
				m = m.next[t.s[end]]
			}
		}
	}
	return ranges
}

// mark adds the parts of [from, to) that are in spans, which begin with the first that it can touch.
func mark(ranges [][2]int, spans []span, from, to int) [][2]int {
	for _, o := range spans {
		if o.from >= to {
			break
		}
		a, b := max(o.from, from), min(o.to, to)
		if n := len(ranges); n > 0 && a <= ranges[n-1][1] {
			ranges[n-1][1] = max(ranges[n-1][1], b)
		} else {
			ranges = append(ranges, [2]int{a, b})
		}
	}
	return ranges
}
