package grammar

import (
	"encoding/binary"
	"slices"
	"sync"
)

// What an automaton keeps and how large a state may be.
const (
	maxThreads = 20_000  // places of one state
	maxFrames  = 400_000 // frames and places of states that are kept; then all are forgotten
)

// automaton reads texts of one grammar. Its states are made when they are reached, and kept.
type automaton struct {
	mu      sync.Mutex
	root    *expr
	classes [256]uint8 // bytes that no expression tells apart have the same class
	bytes   []byte     // of each class, one
	frames  map[frameKey]*frame
	states  map[string]*state
	start   *state
	size    int // of what is kept
	ids     uint32
	work    int // places that were looked at
	masks   masks
	spare   []frame // that are not used yet: they are made many at a time

	// Used again by each step.
	leaves  []*frame
	round   uint32 // counts the sets of places
	seen    int    // places in the set
	key     []byte
	accepts bool
}

// frame is a place in an expression and what comes after it: a stack. Frames of equal content are one.
type frame struct {
	e     *expr
	n     int32 // of a literal: bytes read; of a cat: parts read; of a repeat: times read, at most min where there is no max; of a dfa: the state
	tail  *frame
	id    uint32 // from 1 on
	round uint32 // of the last set of places that it was in
	short int64  // bytes of the shortest completion
}

// frameKey has no padding, so that it is hashed and compared as plain memory.
type frameKey struct {
	e    *expr
	n    int32
	tail uint32 // its id; 0 where there is none
}

// state is a set of places, each in a literal, a set or a dfa.
type state struct {
	frames []*frame
	next   []*state // by class; nil is not known
	accept bool     // the text may end
	short  int64    // bytes of the shortest completion
	id     uint32   // from 1 on; 0 is dead
	only   int16    // the byte that must come next, noByte where there are several, none, or the text may end
}

const (
	noByte  = -1
	unknown = -2
)

// dead is where no text comes from.
var dead = &state{short: inf, only: noByte}

func newAutomaton(root *expr) *automaton {
	a := &automaton{root: root}
	a.classify()
	a.forget()
	return a
}

// forget drops what is kept. States that somebody holds stay usable.
func (a *automaton) forget() {
	a.frames, a.states, a.size, a.spare = make(map[frameKey]*frame), make(map[string]*state), 0, nil
	a.masks = masks{}
	a.begin()
	a.expand(a.root, 0, nil)
	a.start = a.state()
}

// classify finds the classes of bytes: it splits by each literal, set and dfa.
func (a *automaton) classify() {
	var cut [256]bool // a class begins here, whatever the sets say
	sets := make(map[byteSet]struct{})
	visited := make(map[*expr]struct{})
	stack := []*expr{a.root}
	for len(stack) > 0 {
		e := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		switch e.kind { // to look at a leaf again takes less time than to know that it was looked at
		case kindLiteral:
			for i := range len(e.lit) {
				cut[e.lit[i]] = true
			}
			continue
		case kindSet:
			sets[e.set] = struct{}{}
			continue
		}
		if _, ok := visited[e]; ok {
			continue
		}
		visited[e] = struct{}{}
		if e.dfa != nil {
			for _, s := range e.dfa.classSets {
				sets[s] = struct{}{}
			}
		}
		stack = append(stack, e.list...)
		if e.sub != nil {
			stack = append(stack, e.sub)
		}
	}
	a.classes, a.bytes = classesOf(sets, cut)
}

// classesOf returns the class of each byte and a byte of each class. Bytes of alone are in a class by themselves.
func classesOf(sets map[byteSet]struct{}, alone [256]bool) (classes [256]uint8, bytes []byte) {
	ids := [256]int{}
	n := 1
	for s := range sets {
		split := make(map[int]int, n)
		for b := range 256 {
			if s.has(byte(b)) {
				to, ok := split[ids[b]]
				if !ok {
					to = n
					n++
					split[ids[b]] = to
				}
				ids[b] = to
			}
		}
		n = compact(&ids)
	}
	for b := range 256 {
		if alone[b] {
			ids[b] = n
			n++
		}
	}
	n = compact(&ids)
	bytes = make([]byte, n)
	for b := 255; b >= 0; b-- {
		classes[b] = uint8(ids[b])
		bytes[ids[b]] = byte(b)
	}
	return classes, bytes
}

// compact numbers ids from 0 on in the order of the bytes and returns how many there are.
func compact(ids *[256]int) int {
	names := make(map[int]int)
	for b, id := range ids {
		to, ok := names[id]
		if !ok {
			to = len(names)
			names[id] = to
		}
		ids[b] = to
	}
	return len(names)
}

// frame returns the one frame of this content.
func (a *automaton) frame(e *expr, n int32, tail *frame) *frame {
	k := frameKey{e: e, n: n}
	if tail != nil {
		k.tail = tail.id
	}
	if f, ok := a.frames[k]; ok {
		return f
	}
	if len(a.spare) == 0 {
		a.spare = make([]frame, min(16+len(a.frames), 512))
	}
	f := &a.spare[0]
	a.spare = a.spare[1:]
	a.ids++
	*f = frame{e: e, n: n, tail: tail, id: a.ids, short: e.rest(n)}
	if tail != nil {
		f.short = add(f.short, tail.short)
	}
	a.frames[k] = f
	a.size++
	return f
}

// rest is the length of the shortest text from place n of e on.
func (e *expr) rest(n int32) int64 {
	switch e.kind {
	case kindLiteral:
		return int64(len(e.lit)) - int64(n)
	case kindCat:
		return e.suffix[n]
	case kindRepeat:
		return times(max(0, e.min-int(n)), e.sub.short)
	case kindDFA:
		return e.dfa.dist[n]
	}
	return e.short
}

// begin starts a new set of places.
func (a *automaton) begin() {
	a.leaves, a.accepts, a.seen = a.leaves[:0], false, 0
	a.round++
}

// expand adds the places that lie at place n of e, followed by tail, without a byte being read.
func (a *automaton) expand(e *expr, n int32, tail *frame) {
	if e.short == inf || a.seen > maxThreads {
		return
	}
	switch e.kind { // those that need no look whether they were seen: a leaf is seen when it is added
	case kindLiteral:
		if int(n) == len(e.lit) {
			a.pop(tail)
			return
		}
	case kindCat:
		if int(n) == len(e.list) {
			a.pop(tail)
			return
		}
	}
	a.work++
	here := a.frame(e, n, tail)
	if here.round == a.round {
		return
	}
	here.round = a.round
	a.seen++
	switch e.kind {
	case kindLiteral, kindSet:
		a.leaves = append(a.leaves, here)
	case kindDFA:
		if e.dfa.accept[n] {
			a.pop(tail)
		}
		if e.dfa.from[n] != (byteSet{}) {
			a.leaves = append(a.leaves, here)
		}
	case kindCat:
		after := tail
		if int(n)+1 < len(e.list) {
			after = a.frame(e, n+1, tail)
		}
		a.expand(e.list[n], 0, after)
	case kindAlt:
		for _, x := range e.list {
			a.expand(x, 0, tail)
		}
	case kindRef:
		a.expand(e.sub, 0, tail)
	case kindRepeat:
		if int(n) >= e.min {
			a.pop(tail)
		}
		if e.max < 0 || int(n) < e.max {
			to := n + 1
			if e.max < 0 && int(to) > e.min {
				to = int32(e.min)
			}
			a.expand(e.sub, 0, a.frame(e, to, tail))
		}
	}
}

// pop goes on with what comes after.
func (a *automaton) pop(f *frame) {
	if f == nil {
		a.accepts = true
		return
	}
	a.expand(f.e, f.n, f.tail)
}

// state returns the one state of the places that were added.
func (a *automaton) state() *state {
	if a.seen > maxThreads {
		return dead // to refuse is right, if not complete: nothing is let through that is not described
	}
	if len(a.leaves) == 0 && !a.accepts {
		return dead
	}
	slices.SortFunc(a.leaves, func(x, y *frame) int { return int(x.id) - int(y.id) })
	a.key = a.key[:0]
	if a.accepts {
		a.key = append(a.key, 1)
	}
	for _, f := range a.leaves {
		a.key = binary.LittleEndian.AppendUint32(a.key, f.id)
	}
	if s, ok := a.states[string(a.key)]; ok {
		return s
	}
	a.ids++
	s := &state{id: a.ids, frames: slices.Clone(a.leaves), accept: a.accepts, only: unknown}
	if !s.accept {
		s.short = inf
		for _, f := range s.frames {
			s.short = min(s.short, f.short)
		}
	}
	a.states[string(a.key)] = s
	a.size += len(s.frames) + 8
	return s
}

// step returns the state after one byte of class c.
func (a *automaton) step(s *state, c uint8) *state {
	if s.next == nil {
		if len(s.frames) == 0 {
			return dead
		}
		s.next = make([]*state, len(a.bytes))
		a.size += len(a.bytes) / 4
	}
	if t := s.next[c]; t != nil {
		return t
	}
	b := a.bytes[c]
	a.begin()
	for _, f := range s.frames {
		switch f.e.kind {
		case kindLiteral:
			if f.e.lit[f.n] == b {
				a.expand(f.e, f.n+1, f.tail)
			}
		case kindSet:
			if f.e.set.has(b) {
				a.pop(f.tail)
			}
		case kindDFA:
			if to := f.e.dfa.step(f.n, b); to >= 0 {
				a.expand(f.e, to, f.tail)
			}
		}
	}
	t := a.state()
	s.next[c] = t
	return t
}

// read returns the state after text.
func (a *automaton) read(s *state, text []byte) *state {
	for _, b := range text {
		if s = a.step(s, a.classes[b]); s == dead {
			break
		}
	}
	return s
}

// trim forgets what is kept where it has become too much. Call it between steps.
func (a *automaton) trim() {
	if a.size > maxFrames {
		a.forget()
	}
}

// onlyByte returns the byte that must come next, noByte where there is no such.
func (a *automaton) onlyByte(s *state) int16 {
	if s.only != unknown {
		return s.only
	}
	s.only = noByte
	if s.accept {
		return noByte
	}
	var next byteSet
	for _, f := range s.frames {
		switch f.e.kind {
		case kindLiteral:
			next.add(f.e.lit[f.n])
		case kindSet:
			next.union(f.e.set)
		case kindDFA:
			next.union(f.e.dfa.from[f.n])
		}
	}
	if b, ok := next.single(); ok {
		s.only = int16(b)
	}
	return s.only
}
