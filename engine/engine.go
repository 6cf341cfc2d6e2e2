package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"ortserve/sample"
)

// Options are the limits and modes of an Engine.
type Options struct {
	Chunk       int  // prompt tokens a run while other sequences decode; while none does, and where it is 0, it is the model's
	Queue       int  // requests that may wait for a slot
	QueueTokens int  // prompt tokens that may wait, of all requests together; one request may always wait; 0 is no limit
	Speculate   bool // a sequence that runs alone verifies drafts from its own tokens
	// Strict gives a request the same bits whatever was computed before: only KV rows that prefill runs made are used again.
	Strict bool
	Shared [][]int32    // texts whose KV rows requests of every scope may use
	Logger *slog.Logger // slog.Default() where it is nil
}

// Engine generates sequences with one model. All methods may be called by several goroutines.
type Engine struct {
	model   Model
	info    ModelInfo
	options Options
	log     *slog.Logger
	wake    chan struct{} // holds one token when there is something for take
	done    chan struct{} // closed when the loop has returned

	mu       sync.Mutex
	arrivals []*Sequence   // accepted, not yet seen by the loop
	load     load          // of what is accepted and not ended
	closing  bool          // nothing more is accepted
	stop     bool          // the loop ends, and what runs with it
	idle     chan struct{} // closed when closing and nothing is active
	stats    Snapshot
	pulse    pulse

	// The loop's own.
	sched *Scheduler
	ended []*Sequence // of the step, its memory used again
	draws []drawn     // likewise
	// between is the time between two tokens of a sequence. Those of a draft that was right come at once.
	between Histogram
}

// New starts an engine on m. The caller closes the engine before the model.
func New(m Model, o Options) *Engine {
	info := m.Info()
	if o.Chunk <= 0 {
		o.Chunk = info.Chunk
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	draft := 0
	if o.Speculate && info.Wrap == 0 {
		draft = min(info.Logits, info.Chunk) - 1
	}
	e := &Engine{
		model:   m,
		info:    info,
		options: o,
		log:     o.Logger,
		wake:    make(chan struct{}, 1),
		done:    make(chan struct{}),
		idle:    make(chan struct{}),
		stats:   Snapshot{Between: newHistogram(betweenBounds)},
		between: newHistogram(betweenBounds),
		sched: newScheduler(schedulerOptions{
			slots: info.Slots, chunk: min(o.Chunk, info.Chunk), idle: info.Chunk,
			logits: info.Logits, draft: draft, strict: o.Strict, shared: o.Shared,
			rows: info.Rows, whole: info.Whole, wrap: info.Wrap,
		}),
	}
	go e.loop()
	return e
}

// Info returns the model's description.
func (e *Engine) Info() ModelInfo { return e.info }

// Submit accepts a request and returns its stream, which always ends with one event that has Finish set. When ctx ends, so does
// the sequence. The errors are ErrNoPrompt, ErrToken, ErrNoScores, *ContextLengthError, *ConstraintLengthError,
// *sample.ParamError, *OverloadedError, ErrClosed.
func (e *Engine) Submit(ctx context.Context, r Request) (*Stream, error) {
	switch {
	case len(r.Prompt) == 0:
		return nil, ErrNoPrompt
	case len(r.Prompt) >= e.info.MaxLen:
		return nil, &ContextLengthError{PromptTokens: len(r.Prompt), MaxLen: e.info.MaxLen}
	}
	for _, id := range r.Prompt {
		if id < 0 || int(id) >= e.info.Vocab {
			return nil, fmt.Errorf("%w: %d is not below the vocabulary's size %d", ErrToken, id, e.info.Vocab)
		}
	}
	if err := r.Params.Validate(); err != nil {
		return nil, err
	}
	if r.Score != nil && (e.info.Logits < minChunk || e.info.Whole && len(r.Prompt) > e.info.Logits) {
		return nil, ErrNoScores
	}
	if room := r.room(e.info.MaxLen); r.Constraint != nil && !r.Constraint.Limit(room) {
		return nil, &ConstraintLengthError{Room: room}
	}

	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing {
		return nil, ErrClosed
	}
	if err := e.admit(len(r.Prompt)); err != nil {
		return nil, err
	}
	seq := newSequence(ctx, r, e.info.MaxLen, time.Now())
	e.arrivals = append(e.arrivals, seq)
	e.signal()
	return seq.stream, nil
}

// Close accepts nothing more, waits until what runs has ended or ctx ends, then ends the rest and the loop. It returns ctx's error
// if sequences were cut.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	e.closing = true
	e.signal()
	e.mu.Unlock()

	var err error
	select {
	case <-e.idle:
	case <-e.done: // closed before
	case <-ctx.Done():
		err = ctx.Err()
	}
	e.mu.Lock()
	e.stop = true
	e.signal()
	e.mu.Unlock()
	<-e.done
	return err
}

// signal wakes the loop.
func (e *Engine) signal() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// loop is the goroutine that owns the model: it steps until Close ends it.
func (e *Engine) loop() {
	defer close(e.done)
	for {
		if stop := e.take(); stop {
			e.reset(ErrClosed)
			return
		}
		if !e.step() {
			<-e.wake
			continue
		}
		// Those who wait for the events come first. Once a run has begun, they would have to take a core from it, and the Go
		// runtime would wake up again and again to see whether the thread inside the run comes back.
		runtime.Gosched()
	}
}

// take hands new sequences to the scheduler and drops those whose request has gone. It says whether the loop has to end.
func (e *Engine) take() (stop bool) {
	e.mu.Lock()
	for _, seq := range e.arrivals {
		e.sched.add(seq)
	}
	e.arrivals = e.arrivals[:0]
	stop = e.stop
	if e.closing && e.load.active == 0 {
		select {
		case <-e.idle:
		default:
			close(e.idle)
		}
	}
	e.mu.Unlock()

	for _, seq := range e.sched.sequences() {
		if seq.ctx.Err() != nil {
			e.end(seq, context.Cause(seq.ctx))
		}
	}
	return stop
}

// step is the engine's three beats: schedule, Forward, advance. It returns false when there is nothing to do.
func (e *Engine) step() (worked bool) {
	defer e.fence(&worked)
	plan := e.sched.next()
	if len(plan.batch.Rows) == 0 {
		return false
	}
	begin := e.begin(plan)
	e.apply(plan.moves)
	logits, err := e.model.Forward(&plan.batch)
	if err == nil {
		e.sched.advance(plan)
		e.advance(plan, logits)
	} else {
		e.retry(plan, err)
	}
	e.finish(begin)
	return true
}

// advance samples the next token of every sequence whose tokens are all computed, and takes out those that end.
func (e *Engine) advance(p *plan, logits Logits) {
	if row, seq := p.batch.Rows[0], p.seqs[0]; len(row.Tokens) > 1 || seq == e.sched.prefill { // a prompt's, or a draft: the batch's only row
		e.sample(seq, row, logits)
	} else {
		for i, d := range e.drawAll(p, logits) {
			e.accept(p.seqs[i], d)
			e.settle(p.seqs[i])
		}
	}
	e.removeEnded()
}

// sample draws the tokens that follow a row: one, or, where the row holds a draft, as many as it was right and one more. A draft changes
// nothing about what is drawn: each token is drawn from the logits that follow the ones before it, and the draft goes on only while it is
// what was drawn.
func (e *Engine) sample(seq *Sequence, row Row, logits Logits) {
	first := 0
	if seq == e.sched.prefill {
		if err := e.score(seq, row, logits); err != nil {
			seq.fail(fmt.Errorf("%w: %w", ErrInternal, err))
			e.settle(seq)
			return
		}
		switch {
		case row.Past+len(row.Tokens) < seq.prompt: // its prompt goes on
			seq.advanced(time.Now())
			return
		case seq.noAnswer:
			seq.close(time.Now())
			e.settle(seq)
			return
		}
		first, row.Logits = row.Logits-1, 1
	}
	draft := row.Tokens[len(row.Tokens)-row.Logits+1:]
	right := 0
	for k := range row.Logits {
		d := seq.next(logits.Row(first + k))
		e.accept(seq, d)
		if seq.finish != "" || k == len(draft) || d.id != draft[k] {
			break
		}
		right++
	}
	if len(draft) > 0 {
		seq.drafts.verified(len(draft), right)
		e.sched.trim(seq)
	}
	e.settle(seq)
}

// accept gives a sequence the token that was drawn for it.
func (e *Engine) accept(seq *Sequence, d drawn) {
	switch {
	case errors.Is(d.err, sample.ErrBanned): // the request's own wish
		seq.fail(d.err)
		return
	case d.err != nil:
		seq.fail(fmt.Errorf("%w: %w", ErrInternal, d.err))
		return
	}
	now := time.Now()
	seq.advanced(now)
	if seq.constraint != nil {
		if err := seq.constraint.Accept(d.id); err != nil {
			seq.fail(fmt.Errorf("%w: %w", ErrInternal, err))
			return
		}
	}
	seq.sampler.Accept(d.id)
	if !seq.last.IsZero() {
		e.between.observe(now.Sub(seq.last))
	}
	seq.accept(d, now)
}

// settle follows the tokens that a step gave a sequence: it ends, or if its prompt has just been computed it decodes from here on.
func (e *Engine) settle(seq *Sequence) {
	switch {
	case seq.finish != "":
		e.ended = append(e.ended, seq)
	case seq == e.sched.prefill:
		e.apply(e.sched.join())
	}
}

// removeEnded takes out the sequences that ended in this step. It comes last, because slots move.
func (e *Engine) removeEnded() {
	for _, seq := range e.ended {
		e.remove(seq)
	}
	clear(e.ended)
	e.ended = e.ended[:0]
}

// retry follows a run that failed: each of its rows is run alone, which writes the same KV rows again, and only a sequence whose own
// run fails ends.
func (e *Engine) retry(p *plan, err error) {
	e.log.Error("a run of the model failed", "rows", len(p.batch.Rows), "error", err)
	for i, seq := range p.seqs {
		row := p.batch.Rows[i]
		if w := e.info.Wrap; w > 0 && row.Past+len(row.Tokens) > w { // the run may have overwritten old rows, and cannot be repeated
			seq.fail(fmt.Errorf("%w: %w", ErrInternal, err))
			e.ended = append(e.ended, seq)
			e.sched.distrust(seq)
			continue
		}
		one := plan{batch: Batch{Rows: []Row{row}, Idle: e.sched.held(row.Slot + 1)}, seqs: []*Sequence{seq}}
		logits, err := e.model.Forward(&one.batch)
		if err != nil {
			seq.fail(fmt.Errorf("%w: %w", ErrInternal, err))
			e.ended = append(e.ended, seq)
			e.sched.distrust(seq)
			continue
		}
		e.sched.advance(&one)
		e.sample(seq, row, logits)
	}
	e.removeEnded()
}

// apply changes the KV memory as the scheduler asks.
func (e *Engine) apply(moves []move) {
	for _, m := range moves {
		if err := e.model.Copy(m.dst, m.src, m.n); err != nil {
			panic(fmt.Errorf("copying %d tokens from slot %d to %d: %w", m.n, m.src, m.dst, err)) // fence ends all sequences: which rows are right is not known
		}
	}
}

// end ends seq with an error and takes it out.
func (e *Engine) end(seq *Sequence, err error) {
	seq.fail(err)
	e.remove(seq)
}

// remove takes out a sequence that has ended. Its last event comes after that: who has read it finds the slot free.
func (e *Engine) remove(seq *Sequence) {
	moves := e.sched.remove(seq)
	e.mu.Lock()
	e.account(seq)
	e.observe()
	e.mu.Unlock()
	seq.stream.put(seq.final)
	e.apply(moves)
}

// fence is deferred where the loop runs code that may panic: it ends every sequence, and the engine starts anew.
func (e *Engine) fence(worked *bool) {
	r := recover()
	if r == nil {
		return
	}
	e.log.Error("panic in the engine", "panic", r, "stack", string(debug.Stack()))
	e.reset(fmt.Errorf("%w: %v", ErrInternal, r))
	*worked = true
}

// reset ends every sequence with err and forgets what the slots hold.
func (e *Engine) reset(err error) {
	all := append(e.sched.sequences(), e.ended...)
	clear(e.ended)
	e.ended = e.ended[:0]
	e.sched.reset()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, seq := range all {
		if seq.gone {
			continue // it was taken out, or stands in both lists
		}
		if seq.finish == "" {
			seq.fail(err)
		}
		e.account(seq)
		seq.stream.put(seq.final)
	}
}
