package engine

import (
	"context"
	"errors"
	"maps"
	"time"
)

// Snapshot is what an engine does now and what it did.
type Snapshot struct {
	MaxLen     int
	Running    int   // sequences that decode
	Prefilling int   // 0 or 1
	Waiting    int   // accepted, without a slot yet
	SlotTokens []int // tokens whose KV rows each slot holds

	// Of all sequences that ended:
	Finished                                     map[FinishReason]uint64
	Cancelled                                    uint64 // of those with FinishError, the ones whose request went away
	PromptTokens, CachedTokens, CompletionTokens uint64
	DraftTokens, AcceptedTokens                  uint64

	Steps    uint64
	StepTime time.Duration // spent in Forward and in what follows it
	Between  Histogram     // time between two tokens of a sequence
}

// add counts a sequence that ended.
func (s *Snapshot) add(seq *Sequence) {
	if s.Finished == nil {
		s.Finished = make(map[FinishReason]uint64)
	}
	s.Finished[seq.finish]++
	if seq.finish == FinishError && errors.Is(seq.ctx.Err(), context.Canceled) {
		s.Cancelled++
	}
	u := seq.usage()
	s.PromptTokens += uint64(u.PromptTokens)
	s.CachedTokens += uint64(u.CachedTokens)
	s.CompletionTokens += uint64(u.CompletionTokens)
	s.DraftTokens += uint64(u.DraftTokens)
	s.AcceptedTokens += uint64(u.AcceptedTokens)
}

// pulse tells whether the loop moves.
type pulse struct {
	since   time.Time     // when the step in progress began; zero between steps
	longest time.Duration // that a step took
}

// The bounds of Stalled: how much longer than the longest step one may take, and what it may take in any case.
const (
	stallFactor  = 10
	patience     = 10 * time.Second
	firstTimeout = 10 * time.Minute // for the very first step, which nothing can be compared with
)

// Stalled says whether the loop seems to hang: a step takes ten times as long as any before it.
func (e *Engine) Stalled() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	limit := max(stallFactor*e.pulse.longest, patience)
	if e.pulse.longest == 0 {
		limit = firstTimeout
	}
	return !e.pulse.since.IsZero() && time.Since(e.pulse.since) > limit
}

// begin records that a step begins.
func (e *Engine) begin(p *plan) time.Time {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pulse.since = now
	if p.admitted != nil {
		p.admitted.started = now
		e.leaveQueue(p.admitted)
	}
	return now
}

// finish records that a step has ended.
func (e *Engine) finish(begin time.Time) {
	took := time.Since(begin)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pulse.since = time.Time{}
	e.pulse.longest = max(e.pulse.longest, took)
	e.stats.Steps++
	e.stats.StepTime += took
	e.observe()
}

// observe copies the scheduler's state to where Snapshot finds it. The loop calls it, with mu held.
func (e *Engine) observe() {
	s := &e.stats
	s.Running, s.Waiting, s.Prefilling = e.sched.running, len(e.sched.waiting), 0
	if e.sched.prefill != nil {
		s.Prefilling = 1
	}
	copy(s.Between.Counts, e.between.Counts)
	s.Between.Sum = e.between.Sum
	s.SlotTokens = s.SlotTokens[:0]
	for i := range e.sched.slots {
		s.SlotTokens = append(s.SlotTokens, len(e.sched.slots[i].tokens))
	}
}

// Snapshot returns what the engine does and did.
func (e *Engine) Snapshot() Snapshot {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.stats
	s.MaxLen = e.info.MaxLen
	s.Waiting += len(e.arrivals)
	s.SlotTokens = append([]int(nil), s.SlotTokens...)
	s.Finished = maps.Clone(s.Finished)
	s.Between = s.Between.clone()
	return s
}
