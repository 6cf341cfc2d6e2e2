package grammar

import (
	"fmt"
	"slices"
)

// What a product may take, and all products of one schema together: states, and places looked at.
const (
	maxDFA  = 20_000
	maxSeen = 300_000
)

// dfa is a deterministic automaton over bytes. Its first state is 0, and from every state a state that accepts can be reached.
type dfa struct {
	classes   [256]uint8
	classSets []byteSet // the bytes of each class
	next      []int32   // [states, classes], -1 is dead
	accept    []bool
	dist      []int64   // bytes to the nearest state that accepts
	from      []byteSet // the bytes that lead on
}

// step returns the state after b, -1 where there is none.
func (d *dfa) step(s int32, b byte) int32 {
	return d.next[int(s)*len(d.classSets)+int(d.classes[b])]
}

// factor is a part of a product: an expression, or what it does not match.
type factor struct {
	e   *expr
	not bool
}

// product returns what all factors match; nothing, where that is so. The factors' expressions must be regular: a reference to what lies
// above is an error, as are products of too many states. The work is taken from the budget.
func product(budget *int, what string, factors ...factor) (*expr, error) {
	p := &producer{budget: budget}
	for _, f := range factors {
		if err := analyse(f.e); err != nil {
			return nil, err
		}
		if f.e.short == inf && !f.not {
			return nothing, nil
		}
		a := newAutomaton(f.e)
		p.parts = append(p.parts, a)
		p.not = append(p.not, f.not)
		p.numbers = append(p.numbers, make(map[uint64]uint32))
	}
	if err := p.explore(what); err != nil {
		return nil, err
	}
	d := p.trim()
	if d == nil {
		return nothing, nil
	}
	return dfaExpr(d), nil
}

func dfaExpr(d *dfa) *expr {
	return &expr{kind: kindDFA, dfa: d, short: d.dist[0], done: true}
}

// producer explores a product of automata.
type producer struct {
	budget    *int
	parts     []*automaton
	not       []bool
	classes   [256]uint8
	classSets []byteSet
	bytes     []byte              // of each class, one
	numbers   []map[uint64]uint32 // of the first i+1 parts' states: by the number of the first i and the id of the next; the last are the product's
	tuples    []*state            // of each state of the product, one of each part
	next      []int32
	accept    []bool
}

func (p *producer) explore(what string) error {
	sets := make(map[byteSet]struct{})
	for _, a := range p.parts {
		of := make([]byteSet, len(a.bytes))
		for b := range 256 {
			of[a.classes[b]].add(byte(b))
		}
		for _, s := range of {
			sets[s] = struct{}{}
		}
	}
	p.classes, p.bytes = classesOf(sets, [256]bool{})
	p.classSets = make([]byteSet, len(p.bytes))
	for b := range 256 {
		p.classSets[p.classes[b]].add(byte(b))
	}
	start := make([]*state, len(p.parts))
	for i, a := range p.parts {
		start[i] = a.start
	}
	intern := func(t []*state) int32 {
		id, fresh := uint32(0), false
		for i, s := range t {
			if i == 0 && len(t) > 1 { // any number will do, and a state has one
				id = uint32(s.id)
				continue
			}
			k := uint64(id)<<32 | uint64(s.id)
			known, ok := p.numbers[i][k]
			if !ok {
				known = uint32(len(p.numbers[i]))
				p.numbers[i][k] = known
			}
			id, fresh = known, !ok
		}
		if fresh {
			p.tuples = append(p.tuples, t...)
			accept := true
			for i, s := range t {
				accept = accept && s.accept != p.not[i]
			}
			p.accept = append(p.accept, accept)
		}
		return int32(id)
	}
	for i, s := range start {
		if s == dead && !p.not[i] {
			return nil
		}
	}
	intern(start)
	t := make([]*state, len(p.parts))
	p.next = make([]int32, 0, 256*len(p.bytes))
	for at := 0; at != len(p.accept); at++ { // they grow
		if len(p.accept) > maxDFA {
			return &LimitError{fmt.Sprintf("%s takes more than %d states", what, maxDFA)}
		}
		if *p.budget -= len(p.bytes) / 4; *p.budget < 0 {
			return &LimitError{what + " takes too long to compile"}
		}
		for c := range p.bytes {
			to := int32(-1)
			if p.step(t, p.tuples[at*len(p.parts):], p.bytes[c]) {
				to = intern(t)
			}
			p.next = append(p.next, to)
		}
	}
	return nil
}

// step sets to to what follows each of from after a byte; false says that nothing follows all of them.
func (p *producer) step(to, from []*state, b byte) bool {
	for i, a := range p.parts {
		a.work = 0
		to[i] = a.step(from[i], a.classes[b])
		*p.budget -= a.work
		if to[i] == dead && !p.not[i] {
			return false
		}
	}
	return true
}

// trim leaves out the states from which no accepting one is reached, and returns nil where none is left.
func (p *producer) trim() *dfa {
	n, k := len(p.accept), len(p.classSets)
	// The states before each, one after the other: those of state s are before[at[s]:at[s+1]].
	at := make([]int32, n+1)
	for _, to := range p.next {
		if to >= 0 {
			at[to+1]++
		}
	}
	for s := range n {
		at[s+1] += at[s]
	}
	before := make([]int32, at[n])
	free := slices.Clone(at[:n])
	for i, to := range p.next {
		if to >= 0 {
			before[free[to]] = int32(i / k)
			free[to]++
		}
	}
	dist := make([]int64, n)
	var queue []int32
	for s := range dist {
		dist[s] = inf
		if p.accept[s] {
			dist[s] = 0
			queue = append(queue, int32(s))
		}
	}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		for _, b := range before[at[s]:at[s+1]] {
			if dist[b] == inf {
				dist[b] = dist[s] + 1
				queue = append(queue, b)
			}
		}
	}
	if n == 0 || dist[0] == inf {
		return nil
	}
	d := &dfa{classes: p.classes, classSets: p.classSets}
	names := make([]int32, n)
	for s := range n {
		names[s] = -1
		if dist[s] < inf {
			names[s] = int32(len(d.dist))
			d.dist = append(d.dist, dist[s])
			d.accept = append(d.accept, p.accept[s])
		}
	}
	for s := range n {
		if names[s] < 0 {
			continue
		}
		var from byteSet
		for c := range k {
			to := p.next[s*k+c]
			if to >= 0 {
				to = names[to]
			}
			if to >= 0 {
				from.union(p.classSets[c])
			}
			d.next = append(d.next, to)
		}
		d.from = append(d.from, from)
	}
	return d
}

// untrimmed is the expression of an automaton that has states from which none that accepts is reached: for products alone, which leave
// them out. Of d, dist and from are still to be made.
func untrimmed(d *dfa) *expr {
	k := len(d.classSets)
	d.dist = make([]int64, len(d.accept))
	for s := range d.accept {
		var from byteSet
		for c := range k {
			if d.next[s*k+c] >= 0 {
				from.union(d.classSets[c])
			}
		}
		d.from = append(d.from, from)
	}
	return dfaExpr(d)
}
