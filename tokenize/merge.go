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

// mergeLong does the same in time linear in the symbols but for a small logarithm: a queue holds the pairs to come by rank
// and position. An entry whose pair has changed since is known by its rank.
//
// A symbol that was merged into the one on its left leaves a gap. The first and the last place of a gap hold its size,
// negative, so that from a symbol both neighbours are found in one look, and a long piece needs no more memory than its
// symbols and the queue.
func (e *encoder) mergeLong() {
	sym, pairs, q := e.symbols, &e.bpe.pairs, &e.queue
	n := len(sym)
	q.reset()
	for i := range n - 1 {
		if rank, _ := pairs.get(sym[i], sym[i+1]); rank != noRank {
			q.push(rank, int32(i))
		}
	}
	for !q.empty() {
		rank, pos := q.pop()
		at := int(pos)
		if sym[at] < 0 {
			continue
		}
		right := after(sym, at)
		if right == n {
			continue
		}
		now, id := pairs.get(sym[at], sym[right])
		if now != rank {
			continue
		}
		next := after(sym, right)
		gap := symbol(next - at - 1)
		sym[at], sym[right], sym[at+1], sym[next-1] = id, noSymbol, -gap, -gap
		if next < n {
			if r, _ := pairs.get(id, sym[next]); r != noRank {
				q.push(r, pos)
			}
		}
		if at > 0 {
			before := at - 1
			if sym[before] < 0 {
				before += int(sym[before])
			}
			if r, _ := pairs.get(sym[before], id); r != noRank {
				q.push(r, int32(before))
			}
		}
	}
	for i := 0; i < n; i = after(sym, i) {
		e.ids = append(e.ids, sym[i])
	}
}

// after returns the place of the symbol that follows the one at i; len(sym) where none does.
func after(sym []symbol, i int) int {
	i++
	if i < len(sym) && sym[i] < 0 {
		i -= int(sym[i])
	}
	return i
}
