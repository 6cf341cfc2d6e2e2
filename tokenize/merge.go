package tokenize

// shortPiece is the most symbols for which looking for the best pair each time is faster than a heap.
const shortPiece = 48

// mergeShort merges e.symbols and appends what is left: of all pairs the one of the lowest rank, the leftmost of
// these, until none is left.
func (e *encoder) mergeShort() {
	n := len(e.symbols)
	if n < 2 {
		e.ids = append(e.ids, e.symbols...)
		return
	}
	sym, pairs := e.symbols, &e.bpe.pairs
	ranks, merged := e.ranks[:n], e.merged[:n]
	for i := 0; i+1 < n; i++ {
		ranks[i], merged[i] = pairs.get(sym[i], sym[i+1])
	}
	ranks[n-1] = noRank
	for {
		best, at := noRank, 0
		for i, r := range ranks[:n] {
			if r < best {
				best, at = r, i
			}
		}
		if best == noRank {
			break
		}
		sym[at] = merged[at]
		n--
		copy(sym[at+1:n], sym[at+2:n+1])
		copy(ranks[at+1:n], ranks[at+2:n+1])
		copy(merged[at+1:n], merged[at+2:n+1])
		if at > 0 {
			ranks[at-1], merged[at-1] = pairs.get(sym[at-1], sym[at])
		}
		if at+1 < n {
			ranks[at], merged[at] = pairs.get(sym[at], sym[at+1])
		} else {
			ranks[at] = noRank
		}
	}
	e.ids = append(e.ids, sym[:n]...)
}

// mergeLong does the same in time linear in the symbols but for a small logarithm: symbols are a linked list, and a queue
// holds the pairs to come by rank and position. An entry whose pair has changed since is known by its rank.
func (e *encoder) mergeLong() {
	sym, pairs, q := e.symbols, &e.bpe.pairs, &e.queue
	n := len(sym)
	e.next, e.prev = grow(e.next, n), grow(e.prev, n)
	next, prev := e.next, e.prev
	q.reset()
	for i := range n {
		next[i], prev[i] = int32(i+1), int32(i-1)
		if i+1 < n {
			if rank, _ := pairs.get(sym[i], sym[i+1]); rank != noRank {
				q.push(rank, int32(i))
			}
		}
	}
	for !q.empty() {
		rank, at := q.pop()
		if sym[at] < 0 || next[at] == int32(n) {
			continue
		}
		right := next[at]
		now, id := pairs.get(sym[at], sym[right])
		if now != rank {
			continue
		}
		sym[at], sym[right] = id, noSymbol
		after, before := next[right], prev[at]
		next[at] = after
		if after < int32(n) {
			prev[after] = at
			if r, _ := pairs.get(id, sym[after]); r != noRank {
				q.push(r, at)
			}
		}
		if before >= 0 {
			if r, _ := pairs.get(sym[before], id); r != noRank {
				q.push(r, before)
			}
		}
	}
	for i := int32(0); i < int32(n); i = next[i] {
		e.ids = append(e.ids, sym[i])
	}
}

// grow returns a slice of n elements, the given one where it is large enough.
func grow(s []int32, n int) []int32 {
	if cap(s) < n {
		return make([]int32, n)
	}
	return s[:n]
}
