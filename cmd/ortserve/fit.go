package main

import (
	"fmt"

	"ortserve/internal/config"
)

// The choices of fit where the operator made none.
const (
	defaultSlots  = 8
	defaultMaxLen = 8192
	smallestLen   = 256 // a window below this serves nobody
)

// need is what a model takes of the memory.
type need struct {
	fixed int64 // weights, their packed copy, and what the program itself takes
	row   int64 // logits of one row
	rows  int64 // rows of logits, 0 for one a slot
	whole bool  // a prompt is one run: as many rows of logits as tokens
	// slot is the KV memory of a slot of that many tokens.
	slot func(maxLen int) int64
}

// total is the need with that many slots and tokens. One slot more is scratch.
func (n need) total(slots, maxLen int) int64 {
	rows := max(n.rows, int64(slots))
	if n.whole {
		rows = int64(max(maxLen, slots))
	}
	return n.fixed + int64(slots+1)*n.slot(maxLen) + rows*n.row
}

// fit chooses slots and tokens a slot such that the need stays within limit (0: there is none). Slots and maxLen are the operator's
// choices, 0 for none; longest is what the model can, 0 for anything. Only what the operator chose is refused; his choices are not
// changed. Why says what was chosen for want of memory, or is empty.
func fit(n need, limit int64, slots, maxLen, longest int) (s, l int, why string, err error) {
	s, l = slots, maxLen
	if s == 0 {
		s = defaultSlots
	}
	if l == 0 {
		l = defaultMaxLen
	}
	if longest > 0 && l > longest {
		if maxLen > 0 {
			return 0, 0, "", fmt.Errorf("--max-len is %d, the model's window has %d tokens", maxLen, longest)
		}
		l = longest
	}
	if limit <= 0 || n.total(s, l) <= limit {
		return s, l, "", nil
	}
	wanted := n.total(s, l)
	for slots == 0 && s > 1 && n.total(s, l) > limit {
		s--
	}
	for maxLen == 0 && l > smallestLen && n.total(s, l) > limit {
		l = max(l/2, smallestLen)
	}
	if n.total(s, l) > limit {
		return 0, 0, "", fmt.Errorf("%d slots of %d tokens need %s (%s without the KV cache), the limit is %s: lower --slots or --max-len, or raise --memory-limit",
			s, l, config.Bytes(n.total(s, l)), config.Bytes(n.fixed), config.Bytes(limit))
	}
	why = fmt.Sprintf("%s were needed for the usual ones, the limit is %s (--memory-limit)", config.Bytes(wanted), config.Bytes(limit))
	return s, l, why, nil
}
