package grammar

import (
	"bytes"
	"slices"
	"sync/atomic"
)

// vocabularies counts them.
var vocabularies atomic.Uint64

// clampBytes is the length of the longest token in the trie. Longer ones, of which there are few, are read one by one. So two states that
// differ only in what no token of the trie reaches have the same mask.
const clampBytes = 32

// Vocabulary is the set of tokens of a tokenizer, as a trie of their bytes. It is safe for concurrent use.
type Vocabulary struct {
	tokens  [][]byte
	stop    map[int32]bool
	nodes   []trieNode // in depth-first order, without the root
	ids     []int32    // of the nodes' tokens, in the nodes' order
	roots   [256]int32 // the node of each first byte, -1 where there is none
	long    []int32    // tokens of more than clampBytes
	longest int        // bytes of the longest token
	all     bool       // each byte is a token
	id      uint64     // tells vocabularies apart
}

// trieNode is a node of the trie. Its children begin at the next node, its siblings at skip.
type trieNode struct {
	b     byte
	depth uint8 // bytes from the root
	skip  int32 // the first node that is not below this one
	first int32 // its tokens are ids[first:last]
	last  int32
}

// NewVocabulary returns the vocabulary of tokens, where tokens[id] holds the bytes that a token adds to the text; nil or empty for one that adds
// none, like a control token: it is never allowed. The tokens of stop end the text: they are allowed where it is complete.
func NewVocabulary(tokens [][]byte, stop []int32) *Vocabulary {
	v := &Vocabulary{id: vocabularies.Add(1), tokens: tokens, stop: make(map[int32]bool, len(stop))}
	for _, id := range stop {
		v.stop[id] = true
	}
	var sorted []int32
	single := 0
	for id, t := range tokens {
		switch {
		case len(t) == 0 || v.stop[int32(id)]:
			continue
		case len(t) > clampBytes:
			v.long = append(v.long, int32(id))
		default:
			sorted = append(sorted, int32(id))
		}
		v.longest = max(v.longest, len(t))
	}
	slices.SortStableFunc(sorted, func(x, y int32) int { return bytes.Compare(tokens[x], tokens[y]) })
	var open []int32 // the nodes from the root to the last one
	var last []byte
	closeTo := func(depth int) {
		for len(open) > depth {
			v.nodes[open[len(open)-1]].skip = int32(len(v.nodes))
			open = open[:len(open)-1]
		}
	}
	for i := range v.roots {
		v.roots[i] = -1
	}
	for _, id := range sorted {
		t := tokens[id]
		common := 0
		for common < len(t) && common < len(last) && t[common] == last[common] {
			common++
		}
		if common < len(t) {
			closeTo(common)
			for _, b := range t[common:] {
				if len(open) == 0 {
					v.roots[b] = int32(len(v.nodes))
				}
				open = append(open, int32(len(v.nodes)))
				v.nodes = append(v.nodes, trieNode{b: b, depth: uint8(len(open)), first: int32(len(v.ids)), last: int32(len(v.ids))})
			}
			if len(t) == 1 {
				single++
			}
		}
		v.ids = append(v.ids, id)
		v.nodes[open[len(open)-1]].last++
		last = t
	}
	closeTo(0)
	v.all = single == 256
	return v
}

// Size returns how many tokens there are.
func (v *Vocabulary) Size() int { return len(v.tokens) }

// bytes returns the bytes of id, nil where it has none or is not known.
func (v *Vocabulary) bytes(id int32) []byte {
	if id < 0 || int(id) >= len(v.tokens) || v.stop[id] {
		return nil
	}
	return v.tokens[id]
}

// cover returns the fewest tokens that spell text, nil and false where there are none.
func (v *Vocabulary) cover(text []byte) ([]int32, bool) {
	// best[i] is how many tokens spell text[i:], from[i] the first of them.
	best := make([]int32, len(text)+1)
	from := make([]int32, len(text))
	for i := len(text) - 1; i >= 0; i-- {
		best[i] = -1
		take := func(id int32, n int) {
			if rest := best[i+n]; rest >= 0 && (best[i] < 0 || rest+1 <= best[i]) {
				best[i], from[i] = rest+1, id
			}
		}
		for at, n := v.roots[text[i]], 1; at >= 0; n++ {
			if node := &v.nodes[at]; node.first < node.last {
				take(v.ids[node.first], n)
			}
			if i+n == len(text) {
				break
			}
			at = v.child(at, text[i+n])
		}
		for _, id := range v.long {
			if bytes.HasPrefix(text[i:], v.tokens[id]) {
				take(id, len(v.tokens[id]))
			}
		}
	}
	if best[0] < 0 {
		return nil, false
	}
	ids := make([]int32, 0, best[0])
	for i := 0; i < len(text); i += len(v.tokens[from[i]]) {
		ids = append(ids, from[i])
	}
	return ids, true
}

// child returns the child of node at by byte b, -1 where there is none.
func (v *Vocabulary) child(at int32, b byte) int32 {
	end := v.nodes[at].skip
	for at++; at < end; at = v.nodes[at].skip {
		if v.nodes[at].b == b {
			return at
		}
	}
	return -1
}
