package engine

import "slices"

// Drafts are looked up in the sequence's own tokens: what followed the last time its latest tokens occurred is likely to follow again
// (prompt lookup decoding, Saxena 2023). Verifying k of them costs one run of k+1 tokens, which is much less than k+1 runs.
const (
	longestMatch  = 4 // latest tokens that are looked for, the more the surer
	shortestMatch = 2
	firstDraft    = 4  // tokens of a draft, to begin with
	maxDraft      = 15 // with the token before it a run of 16
	coolDown      = 8  // steps without a draft after one that was all wrong, doubled each time up to maxCoolDown
	maxCoolDown   = 64
)

// drafter proposes the next tokens of one sequence and adapts how many to how often it was right.
type drafter struct {
	size    int // tokens to propose
	wait    int // steps to go without a proposal
	cool    int // the next wait
	drafted int
	right   int
}

func newDrafter() drafter { return drafter{size: firstDraft, cool: coolDown} }

// propose returns up to limit tokens that may follow tokens, a part of it.
func (d *drafter) propose(tokens []int32, limit int) []int32 {
	if d.wait > 0 {
		d.wait--
		return nil
	}
	limit = min(limit, d.size)
	if limit <= 0 {
		return nil
	}
	for n := min(longestMatch, len(tokens)-1); n >= shortestMatch; n-- {
		if at := lastMatch(tokens, n); at >= 0 {
			return tokens[at+n : min(at+n+limit, len(tokens))]
		}
	}
	return nil
}

// lastMatch returns where the last n tokens last occurred before, or -1.
func lastMatch(tokens []int32, n int) int {
	end := len(tokens) - n
	want := tokens[end:]
	for i := end - 1; i >= 0; i-- {
		if tokens[i] == want[0] && slices.Equal(tokens[i:i+n], want) {
			return i
		}
	}
	return -1
}

// verified tells how many of the proposed tokens were right.
func (d *drafter) verified(proposed, right int) {
	d.drafted += proposed
	d.right += right
	switch right {
	case proposed:
		d.size = min(2*d.size, maxDraft)
		d.cool = coolDown
	case 0:
		d.size = firstDraft
		d.wait = d.cool
		d.cool = min(2*d.cool, maxCoolDown)
	default:
		d.size = max(right+1, 2)
		d.cool = coolDown
	}
}
