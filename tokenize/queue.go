package tokenize

import (
	"cmp"
	"slices"
)

// mergeQueue holds the pairs that may be merged and gives the one of the lowest rank, the leftmost of these. A long piece
// has few different ranks, and the positions of one mostly come in order: each rank has a list of positions, which
// becomes a heap only where one comes out of order, and the ranks are in a small heap.
type mergeQueue struct {
	ranks   []uint64 // heap of the ranks that have positions: rank, index of the list
	lists   []positionList
	indexOf map[uint32]int
}

// positionList has the positions of one rank: pos[head:], in order or, if heap is true, as a heap.
type positionList struct {
	pos  []int32
	head int
	heap bool
}

// reset empties the queue; the lists keep their memory.
func (q *mergeQueue) reset() {
	if q.indexOf == nil {
		q.indexOf = map[uint32]int{}
	}
	clear(q.indexOf)
	q.ranks = q.ranks[:0]
	q.lists = q.lists[:0]
}

func (q *mergeQueue) empty() bool { return len(q.ranks) == 0 }

// push adds the pair whose left symbol is at pos.
func (q *mergeQueue) push(rank uint32, pos int32) {
	i, ok := q.indexOf[rank]
	if !ok {
		i = len(q.lists)
		q.indexOf[rank] = i
		if i < cap(q.lists) {
			q.lists = q.lists[:i+1]
			q.lists[i].clear()
		} else {
			q.lists = append(q.lists, positionList{})
		}
	}
	l := &q.lists[i]
	if len(l.pos) == l.head {
		l.clear()
		q.ranks = heapPush(q.ranks, uint64(rank)<<32|uint64(uint32(i)))
	}
	l.push(pos)
}

// pop removes the first pair. The queue is not empty.
func (q *mergeQueue) pop() (rank uint32, pos int32) {
	top := q.ranks[0]
	l := &q.lists[uint32(top)]
	pos = l.pop()
	if len(l.pos) == l.head {
		q.ranks = heapPop(q.ranks)
	}
	return uint32(top >> 32), pos
}

func (l *positionList) clear() { l.pos, l.head, l.heap = l.pos[:0], 0, false }

func (l *positionList) push(pos int32) {
	if len(l.pos) == cap(l.pos) {
		l.pos = slices.Grow(l.pos, len(l.pos)+16) // twice, so that a long piece touches less memory on the way
	}
	if !l.heap && (len(l.pos) == l.head || l.pos[len(l.pos)-1] <= pos) {
		l.pos = append(l.pos, pos)
		return
	}
	if !l.heap { // what is in order is a heap
		l.pos, l.head, l.heap = l.pos[:copy(l.pos, l.pos[l.head:])], 0, true
	}
	l.pos = heapPush(l.pos, pos)
}

func (l *positionList) pop() int32 {
	pos := l.pos[l.head]
	if l.heap {
		l.pos = heapPop(l.pos)
	} else {
		l.head++
	}
	return pos
}

// heapPush adds v to a heap, least first, with two children each.
func heapPush[T cmp.Ordered](h []T, v T) []T {
	h = append(h, v)
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent] <= v {
			break
		}
		h[i], i = h[parent], parent
	}
	h[i] = v
	return h
}

// heapPop removes the first of a heap.
func heapPop[T cmp.Ordered](h []T) []T {
	last := len(h) - 1
	v := h[last]
	h = h[:last]
	for i := 0; i < last; {
		child := 2*i + 1
		if child+1 < last && h[child+1] < h[child] {
			child++
		}
		if child >= last || h[child] >= v {
			h[i] = v
			break
		}
		h[i], i = h[child], child
	}
	return h
}
