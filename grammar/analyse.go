package grammar

import "fmt"

// maxExprs is how many expressions a grammar may have.
const maxExprs = 400_000

// maxNullable is how often an expression that matches the empty text may be repeated where there is a bound: each of the repeats may be
// skipped, so that all of them have to be looked at.
const maxNullable = 64

// LimitError is the error for a grammar that is larger than what is compiled.
type LimitError struct{ Text string }

// Error implements error.
func (e *LimitError) Error() string { return "the grammar is too large: " + e.Text }

// analyse computes the length of the shortest text of every expression below root that was not analysed before, and refuses what the
// automaton cannot follow: a rule that comes back to itself without reading a byte.
func analyse(root *expr) error {
	a := analysis{}
	if err := a.collect(root); err != nil {
		for _, e := range a.seen {
			e.mark = markNone // it may be analysed later, once it is whole
		}
		return err
	}
	// Lengths only fall, from infinity on, until nothing changes. Expressions come after those they are made of, but for references
	// back, so that few rounds are needed.
	for changed := true; changed; {
		changed = false
		for _, e := range a.order {
			if s := e.shortest(); s < e.short {
				e.short, changed = s, true
			}
			if a.steps++; a.steps > 50*maxExprs {
				return &LimitError{"its rules refer to each other too deeply"}
			}
		}
	}
	for _, e := range a.order {
		if e.kind == kindCat {
			e.suffix = make([]int64, len(e.list)+1)
			for i := len(e.list) - 1; i >= 0; i-- {
				e.suffix[i] = add(e.list[i].short, e.suffix[i+1])
			}
		}
		if e.kind == kindRepeat && e.sub.short == 0 {
			if e.max > maxNullable {
				return &LimitError{fmt.Sprintf("what may be empty is repeated up to %d times, at most %d can be", e.max, maxNullable)}
			}
			e.min = 0 // the same texts, and no places that differ only by the empty repeats before them
		}
	}
	if err := a.leftRecursion(); err != nil {
		return err
	}
	for _, e := range a.order {
		e.done = true
	}
	return nil
}

// shortest returns the length of e's shortest text from those of its parts.
func (e *expr) shortest() int64 {
	var n int64
	switch e.kind {
	case kindCat:
		for _, x := range e.list {
			n = add(n, x.short)
		}
	case kindAlt:
		n = inf
		for _, x := range e.list {
			n = min(n, x.short)
		}
	case kindRepeat:
		n = times(e.min, e.sub.short)
	case kindRef:
		n = e.sub.short
	case kindDFA:
		n = e.dfa.dist[0]
	default:
		n = e.short
	}
	return n
}

// analysis is the work of analyse.
type analysis struct {
	seen  []*expr
	order []*expr // parts before wholes, but for references back
	steps int
}

// The marks of an expr during the analysis.
const (
	markNone int32 = iota
	markSeen
	markOpen
	markClosed
)

// visit is one expression of a walk, and which of its parts comes next.
type visit struct {
	e    *expr
	next int
}

// part returns part i of e; false where there is none.
func (e *expr) part(i int) (*expr, bool) {
	switch {
	case i < len(e.list):
		return e.list[i], true
	case i == 0 && e.sub != nil:
		return e.sub, true
	}
	return nil, false
}

// collect puts the expressions that are not analysed into order. Its stack is its own: a grammar may be as deep as it is long.
func (a *analysis) collect(root *expr) error {
	var stack []visit
	push := func(e *expr) {
		if !e.done && e.mark == markNone {
			e.mark, e.short = markSeen, inf
			a.seen = append(a.seen, e)
			stack = append(stack, visit{e: e})
		}
	}
	push(root)
	for len(stack) > 0 {
		v := &stack[len(stack)-1]
		if x, ok := v.e.part(v.next); ok {
			v.next++
			push(x)
			continue
		}
		if v.e.kind == kindRef && v.e.sub == nil {
			return fmt.Errorf("rule %q is not defined", v.e.name)
		}
		a.order = append(a.order, v.e)
		if len(a.order) > maxExprs {
			return &LimitError{fmt.Sprintf("it has more than %d parts", maxExprs)}
		}
		stack = stack[:len(stack)-1]
	}
	return nil
}

// leads says whether part i of e may come first in a text of e.
func (e *expr) leads(i int) bool {
	if e.kind != kindCat {
		return true
	}
	for _, x := range e.list[:i] {
		if x.short > 0 {
			return false
		}
	}
	return true
}

// leftRecursion refuses an expression that leads to itself.
func (a *analysis) leftRecursion() error {
	for _, root := range a.order {
		if root.mark != markSeen {
			continue
		}
		root.mark = markOpen
		stack := []visit{{e: root}}
		for len(stack) > 0 {
			v := &stack[len(stack)-1]
			x, ok := v.e.part(v.next)
			if !ok || !v.e.leads(v.next) {
				v.e.mark = markClosed
				stack = stack[:len(stack)-1]
				continue
			}
			v.next++
			if x.done || x.short == inf {
				continue
			}
			switch x.mark {
			case markOpen:
				name := x.name
				for i := len(stack) - 1; name == "" && i >= 0; i-- {
					name = stack[i].e.name
				}
				return fmt.Errorf("rule %q comes back to itself before it has read anything", name)
			case markSeen:
				x.mark = markOpen
				stack = append(stack, visit{e: x})
			}
		}
	}
	return nil
}
