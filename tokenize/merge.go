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

// mergeLong does the same with a heap, in n log n: symbols are a linked list, and a heap entry is a rank and the
// position of the left symbol. An entry whose pair has changed since is known by its rank.
func (e *encoder) mergeLong() {
	sym, pairs := e.symbols, &e.bpe.pairs
	n := len(sym)
	e.next, e.prev, e.heap = grow(e.next, n), grow(e.prev, n), e.heap[:0]
	next, prev := e.next, e.prev
	for i := range n {
		next[i], prev[i] = int32(i+1), int32(i-1)
		if i+1 < n {
			if rank, _ := pairs.get(sym[i], sym[i+1]); rank != noRank {
				e.heap = append(e.heap, uint64(rank)<<32|uint64(i))
			}
		}
	}
	for i := len(e.heap)/2 - 1; i >= 0; i-- {
		siftDown(e.heap, i)
	}
	for len(e.heap) > 0 {
		top := e.heap[0]
		at, rank := int32(uint32(top)), uint32(top>>32)
		right := int32(n)
		if sym[at] >= 0 {
			right = next[at]
		}
		now, id := noRank, int32(0)
		if right < int32(n) {
			now, id = pairs.get(sym[at], sym[right])
		}
		if now != rank {
			e.pop()
			continue
		}
		sym[at], sym[right] = id, noSymbol
		next[at] = next[right]
		if next[at] < int32(n) {
			prev[next[at]] = at
		}
		replaced := false
		if next[at] < int32(n) {
			if r, _ := pairs.get(id, sym[next[at]]); r != noRank {
				e.heap[0] = uint64(r)<<32 | uint64(uint32(at))
				siftDown(e.heap, 0)
				replaced = true
			}
		}
		if !replaced {
			e.pop()
		}
		if p := prev[at]; p >= 0 {
			if r, _ := pairs.get(sym[p], id); r != noRank {
				e.push(uint64(r)<<32 | uint64(uint32(p)))
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

// siftDown restores the heap h (least first, four children) below i.
func siftDown(h []uint64, i int) {
	v := h[i]
	for {
		child := 4*i + 1
		if child >= len(h) {
			break
		}
		least := child
		for c := child + 1; c < min(child+4, len(h)); c++ {
			if h[c] < h[least] {
				least = c
			}
		}
		if h[least] >= v {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = v
}

func (e *encoder) pop() {
	last := len(e.heap) - 1
	e.heap[0] = e.heap[last]
	e.heap = e.heap[:last]
	if last > 0 {
		siftDown(e.heap, 0)
	}
}

func (e *encoder) push(v uint64) {
	e.heap = append(e.heap, v)
	h, i := e.heap, len(e.heap)-1
	for i > 0 {
		parent := (i - 1) / 4
		if h[parent] <= v {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = v
}
