package tokenize

import (
	"hash/maphash"
	"unicode/utf8"
)

// bpe is the model: byte-pair encoding over the bytes of a piece (byte-level families) or over its code points
// (SentencePiece families). It is read-only after load.
type bpe struct {
	bytes        bool // symbols are bytes; pieces and vocab keys are raw bytes, not the characters that stand for them
	vocab        map[string]int32
	longest      int // bytes of the longest key of vocab
	pairs        pairTable
	byteSymbols  [256]symbol
	runeSymbols  runeTable
	unknown      int32       // id of unk_token, or noID
	fuse         bool        // unknown symbols in a row are one
	fallback     *[256]int32 // ids of the tokens <0x00> to <0xFF>, noID where there is none; nil: no byte_fallback
	complete     bool        // fallback has every byte
	ignoreMerges bool
	cuts         *cutTable // nil: pieces are never cut
	seed         maphash.Seed
}

// A symbol is what a byte or code point becomes before any merge: an id, or one of these.
type symbol = int32

const (
	noID     int32  = -1
	bytesOf  symbol = -2 // the ids of its bytes
	unknown  symbol = -3 // unk_token
	dropped  symbol = -4 // nothing: the model has neither byte_fallback nor unk_token
	absent   symbol = -5 // not in the table
	noSymbol        = absent
)

// pairTable maps a pair of ids to the rank of its merge and the id it gives: open addressing, at most half full.
type pairTable struct {
	entries []pairEntry
	shift   uint
}

type pairEntry struct {
	key  uint64 // left id, right id
	rank uint32
	id   int32
}

const (
	noKey  = ^uint64(0)
	noRank = ^uint32(0)
)

func newPairTable(n int) pairTable {
	bits := uint(4)
	for 1<<bits < 2*n {
		bits++
	}
	t := pairTable{entries: make([]pairEntry, 1<<bits), shift: 64 - bits}
	for i := range t.entries {
		t.entries[i] = pairEntry{key: noKey, rank: noRank}
	}
	return t
}

func (t *pairTable) slot(left, right int32) *pairEntry {
	key := uint64(uint32(left))<<32 | uint64(uint32(right))
	i := key * 0x9E3779B97F4A7C15 >> t.shift
	for {
		e := &t.entries[i&uint64(len(t.entries)-1)]
		if e.key == key || e.key == noKey {
			return e
		}
		i++
	}
}

// set adds a merge. A later one of the same pair wins, as in Hugging Face's map.
func (t *pairTable) set(left, right int32, rank uint32, id int32) {
	*t.slot(left, right) = pairEntry{uint64(uint32(left))<<32 | uint64(uint32(right)), rank, id}
}

// get returns the rank and the id of the merge of a pair; noRank where there is none.
func (t *pairTable) get(left, right int32) (uint32, int32) {
	e := t.slot(left, right)
	return e.rank, e.id
}

// runeTable maps code points to symbols, in pages of 256.
type runeTable struct {
	pages [(utf8.MaxRune + 1) >> 8]*[256]symbol
}

func (t *runeTable) get(r rune) symbol {
	if p := t.pages[r>>8]; p != nil {
		return p[r&0xFF]
	}
	return absent
}

func (t *runeTable) set(r rune, s symbol) {
	p := t.pages[r>>8]
	if p == nil {
		p = new([256]symbol)
		for i := range p {
			p[i] = absent
		}
		t.pages[r>>8] = p
	}
	p[r&0xFF] = s
}

// cutTable knows which pairs of neighbouring code points some token holds. Where two neighbours are no such pair no
// merge can join them, so a piece may be cut there: both sides give the ids that they give together. Texts without a
// pre-tokenizer (Llama 2, Gemma) thus become words, which the cache holds. It is a filter with one hash: a pair may be
// in it by chance, which costs a cut and no more.
type cutTable struct{ bits [1 << cutBits / 64]uint64 }

const cutBits = 21

func cutHash(a, b rune) uint64 {
	return (uint64(a)<<21 | uint64(b)) * 0x9E3779B97F4A7C15 >> (64 - cutBits)
}

func (t *cutTable) add(a, b rune) {
	h := cutHash(a, b)
	t.bits[h>>6] |= 1 << (h & 63)
}

func (t *cutTable) joined(a, b rune) bool {
	h := cutHash(a, b)
	return t.bits[h>>6]>>(h&63)&1 != 0
}

// model appends the ids of one piece that pre-tokenizing gave.
func (e *encoder) model(s string) {
	b := e.bpe
	if b.cuts == nil {
		e.piece(s)
		return
	}
	if b.ignoreMerges && len(s) <= b.longest {
		if id, ok := b.vocab[s]; ok {
			e.ids = append(e.ids, id)
			return
		}
	}
	start, last, known := 0, rune(0), false
	for i, r := range s {
		sym := b.runeSymbols.get(r)
		now := sym >= 0 || b.complete
		if i > 0 && known && now && !b.cuts.joined(last, r) {
			e.piece(s[start:i])
			start = i
		}
		last, known = r, now
	}
	e.piece(s[start:])
}

// piece appends the ids of s, from the cache where it holds them.
func (e *encoder) piece(s string) {
	if len(s) > cacheKey {
		e.merge(s)
		return
	}
	hash := maphash.String(e.bpe.seed, s)
	slot := &e.cache[hash&(cacheSlots-1)]
	if slot.hash == hash && int(slot.size) == len(s) && string(slot.key[:len(s)]) == s {
		e.ids = append(e.ids, slot.ids[:slot.count]...)
		return
	}
	start := len(e.ids)
	e.merge(s)
	if n := len(e.ids) - start; n <= cacheIDs {
		slot.hash, slot.size, slot.count = hash, uint8(len(s)), uint8(n)
		copy(slot.key[:], s)
		copy(slot.ids[:], e.ids[start:])
	}
}

// The cache of an encoder: one slot for each hash, the last piece that fell there. It does not grow.
const (
	cacheSlots = 1 << 14
	cacheKey   = 38
	cacheIDs   = 12
)

type cacheSlot struct {
	hash  uint64
	size  uint8
	count uint8
	key   [cacheKey]byte
	ids   [cacheIDs]int32
}

// merge appends the ids of s.
func (e *encoder) merge(s string) {
	b := e.bpe
	if s == "" {
		return
	}
	if b.ignoreMerges && len(s) <= b.longest {
		if id, ok := b.vocab[s]; ok {
			e.ids = append(e.ids, id)
			return
		}
	}
	if e.symbols = e.symbols[:0]; cap(e.symbols) < len(s) {
		e.symbols = make([]symbol, 0, len(s)) // a symbol has at least a byte
	}
	if b.bytes {
		e.byteSymbols(s)
	} else {
		e.runeSymbols(s)
	}
	if len(e.symbols) <= shortPiece {
		e.mergeShort()
		return
	}
	e.mergeLong()
}

// byteSymbols writes the symbols of the bytes of s.
func (e *encoder) byteSymbols(s string) {
	b := e.bpe
	pending := false
	for i := range len(s) {
		sym := b.byteSymbols[s[i]]
		if sym >= 0 {
			if pending {
				e.symbols, pending = append(e.symbols, b.unknown), false
			}
			e.symbols = append(e.symbols, sym)
			continue
		}
		pending = e.missing(sym, string(byteChar[s[i]]), pending)
	}
	if pending {
		e.symbols = append(e.symbols, b.unknown)
	}
}

// runeSymbols writes the symbols of the code points of s.
func (e *encoder) runeSymbols(s string) {
	b := e.bpe
	pending := false
	for i, r := range s {
		sym := b.runeSymbols.get(r)
		if sym >= 0 {
			if pending {
				e.symbols, pending = append(e.symbols, b.unknown), false
			}
			e.symbols = append(e.symbols, sym)
			continue
		}
		pending = e.missing(b.otherwise(), s[i:i+utf8.RuneLen(r)], pending)
	}
	if pending {
		e.symbols = append(e.symbols, b.unknown)
	}
}

// otherwise is the symbol of a code point that the vocabulary lacks.
func (b *bpe) otherwise() symbol {
	switch {
	case b.fallback != nil:
		return bytesOf
	case b.unknown != noID:
		return unknown
	}
	return dropped
}

// missing writes what a code point that is not in the vocabulary becomes. pending says that an unknown symbol is not
// written yet, since further ones may be fused with it; the result says so again.
func (e *encoder) missing(sym symbol, text string, pending bool) bool {
	b := e.bpe
	if sym == bytesOf && !b.hasBytes(text) {
		sym = dropped
		if b.unknown != noID {
			sym = unknown
		}
	}
	switch sym {
	case bytesOf:
		for i := range len(text) {
			e.symbols = append(e.symbols, b.fallback[text[i]])
		}
	case unknown:
		if pending && !b.fuse {
			e.symbols = append(e.symbols, b.unknown)
		}
		return true
	}
	return pending
}

// hasBytes says that each byte of text has a token.
func (b *bpe) hasBytes(text string) bool {
	for i := range len(text) {
		if b.fallback[text[i]] == noID {
			return false
		}
	}
	return true
}
