package engine

import "ortserve/sample"

// aligner keeps the log-probabilities of tokens until their text is shown.
type aligner struct {
	waiting  []spelled
	produced int // bytes of text that the tokens so far gave
	released int // of them, those that are shown
}

// spelled is a token with the part of the text that came with it: none where the token only begins a rune, or is a control token.
type spelled struct {
	logprobs   sample.Logprobs
	start, end int
}

// add takes a token that gave n bytes of text.
func (a *aligner) add(l sample.Logprobs, n int) {
	a.waiting = append(a.waiting, spelled{l, a.produced, a.produced + n})
	a.produced += n
}

// release returns the log-probabilities of the tokens that n further bytes of text complete. Tokens without text wait for the next one that
// has some. Ended says that no text follows, cut that a stop string is why: then tokens of which something is shown are returned,
// those of the stop string itself are not.
func (a *aligner) release(n int, ended, cut bool) []sample.Logprobs {
	a.released += n
	ready := 0
	for i, s := range a.waiting {
		switch {
		case ended && !cut, cut && s.start < a.released, !ended && s.end > s.start && s.end <= a.released:
			ready = i + 1
		}
	}
	var out []sample.Logprobs
	for _, s := range a.waiting[:ready] {
		out = append(out, s.logprobs)
	}
	a.waiting = a.waiting[:copy(a.waiting, a.waiting[ready:])]
	return out
}
