package engine

import "fmt"

// ConstraintLengthError is the error of Submit for a request whose shortest answer is longer than what the answer may have.
type ConstraintLengthError struct {
	Room int // tokens that the answer may have: of MaxTokens and the window the smaller
}

// Error implements error.
func (e *ConstraintLengthError) Error() string {
	return fmt.Sprintf("the shortest answer of the form that is asked for has more than %d tokens, which is all that the limit of tokens (or the window, --max-len) allows", e.Room)
}

// draw returns the next token of s from the logits that follow its last one, which it changes.
//
// With a constraint the token's law is that of the logits with those of refused tokens at minus infinity. Where nothing but the
// temperature and penalties shape the law, a token is drawn from all logits first and looked up: it is accepted with its share of the whole, and
// otherwise, by an independent number, drawn from the allowed ones. Of an allowed token with weight w, where W is the weight of all and A that of the
// allowed ones, that makes w/W + (1-A/W) w/A = w/A. The largest logit, if allowed, is the largest of the allowed ones. But where only the
// likeliest tokens are kept (top_k, top_p, …), which those are depends on the others, so that the mask comes first.
func (s *Sequence) draw(logits []float32) (int32, error) {
	c := s.constraint
	if c == nil {
		return s.sampler.Sample(logits)
	}
	if !s.sampler.Separable() {
		if err := c.Mask(logits); err != nil {
			return 0, fmt.Errorf("constraint: %w", err)
		}
		return s.sampler.Sample(logits)
	}
	id, err := s.sampler.Sample(logits)
	if err != nil || c.Allows(id) {
		return id, err
	}
	if err := c.Mask(logits); err != nil {
		return 0, fmt.Errorf("constraint: %w", err)
	}
	return s.sampler.Resample(logits)
}

// maxForced is how many bytes ahead a draft looks for what must come next.
const maxForced = 64

// draft returns up to limit tokens that may come next: those that spell what the constraint leaves no choice about, else those that
// followed before.
func (s *Sequence) draft(limit int) []int32 {
	limit = min(limit, s.limit-len(s.tokens)-1)
	if s.constraint != nil && limit > 0 {
		if forced := s.constraint.ForcedTokens(maxForced); len(forced) > 0 {
			return forced[:min(limit, len(forced))]
		}
	}
	return s.drafts.propose(s.tokens, limit)
}
