package engine

import "slices"

// Scheduler decides what runs next. It is pure: no clock, no goroutine, no model; the state is in its fields, and next and
// done are all that changes it.
//
// Sequences that decode sit in slots [0,running). One sequence at a time prefills, in any slot at or above running; when its
// prompt is computed it is swapped into slot running and decodes from there. Slots keep the tokens of ended sequences, so
// that a later prompt which begins with them need not compute them again.
type Scheduler struct {
	slots   []slot
	running int         // slots [0,running) decode
	prefill *Sequence   // the sequence whose prompt is being computed, or nil
	waiting []*Sequence // in order of arrival
	chunk   int         // prompt tokens a run while others decode
	idle    int         // prompt tokens a run while none does
	tick    uint64      // counts uses of slots
	decoded bool        // the batch before was a decode batch: prefill has its turn
	plan    plan        // what next returns, its memory used again
}

// slot is one row of KV memory.
type slot struct {
	tokens []int32   // whose KV rows the slot holds, from position 0 on
	seq    *Sequence // nil where the slot is free
	used   uint64    // tick of the last use; the smallest is reused first
}

// move is a change to the KV memory that has to happen before the batch: the first n tokens of src are copied to dst.
type move struct{ dst, src, n int }

// plan is one step: moves, then a batch. An empty batch means that there is nothing to do.
type plan struct {
	moves []move
	batch Batch
	seqs  []*Sequence // of the batch's rows
}

// newScheduler returns a scheduler of that many slots.
func newScheduler(slots, chunk, idle int) *Scheduler {
	return &Scheduler{slots: make([]slot, slots), chunk: max(chunk, minChunk), idle: max(idle, minChunk)}
}

// minChunk is the least a chunk may be: two tokens, because a run of one token inside a prompt rounds differently, and one
// more so that a rest of one can be avoided by a shorter chunk.
const minChunk = 3

// add appends a sequence to those that wait.
func (s *Scheduler) add(seq *Sequence) { s.waiting = append(s.waiting, seq) }

// next returns the next step: decode rows of all running sequences and prefill chunks in turn. It is valid until the next call.
func (s *Scheduler) next() *plan {
	p := &s.plan
	p.moves, p.seqs, p.batch.Rows = p.moves[:0], p.seqs[:0], p.batch.Rows[:0]
	if s.prefill == nil && len(s.waiting) > 0 && s.running < len(s.slots) {
		s.admit(p)
	}
	switch {
	case s.prefill != nil && (s.decoded || s.running == 0):
		s.decoded = false
		s.planPrefill(p)
	case s.running > 0:
		s.decoded = true
		s.planDecode(p)
	}
	return p
}

// planDecode fills p with the next token of every running sequence.
func (s *Scheduler) planDecode(p *plan) {
	for i := range s.running {
		seq := s.slots[i].seq
		p.seqs = append(p.seqs, seq)
		p.batch.Rows = append(p.batch.Rows, Row{Slot: i, Past: seq.computed, Tokens: seq.tokens[seq.computed:]})
	}
}

// planPrefill fills p with the next chunk of the prompt.
func (s *Scheduler) planPrefill(p *plan) {
	seq := s.prefill
	n := s.chunk
	if s.running == 0 {
		n = s.idle
	}
	rest := seq.prompt - seq.computed
	if n >= rest {
		n = rest
	} else if n == rest-1 {
		n-- // leave two
	}
	p.seqs = append(p.seqs, seq)
	p.batch.Rows = append(p.batch.Rows, Row{Slot: seq.slot, Past: seq.computed, Tokens: seq.tokens[seq.computed : seq.computed+n]})
}

// admit takes the first waiting sequence into the slot that serves it best.
func (s *Scheduler) admit(p *plan) {
	seq := s.waiting[0]
	s.waiting = slices.Delete(s.waiting, 0, 1)
	prompt := seq.tokens[:seq.prompt]

	best, common := -1, 0 // the slot with the longest common prefix; a free one at a tie
	for i := range s.slots {
		n := commonPrefix(s.slots[i].tokens, prompt)
		if n > common || n == common && n > 0 && s.slots[best].seq != nil && s.slots[i].seq == nil {
			best, common = i, n
		}
	}
	common = min(common, seq.prompt-2) // at least two tokens are computed, see minChunk
	at := best
	if common <= 0 || s.slots[at].seq != nil {
		at = s.oldestFree()
		if common > 0 {
			p.moves = append(p.moves, move{dst: at, src: best, n: common})
		}
	}
	common = max(common, 0)
	t := &s.slots[at]
	t.tokens = append(t.tokens[:0], prompt[:common]...)
	t.seq = seq
	s.touch(at)
	seq.slot, seq.computed, seq.cached = at, common, common
	s.prefill = seq
}

// oldestFree returns the free slot that was not used for the longest time. There is one.
func (s *Scheduler) oldestFree() int {
	at := -1
	for i := s.running; i < len(s.slots); i++ {
		if s.slots[i].seq == nil && (at < 0 || s.slots[i].used < s.slots[at].used) {
			at = i
		}
	}
	return at
}

// advance records that the rows of p's batch are in the KV memory. It returns a sequence for each row whose next token can be
// sampled, and nil for a row after which the prompt goes on.
func (s *Scheduler) advance(p *plan) []*Sequence {
	for i, r := range p.batch.Rows {
		seq := p.seqs[i]
		seq.computed += len(r.Tokens)
		t := &s.slots[r.Slot]
		t.tokens = append(t.tokens, r.Tokens...)
		s.touch(r.Slot)
		if seq.prefilling() {
			p.seqs[i] = nil
		}
	}
	return p.seqs
}

// join lets the prefilled sequence decode: it comes to the end of the dense rows.
func (s *Scheduler) join() []move {
	seq := s.prefill
	s.prefill = nil
	moves := s.swap(s.running, seq.slot)
	s.running++
	return moves
}

// remove takes an ended sequence out; its slot stays as a prefix for others. The last running one takes its place.
func (s *Scheduler) remove(seq *Sequence) []move {
	if i := slices.Index(s.waiting, seq); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
		return nil
	}
	s.slots[seq.slot].seq = nil
	if seq == s.prefill {
		s.prefill = nil
		return nil
	}
	s.running--
	return s.swap(seq.slot, s.running)
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
			s.slots[i].tokens = s.slots[i].tokens[:0]
		}
	}
}

// reset drops everything.
func (s *Scheduler) reset() {
	for i := range s.slots {
		s.slots[i].seq = nil
	}
	s.forget()
	s.running, s.prefill, s.waiting = 0, nil, nil
}

// sequences returns all that the scheduler holds: running, prefilling, waiting.
func (s *Scheduler) sequences() []*Sequence {
	var all []*Sequence
	for i := range s.slots {
		if seq := s.slots[i].seq; seq != nil {
			all = append(all, seq)
		}
	}
	return append(all, s.waiting...)
}

// commonPrefix returns how many tokens a and b begin with alike.
func commonPrefix(a, b []int32) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
