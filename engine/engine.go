package engine

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// Options are the limits of an Engine. The zero value of a field takes the default in brackets.
type Options struct {
	Chunk  int          // prompt tokens a run while other sequences decode [128]; while none does it is the model's
	Queue  int          // requests that may wait for a slot [64]
	Logger *slog.Logger // [slog.Default()]
}

// Engine generates sequences with one model. All methods may be called by several goroutines.
type Engine struct {
	model Model
	info  ModelInfo
	limit int // sequences accepted and not ended: slots and queue
	log   *slog.Logger
	wake  chan struct{} // holds one token when there is something for take
	done  chan struct{} // closed when the loop has returned

	mu       sync.Mutex
	arrivals []*Sequence   // accepted, not yet seen by the loop
	active   int           // accepted and not ended
	closing  bool          // nothing more is accepted
	stop     bool          // the loop ends, and what runs with it
	idle     chan struct{} // closed when closing and nothing is active
	stats    Snapshot

	// The loop's own.
	sched *Scheduler
	ended []*Sequence // of the step, its memory used again
}

// New starts an engine on m. The caller closes the engine before the model.
func New(m Model, o Options) *Engine {
	info := m.Info()
	if o.Chunk <= 0 {
		o.Chunk = 128
	}
	if o.Queue <= 0 {
		o.Queue = 64
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	e := &Engine{
		model: m,
		info:  info,
		limit: info.Slots + o.Queue,
		log:   o.Logger,
		wake:  make(chan struct{}, 1),
		done:  make(chan struct{}),
		idle:  make(chan struct{}),
		sched: newScheduler(info.Slots, min(o.Chunk, info.Chunk), info.Chunk),
	}
	go e.loop()
	return e
}

// Info returns the model's description.
func (e *Engine) Info() ModelInfo { return e.info }

// Submit accepts a request and returns its stream, which always ends with one event that has Finish set. When ctx ends, so does
// the sequence. The errors are ErrNoPrompt, *ContextLengthError, *sample.ParamError, ErrOverloaded, ErrClosed.
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

	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closing:
		return nil, ErrClosed
	case e.active >= e.limit:
		return nil, fmt.Errorf("%w: %d requests run or wait (--slots and --queue)", ErrOverloaded, e.active)
	}
	seq := newSequence(ctx, r, e.info.MaxLen, time.Now())
	e.active++
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
		}
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
	if e.closing && e.active == 0 {
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
	begin := time.Now()
	e.apply(plan.moves)
	logits, err := e.model.Forward(&plan.batch)
	if err != nil {
		e.log.Error("a run of the model failed", "rows", len(plan.batch.Rows), "error", err)
		for _, seq := range slices.Clone(plan.seqs) {
			e.end(seq, fmt.Errorf("%w: %w", ErrInternal, err))
		}
		e.sched.forget() // what the run has written is not known
		return true
	}
	e.advance(plan, begin, logits)
	e.count(time.Since(begin))
	return true
}

// advance samples the next token of every sequence whose tokens are all computed, and takes out those that end.
func (e *Engine) advance(p *plan, begin time.Time, logits Logits) {
	for _, seq := range p.seqs {
		if seq.started.IsZero() {
			seq.started = begin
		}
	}
	ended := e.ended[:0]
	for i, seq := range e.sched.advance(p) {
		if seq == nil {
			continue // its prompt goes on
		}
		id, err := seq.sampler.Sample(logits.Row(i))
		if err != nil {
			seq.fail(fmt.Errorf("%w: %w", ErrInternal, err))
		} else {
			seq.accept(id, time.Now())
		}
		if seq.finish != "" {
			ended = append(ended, seq)
		} else if seq == e.sched.prefill {
			e.apply(e.sched.join())
		}
	}
	for _, seq := range ended {
		e.remove(seq)
	}
	e.ended = ended
}

// apply changes the KV memory as the scheduler asks.
func (e *Engine) apply(moves []move) {
	for _, m := range moves {
		if err := e.model.Copy(m.dst, m.src, m.n); err != nil {
			panic(fmt.Errorf("copying %d tokens from slot %d to %d: %w", m.n, m.src, m.dst, err)) // fence ends all sequences: which rows are right is not known
		}
	}
}

// end gives seq its last event, an error, and takes it out.
func (e *Engine) end(seq *Sequence, err error) {
	seq.fail(err)
	e.remove(seq)
}

// remove takes out a sequence that has had its last event.
func (e *Engine) remove(seq *Sequence) {
	moves := e.sched.remove(seq)
	e.mu.Lock()
	e.active--
	e.stats.add(seq)
	e.observe()
	e.mu.Unlock()
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
	all := e.sched.sequences()
	e.sched.reset()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, seq := range all {
		if seq.finish == "" {
			seq.fail(err)
			e.active--
			e.stats.add(seq)
		}
	}
}
