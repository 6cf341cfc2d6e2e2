package engine

import "slices"

// Scheduler decides what runs next. It is pure: no clock, no goroutine, no model; its state is in its fields.
//
// Sequences that decode sit in slots [0,running). One sequence at a time prefills, in any slot at or above running; when its
// prompt is computed it is swapped into slot running and decodes from there. Slots keep the tokens of ended sequences, so
// that a later prompt which begins with them need not compute them again.
type Scheduler struct {
	options schedulerOptions
	slots   []slot
	running int         // slots [0,running) decode
	prefill *Sequence   // the sequence whose prompt is being computed, or nil
	waiting []*Sequence // in order of arrival
	served  map[string]uint64
	tick    uint64 // counts uses of slots and admissions
	turn    int    // slots [0,turn) have decoded in this round; a round is one run unless the model limits its rows
	decoded bool   // a round has ended: prefill has its turn
	plan    plan   // what next returns, its memory used again
	verify  []int32
}

// schedulerOptions are what a Scheduler is told once.
type schedulerOptions struct {
	slots  int
	chunk  int       // prompt tokens a run while others decode
	idle   int       // prompt tokens a run while none does
	logits int       // most rows of logits of a run
	draft  int       // most tokens of a draft; 0 is no speculation
	rows   int       // most rows of a run; 0 is any number
	whole  bool      // a prompt is one run, and none of it is taken from the cache
	wrap   int       // tokens of a slot from which on old KV rows are overwritten, and none can be taken back; 0 is never
	strict bool      // only rows that prefill computed are used again, so that the same prompt always meets the same bits
	shared [][]int32 // texts whose rows any scope may use
}

// slot is one row of KV memory.
type slot struct {
	tokens []int32   // whose KV rows the slot holds, from position 0 on
	sure   int       // of tokens, how many were computed by prefill runs
	high   int       // most tokens that it held since it was empty: those after len(tokens) were taken back
	scope  string    // of the sequence that computed them
	seq    *Sequence // nil where the slot is free
	used   uint64    // tick of the last use; the smallest is reused first
}

// move is a change to the KV memory that has to happen before the batch: the first n tokens of src are copied to dst.
type move struct{ dst, src, n int }

// plan is one step: moves, then a batch. An empty batch means that there is nothing to do.
type plan struct {
	admitted *Sequence // the sequence that got a slot, or nil
	moves    []move
	batch    Batch
	seqs     []*Sequence // of the batch's rows
}

// minChunk is the least a chunk may be: two tokens, because a run of one token inside a prompt rounds differently, and one
// more so that a rest of one can be avoided by a shorter chunk.
const minChunk = 3

// newScheduler returns a scheduler of empty slots.
func newScheduler(o schedulerOptions) *Scheduler {
	o.chunk, o.idle = max(o.chunk, minChunk), max(o.idle, minChunk)
	return &Scheduler{options: o, slots: make([]slot, o.slots), served: make(map[string]uint64)}
}

// add appends a sequence to those that wait.
func (s *Scheduler) add(seq *Sequence) { s.waiting = append(s.waiting, seq) }

// next returns the next step: decode rows of all running sequences and prefill chunks in turn. It is valid until the next call.
func (s *Scheduler) next() *plan {
	p := &s.plan
	p.admitted, p.moves, p.seqs, p.batch.Rows = nil, p.moves[:0], p.seqs[:0], p.batch.Rows[:0]
	if s.prefill == nil && len(s.waiting) > 0 && s.running < len(s.slots) {
		s.admit(p)
	}
	switch {
	case s.prefill != nil && (s.decoded || s.running == 0):
		s.decoded = false
		s.planPrefill(p)
	case s.running > 0:
		s.planDecode(p)
	}
	return p
}

// planDecode fills p with the next token of every running sequence, or of the next ones in turn, where the model runs fewer at once. A
// sequence that runs alone gets a draft to verify.
func (s *Scheduler) planDecode(p *plan) {
	first, end := 0, s.running
	if s.options.rows > 0 {
		if s.turn >= s.running {
			s.turn = 0
		}
		first, end = s.turn, min(s.turn+s.options.rows, s.running)
		s.turn = end
	}
	s.decoded = end == s.running
	for i := first; i < end; i++ {
		seq := s.slots[i].seq
		p.seqs = append(p.seqs, seq)
		p.batch.Rows = append(p.batch.Rows, Row{Slot: i, Past: seq.computed, Tokens: seq.tokens[seq.computed:], Logits: 1})
	}
	p.batch.Idle = s.held(end)
	if s.running == 1 && s.options.draft > 0 {
		row, seq := &p.batch.Rows[0], p.seqs[0]
		if draft := seq.draft(s.options.draft); len(draft) > 0 {
			s.verify = append(append(s.verify[:0], row.Tokens...), draft...)
			row.Tokens, row.Logits = s.verify, len(s.verify)
		}
	}
}

// planPrefill fills p with the next chunk of the prompt.
func (s *Scheduler) planPrefill(p *plan) {
	seq, limit := s.prefill, s.options.chunk
	if s.running == 0 {
		limit = s.options.idle
	}
	rest := seq.prompt - seq.computed
	if s.options.whole {
		limit = rest
	}
	n, logits := s.chunk(rest, limit), 0
	switch skip := seq.unscored(); {
	case seq.score == nil:
		if n == rest {
			logits = 1
		}
	case skip > 1:
		n = s.chunk(skip, limit)
	default: // as many as there may be logits
		n = s.chunk(rest, min(limit, s.options.logits))
		logits = n - skip
	}
	p.seqs = append(p.seqs, seq)
	p.batch.Rows = append(p.batch.Rows, Row{
		Slot: seq.slot, Past: seq.computed, Tokens: seq.tokens[seq.computed : seq.computed+n], Logits: logits,
	})
	p.batch.Idle = s.held(seq.slot + 1)
}

// queryTile is what the sizes of ONNX Runtime's tiles of queries are multiples of: its attention on the processor takes the new tokens of a
// run in tiles of twice the head size. A tile of one token is computed like a run of one token, see minChunk.
const queryTile = 16

// chunk returns how many of rest tokens to compute in one run of at most limit. The runs of a prompt are of about the same length, because
// a short one uses the matrix products badly, and none leaves a single token, see minChunk. Where every bit counts no run ends in a tile of
// one token.
func (s *Scheduler) chunk(rest, limit int) int {
	n := rest
	if rest > limit {
		runs := (rest + limit - 1) / limit
		n = (rest + runs - 1) / runs
		if n == rest-1 {
			n--
		}
	}
	if s.options.strict && !s.options.whole && n > queryTile && n%queryTile == 1 {
		n -= 2
	}
	return n
}

// held is how many tokens slot i holds; the scratch slot holds none.
func (s *Scheduler) held(i int) int {
	if i == len(s.slots) {
		return 0
	}
	return len(s.slots[i].tokens)
}

// advance records that the rows of p's batch are in the KV memory.
func (s *Scheduler) advance(p *plan) {
	for i, r := range p.batch.Rows {
		seq, t := p.seqs[i], &s.slots[r.Slot]
		if seq.prefilling() {
			t.sure = r.Past + len(r.Tokens)
		}
		seq.computed = r.Past + len(r.Tokens)
		t.tokens = append(t.tokens, r.Tokens...)
		t.high = max(t.high, len(t.tokens))
		s.touch(r.Slot)
	}
}

// trim forgets the rows of draft tokens that were wrong: those that the sequence does not have, or not yet.
func (s *Scheduler) trim(seq *Sequence) {
	n := min(seq.computed, len(seq.tokens)-1)
	t := &s.slots[seq.slot]
	seq.computed, t.tokens = n, t.tokens[:n]
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

// reset drops everything.
func (s *Scheduler) reset() {
	for i := range s.slots {
		s.slots[i].seq = nil
	}
	s.forget()
	s.running, s.prefill, s.waiting = 0, nil, nil
}
