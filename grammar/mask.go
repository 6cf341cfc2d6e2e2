package grammar

import "encoding/binary"

// maxMasks is how many masks of a grammar are kept: each is a bit a token, 16 KiB for 128,256 of them.
const maxMasks = 256

// mask says which tokens of the trie are allowed in a state.
type mask struct {
	bits   []uint64
	growth int64 // by how much an allowed token makes the shortest completion longer at most
}

// masks are the masks that are kept.
type masks struct {
	byKey map[string]*mask
	ids   map[placeKey]uint32
	key   []byte
}

// placeKey names a frame up to what tokens of the trie can tell apart.
type placeKey struct {
	e           *expr
	least, most int32
	tail        uint32
}

// mask returns the mask of s.
func (a *automaton) mask(s *state, v *Vocabulary) (*mask, error) {
	if a.masks.byKey == nil || len(a.masks.byKey) >= maxMasks {
		a.masks = masks{byKey: make(map[string]*mask), ids: make(map[placeKey]uint32)}
	}
	m := &a.masks
	m.key = binary.LittleEndian.AppendUint64(m.key[:0], v.id)
	if s.accept {
		m.key = append(m.key, 1)
	}
	for _, f := range s.frames {
		m.key = binary.LittleEndian.AppendUint32(m.key, m.place(f))
	}
	if k, ok := m.byKey[string(m.key)]; ok {
		return k, nil
	}
	k := &mask{bits: make([]uint64, (len(v.tokens)+63)/64)}
	err := a.walk(s, v, func(t *state, ids []int32) {
		k.growth = max(k.growth, t.short-s.short)
		for _, id := range ids {
			k.bits[id>>6] |= 1 << (id & 63)
		}
	})
	if err != nil {
		return nil, err
	}
	m.byKey[string(m.key)] = k
	return k, nil
}

// place returns the number of what tokens of the trie can tell of f.
func (m *masks) place(f *frame) uint32 {
	if f == nil {
		return 0
	}
	k := placeKey{e: f.e, least: f.n, most: -1, tail: m.place(f.tail)}
	if f.e.kind == kindRepeat {
		// A token passes so many repeats at most; whether more are needed or possible makes no difference.
		reach := clampBytes/max(1, int(min(f.e.sub.short, clampBytes))) + 1
		k.least = int32(min(max(0, f.e.min-int(f.n)), reach))
		if f.e.max >= 0 {
			k.most = int32(min(f.e.max-int(f.n), reach))
			if f.e.max-int(f.n) > reach {
				k.most = -1
			}
		}
	}
	id, ok := m.ids[k]
	if !ok {
		id = uint32(len(m.ids) + 1)
		m.ids[k] = id
	}
	return id
}

// walk calls found for the tokens of the trie that lead from s to a state that is not dead.
func (a *automaton) walk(s *state, v *Vocabulary, found func(t *state, ids []int32)) error {
	var path [clampBytes + 1]*state
	path[0] = s
	size := a.size
	for i := int32(0); i < int32(len(v.nodes)); {
		n := &v.nodes[i]
		c := a.classes[n.b]
		var t *state
		if from := path[n.depth-1]; from.next != nil {
			t = from.next[c]
		}
		if t == nil {
			if a.size-size > 4*maxFrames {
				return &LimitError{"a step of it leads to too many places"}
			}
			t = a.step(path[n.depth-1], c)
		}
		if t == dead {
			i = n.skip
			continue
		}
		path[n.depth] = t
		if n.first < n.last {
			found(t, v.ids[n.first:n.last])
		}
		i++
	}
	return nil
}
