package sample

// penalties lowers the logits of tokens that occur among the sequence's last ones.
type penalties struct {
	repeat, presence, frequency float32

	last   []entry         // the window as a ring, oldest at head once it is full
	size   int             // how many tokens the window holds at most; negative: all
	head   int             // index in last of the oldest token
	counts map[int32]count // of the tokens in the window
}

// entry is one token of the window. Counted says whether the presence and frequency penalties count it.
type entry struct {
	id      int32
	counted bool
}

// count is how often a token occurs in the window, and how often of that as a counted one.
type count struct{ all, counted int32 }

// newPenalties returns nil where p penalizes nothing.
func newPenalties(p Params, prompt []int32) *penalties {
	off := (p.RepeatPenalty == 0 || p.RepeatPenalty == 1) && p.PresencePenalty == 0 && p.FrequencyPenalty == 0
	if off || p.RepeatLastN == 0 {
		return nil
	}
	n := &penalties{
		repeat:    float32(p.RepeatPenalty),
		presence:  float32(p.PresencePenalty),
		frequency: float32(p.FrequencyPenalty),
		size:      p.RepeatLastN,
		counts:    make(map[int32]count),
	}
	if n.repeat == 0 {
		n.repeat = 1
	}
	if n.size > 0 && len(prompt) > n.size {
		prompt = prompt[len(prompt)-n.size:]
	}
	for _, id := range prompt {
		n.add(id, p.PenalizePrompt)
	}
	return n
}

// add puts a token into the window; the oldest leaves a full one.
func (n *penalties) add(id int32, counted bool) {
	e := entry{id, counted}
	if n.size > 0 && len(n.last) == n.size {
		n.bump(n.last[n.head], -1)
		n.last[n.head] = e
		n.head = (n.head + 1) % n.size
	} else {
		n.last = append(n.last, e)
	}
	n.bump(e, 1)
}

// bump changes the count of e's token by d.
func (n *penalties) bump(e entry, d int32) {
	c := n.counts[e.id]
	c.all += d
	if e.counted {
		c.counted += d
	}
	if c.all == 0 {
		delete(n.counts, e.id)
		return
	}
	n.counts[e.id] = c
}

// apply penalizes logits in place. Ids outside of logits are left out.
func (n *penalties) apply(logits []float32) {
	for id, c := range n.counts {
		if int(id) >= len(logits) {
			continue
		}
		l := logits[id]
		if l > 0 {
			l /= n.repeat
		} else {
			l *= n.repeat
		}
		if c.counted > 0 {
			l -= n.presence + float32(c.counted)*n.frequency
		}
		logits[id] = l
	}
}
