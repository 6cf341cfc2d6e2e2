package engine

import (
	"fmt"
	"time"
)

// load is what an engine has accepted and not ended.
type load struct {
	active  int           // sequences
	waiting int           // prompt tokens of those without a slot
	service time.Duration // how long a sequence held its slot, a moving average
}

// The bounds of OverloadedError.RetryAfter.
const (
	shortestRetry = time.Second
	longestRetry  = time.Minute
)

// admit counts one more sequence of that many prompt tokens, or says that there is no room. The caller holds mu.
func (e *Engine) admit(prompt int) error {
	l, o := &e.load, &e.options
	switch {
	case l.active >= e.info.Slots+o.Queue:
		return &OverloadedError{
			Text:       fmt.Sprintf("%d requests run or wait, the limits are %d (--slots) and %d (--queue)", l.active, e.info.Slots, o.Queue),
			RetryAfter: e.retryAfter(),
		}
	case o.QueueTokens > 0 && l.waiting > 0 && l.waiting+prompt > o.QueueTokens:
		return &OverloadedError{
			Text:       fmt.Sprintf("%d prompt tokens wait and the request has %d, the limit is %d (--queue-tokens)", l.waiting, prompt, o.QueueTokens),
			RetryAfter: e.retryAfter(),
		}
	}
	l.active++
	l.waiting += prompt
	return nil
}

// retryAfter is when a slot is expected for a request that comes now.
func (e *Engine) retryAfter() time.Duration {
	turns := 1 + (e.load.active-e.info.Slots)/e.info.Slots
	return min(max(e.load.service*time.Duration(max(turns, 1)), shortestRetry), longestRetry)
}

// account takes an ended sequence out of the load and into the statistics. The caller holds mu.
func (e *Engine) account(seq *Sequence) {
	seq.gone = true
	e.load.active--
	e.leaveQueue(seq)
	if !seq.started.IsZero() {
		took := time.Since(seq.started)
		if e.load.service == 0 {
			e.load.service = took
		}
		e.load.service += (took - e.load.service) / 8
	}
	e.stats.add(seq)
}

// leaveQueue counts seq as no longer waiting. The caller holds mu.
func (e *Engine) leaveQueue(seq *Sequence) {
	if !seq.dequeued {
		seq.dequeued = true
		e.load.waiting -= seq.prompt
	}
}
