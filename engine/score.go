package engine

import (
	"runtime"

	"ortserve/sample"
)

// score tells the stream how probable the prompt's tokens are that follow those of row, as far as the request wants to know.
func (e *Engine) score(seq *Sequence, row Row, logits Logits) error {
	if seq.score == nil {
		return nil
	}
	next := row.Past + len(row.Tokens) - row.Logits + 1 // index of the token that the first row of logits speaks of
	n := min(row.Logits, seq.prompt-next)
	if n <= 0 {
		return nil
	}
	scores := make([]sample.Logprobs, n)
	errs := make([]error, n)
	spread(n, min(runtime.GOMAXPROCS(0), n*logits.Vocab/worthWhile), func(i int) {
		scores[i], errs[i] = sample.LogprobsOf(logits.Row(i), seq.tokens[next+i], seq.score.Top)
	})
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	seq.stream.put(Event{Prompt: scores})
	return nil
}

// unscored returns how many tokens of the prompt are still to be computed before the first of which logits are wanted.
func (s *Sequence) unscored() int {
	if s.score == nil {
		return s.prompt - 1 - s.computed
	}
	return max(min(s.score.From, s.prompt-1)-1-s.computed, 0)
}
