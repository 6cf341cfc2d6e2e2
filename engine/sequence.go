package engine

import (
	"context"
	"slices"
	"time"

	"ortserve/grammar"
	"ortserve/sample"
)

// Sequence is the timeline of one request. Only the loop touches it after Submit.
type Sequence struct {
	ctx    context.Context //nolint:containedctx // the request's; it crosses into the loop with the sequence
	stream *Stream

	tokens     []int32 // the prompt, then what was sampled
	prompt     int     // how many of tokens are the prompt
	limit      int     // len(tokens) at which the sequence ends
	stopTokens []int32
	sampler    *sample.Sampler
	constraint *grammar.Matcher // nil where any token may come
	text       Detokenizer
	stop       stopMatcher
	drafts     drafter
	logprobs   *Logprobs
	raw        []float32 // the logits before the sampler changes them, where logprobs are wanted
	aligned    aligner
	score      *Score
	noAnswer   bool

	group, scope string
	priority     int
	fresh        bool // nothing that is cached is used
	progress     bool // the stream is told how far the prompt is
	dequeued     bool // it no longer counts as waiting
	gone         bool // it no longer counts at all

	slot     int // valid while the scheduler holds the sequence in one
	computed int // tokens whose KV rows are in the slot
	cached   int // of computed, those that were there when the sequence came

	submitted, started, first, last time.Time
	finish                          FinishReason // set once the sequence has ended
	final                           Event        // the last one, sent when the sequence's slot is free
}

// newSequence returns the sequence of a valid request.
func newSequence(ctx context.Context, r Request, maxLen int, now time.Time) *Sequence {
	return &Sequence{
		ctx:        ctx,
		stream:     newStream(),
		tokens:     slices.Grow(slices.Clone(r.Prompt), min(r.room(maxLen), 512)),
		prompt:     len(r.Prompt),
		limit:      len(r.Prompt) + r.room(maxLen),
		stopTokens: r.StopTokens,
		sampler:    sample.NewSampler(r.Params, r.Prompt),
		constraint: r.Constraint,
		text:       r.Detokenizer,
		stop:       stopMatcher{stops: r.Stop},
		drafts:     newDrafter(),
		logprobs:   r.Logprobs,
		score:      r.Score,
		noAnswer:   r.NoAnswer,
		group:      r.Group,
		priority:   r.Priority,
		scope:      r.Scope,
		fresh:      r.Fresh,
		progress:   r.Progress,
		submitted:  now,
	}
}

// accept takes a sampled token: it appends it, emits the text that it completes, and sets finish and final if the sequence ends.
// The order of the checks is that of the field: stop token, length, text, stop string. A text that its constraint lets nothing follow ends as if a
// stop token had come, and so does one that is complete when the limit is reached.
func (s *Sequence) accept(d drawn, now time.Time) {
	if s.first.IsZero() {
		s.first = now
	}
	s.last = now
	s.tokens = append(s.tokens, d.id)
	event := Event{Tokens: s.tokens[len(s.tokens)-1:]}

	found := false
	if slices.Contains(s.stopTokens, d.id) {
		event.Text, found = s.rest()
		event.Finish = FinishStop
	} else {
		text := s.text.Next(event.Tokens)
		if s.logprobs != nil {
			s.aligned.add(d.logprobs, len(text))
		}
		event.Text, found = s.stop.feed(text)
		full := len(s.tokens) >= s.limit
		complete := s.constraint != nil && (s.constraint.Closed() || full && s.constraint.Done())
		if !found && (full || complete) {
			var rest string
			rest, found = s.rest()
			event.Text += rest
			event.Finish = FinishLength
		}
		if found || complete {
			event.Finish = FinishStop
		}
	}
	if s.logprobs != nil {
		event.Logprobs = s.aligned.release(len(event.Text), event.Finish != "", found)
	}
	if event.Finish == "" {
		s.stream.put(event)
		return
	}
	event.Usage = s.usage()
	s.finish, s.final = event.Finish, event
}

// close ends a sequence of which no answer is wanted.
func (s *Sequence) close(now time.Time) {
	s.first, s.last = now, now
	s.finish = FinishLength
	s.final = Event{Finish: FinishLength, Usage: s.usage()}
}

// rest returns the text that was held back, now that no more comes, and whether a stop string ended it after all.
func (s *Sequence) rest() (text string, found bool) {
	text, found = s.stop.feed(s.text.Next(nil))
	if !found {
		text += s.stop.flush()
	}
	return text, found
}

// advanced tells the stream how far the prompt is, if it is to know.
func (s *Sequence) advanced(now time.Time) {
	if s.progress && s.first.IsZero() {
		s.stream.put(Event{Progress: Progress{Tokens: s.prompt, Cached: s.cached, Computed: min(s.computed, s.prompt), Took: now.Sub(s.started)}})
	}
}

// fail ends the sequence with an error.
func (s *Sequence) fail(err error) {
	s.finish = FinishError
	s.final = Event{Finish: FinishError, Err: err, Usage: s.usage()}
}

// usage returns what the sequence took so far.
func (s *Sequence) usage() Usage {
	u := Usage{
		PromptTokens:     s.prompt,
		CachedTokens:     s.cached,
		CompletionTokens: len(s.tokens) - s.prompt,
		DraftTokens:      s.drafts.drafted,
		AcceptedTokens:   s.drafts.right,
	}
	if !s.started.IsZero() {
		u.Queue = s.started.Sub(s.submitted)
	}
	if !s.first.IsZero() {
		u.Prefill = s.first.Sub(s.started)
		u.Decode = s.last.Sub(s.first)
	}
	return u
}

// prefilling says whether part of the prompt is still to be computed.
func (s *Sequence) prefilling() bool { return s.computed < s.prompt }
