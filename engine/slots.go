package engine

import "slices"

// admit gives the sequence whose turn it is the slot that serves it best.
func (s *Scheduler) admit(p *plan) {
	seq := s.takeWaiting()
	prompt := seq.tokens[:seq.prompt]
	best, common := s.longestPrefix(seq)
	at := best
	if common == 0 || s.slots[at].seq != nil || s.holdsMore(at, common) {
		at = s.oldestFree()
	}
	t := &s.slots[at]
	if common > 0 && at != best {
		p.moves = append(p.moves, move{dst: at, src: best, n: common})
		t.sure, t.high = s.slots[best].sure, s.slots[best].high
	}
	if common == 0 {
		t.high = 0
	}
	t.tokens = append(t.tokens[:0], prompt[:common]...)
	t.sure, t.scope, t.seq = min(t.sure, common), seq.scope, seq
	s.touch(at)
	seq.slot, seq.computed, seq.cached = at, common, common
	s.prefill, p.admitted = seq, seq
}

// takeWaiting removes the sequence whose turn it is from those that wait: of the group that was served the longest ago, the oldest of the
// lowest priority.
func (s *Scheduler) takeWaiting() *Sequence {
	at := 0
	for i, seq := range s.waiting {
		first := s.waiting[at]
		if s.served[seq.group] < s.served[first.group] || seq.group == first.group && seq.priority < first.priority {
			at = i
		}
	}
	seq := s.waiting[at]
	s.waiting = slices.Delete(s.waiting, at, at+1)
	s.tick++
	s.served[seq.group] = s.tick
	if len(s.waiting) == 0 {
		clear(s.served) // nobody is owed a turn, and groups must not pile up
		s.served[seq.group] = s.tick
	}
	return seq
}

// longestPrefix returns the slot that holds the most of the prompt's beginning that the sequence may use, and how many tokens. A
// free slot is preferred at a tie. At least two tokens are left to compute, see minChunk.
func (s *Scheduler) longestPrefix(seq *Sequence) (at, n int) {
	if seq.fresh || s.options.whole || seq.prompt <= 2 {
		return -1, 0
	}
	at = -1
	prompt := seq.tokens[:min(seq.prompt-2, seq.unscored())]
	open := 0 // how much of the prompt is of a shared text
	for _, shared := range s.options.shared {
		open = max(open, commonPrefix(shared, prompt))
	}
	for i := range s.slots {
		t := &s.slots[i]
		usable := len(t.tokens)
		if s.options.strict {
			usable = t.sure
		}
		if t.scope != seq.scope {
			usable = min(usable, open)
		}
		common := commonPrefix(t.tokens[:min(usable, len(t.tokens))], prompt)
		if !s.reaches(t, common) {
			continue
		}
		if common > n || common == n && n > 0 && s.slots[at].seq != nil && t.seq == nil {
			at, n = i, common
		}
	}
	return at, n
}

// reaches says whether the KV rows that a sequence of n tokens needs are still in the slot. Where old rows are overwritten they are there
// only if nothing followed.
func (s *Scheduler) reaches(t *slot, n int) bool {
	return s.options.wrap == 0 || t.high <= s.options.wrap || t.high == n
}

// holdsMore says whether slot at holds another conversation that would be lost if a sequence went on from its first n tokens, while
// there is a slot that nobody used for longer.
func (s *Scheduler) holdsMore(at, n int) bool {
	return n < len(s.slots[at].tokens)/2 && s.oldestFree() != at
}

// oldestFree returns the free slot that was not used for the longest time. There is one whenever running is less than the slots.
func (s *Scheduler) oldestFree() int {
	at := -1
	for i := s.running; i < len(s.slots); i++ {
		if s.slots[i].seq == nil && (at < 0 || s.slots[i].used < s.slots[at].used) {
			at = i
		}
	}
	return at
}

// swap exchanges two slots. The scratch slot behind the last one holds the third copy.
func (s *Scheduler) swap(a, b int) []move {
	if a == b {
		return nil
	}
	x, y := &s.slots[a], &s.slots[b]
	scratch := len(s.slots)
	var moves []move
	switch n, m := len(x.tokens), len(y.tokens); {
	case n == 0:
		moves = []move{{a, b, m}}
	case m == 0:
		moves = []move{{b, a, n}}
	default:
		moves = []move{{scratch, a, n}, {a, b, m}, {b, scratch, n}}
	}
	*x, *y = *y, *x
	for _, i := range []int{a, b} {
		if seq := s.slots[i].seq; seq != nil {
			seq.slot = i
		}
	}
	return moves
}

// touch marks a slot as the most recently used.
func (s *Scheduler) touch(i int) {
	s.tick++
	s.slots[i].used = s.tick
}

// forget drops what the free slots hold: their KV rows are not known to be right.
func (s *Scheduler) forget() {
	for i := range s.slots {
		if s.slots[i].seq == nil {
			s.slots[i].tokens, s.slots[i].sure = s.slots[i].tokens[:0], 0
		}
	}
}

// distrust drops what the sequence's slot holds: a run that failed may have written anything.
func (s *Scheduler) distrust(seq *Sequence) {
	t := &s.slots[seq.slot]
	t.tokens, t.sure = t.tokens[:0], 0
}

// commonPrefix returns how many tokens a and b begin with alike.
func commonPrefix(a, b []int32) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
