package tokenize

import (
	"slices"
	"sort"
)

// Options says how a text is read.
type Options struct {
	// Literal has the byte ranges of the text in which control tokens are plain text, ascending and not overlapping. A
	// control token, or any other added token, that overlaps one at all is plain text.
	Literal [][2]int
	// LiteralAll makes all of the text plain text: no control token counts (special ones, and others written like one).
	LiteralAll bool
	// Template adds what the post-processor of tokenizer.json adds (add_special_tokens=True in Hugging Face).
	Template bool
}

// encoder is the working memory of one Encode on one goroutine.
type encoder struct {
	*Tokenizer
	ids     []int32
	symbols []symbol
	ranks   [shortPiece]uint32
	merged  [shortPiece]int32
	queue   mergeQueue
	cache   [cacheSlots]cacheSlot
	collect func(piece string) // takes the pieces instead of the model, where it is set
}

// Encode returns the ids of a text. It is safe for concurrent use.
func (t *Tokenizer) Encode(text string, o Options) []int32 {
	e := t.encoder()
	defer t.release(e)
	return e.encode(text, o)
}

// EncodeBatch returns the ids of each text, on all processors.
func (t *Tokenizer) EncodeBatch(texts []string, o Options) [][]int32 {
	out := make([][]int32, len(texts))
	t.parallel(len(texts), func(e *encoder, i int) { out[i] = e.encode(texts[i], o) })
	return out
}

func (e *encoder) encode(text string, o Options) []int32 {
	if fixed := validText(text); len(fixed) != len(text) || fixed != text {
		o.Literal = moveRanges(text, o.Literal)
		text = fixed
	}
	e.ids = e.ids[:0]
	if !o.Template {
		e.text(text, o)
	}
	for _, p := range e.template {
		switch {
		case !o.Template:
		case p.text:
			e.text(text, o)
		default:
			e.ids = append(e.ids, p.ids...)
		}
	}
	if cap(e.ids) > keptIDs { // too large to keep: given away instead of copied
		out := e.ids
		e.ids = nil
		return out
	}
	return append(make([]int32, 0, len(e.ids)), e.ids...)
}

// text appends the ids of a whole text: the added tokens that are looked for as they stand cut it into segments.
func (e *encoder) text(text string, o Options) {
	e.extract(e.added, text, e.plainText(o, 0), func(start, end int) {
		e.segment(text, start, end, o)
	})
}

// plainText returns the rule by which matched tokens are plain text; offset is where the matched text starts in the
// whole. It is nil where all tokens count.
func (e *encoder) plainText(o Options, offset int) func(*addedToken, int, int) bool {
	if o.LiteralAll {
		return func(t *addedToken, _, _ int) bool { return t.control }
	}
	if len(o.Literal) == 0 {
		return nil
	}
	return func(_ *addedToken, start, end int) bool { return overlaps(o.Literal, start+offset, end+offset) }
}

// overlaps says that one of the ascending ranges has a byte in [start, end).
func overlaps(ranges [][2]int, start, end int) bool {
	i := sort.Search(len(ranges), func(i int) bool { return ranges[i][1] > start })
	for ; i < len(ranges) && ranges[i][0] < end; i++ {
		if ranges[i][0] < ranges[i][1] {
			return true
		}
	}
	return false
}

// segment appends the ids of text[start:end], between added tokens: it is normalized, added tokens that are looked for
// in normalized text cut it further, and the rest goes through pre-tokenizing to the model.
func (e *encoder) segment(text string, start, end int, o Options) {
	s := text[start:end]
	if e.normalizer == nil {
		e.extract(e.addedNormalized, s, e.plainText(o, start), func(a, b int) {
			e.plain(s[a:b], start+a == 0)
		})
		return
	}
	plainText := e.plainText(o, start)
	if len(o.Literal) > 0 && e.addedNormalized != nil {
		plainText = e.plainNormalized(text, start, end, o)
	}
	normal := e.normalizer.normalize(s)
	e.extract(e.addedNormalized, normal, plainText, func(a, b int) {
		e.plain(normal[a:b], start == 0 && a == 0)
	})
}

// plainNormalized is the rule for tokens that are looked for in the normalized form of text[start:end]: the literal
// ranges are moved to where they lie there. Where that is not known (see alignment) no token of the segment counts.
func (e *encoder) plainNormalized(text string, start, end int, o Options) func(*addedToken, int, int) bool {
	if !overlaps(o.Literal, start, end) {
		return nil
	}
	if e.alignment == nil {
		return func(*addedToken, int, int) bool { return true }
	}
	var moved [][2]int
	at, pos := start, e.prepended
	for _, r := range o.Literal {
		a, b := min(max(r[0], at), end), min(max(r[1], at), end)
		pos += len(e.alignment.normalize(text[at:a]))
		size := len(e.alignment.normalize(text[a:b]))
		moved = append(moved, [2]int{pos, pos + size})
		at, pos = b, pos+size
	}
	return func(_ *addedToken, start, end int) bool { return overlaps(moved, start, end) }
}

// plain appends the ids of a text without added tokens. first says that it starts where the whole text does.
func (e *encoder) plain(s string, first bool) {
	if len(s) >= parallelText {
		if parts := e.parts(s); len(parts) > 1 {
			e.plainParallel(parts, first)
			return
		}
		e.ids = slices.Grow(e.ids, len(s)/bytesPerID)
	}
	e.emit(s, first, 0)
}

// emit hands a piece to the pre-tokenizer of that level; behind the last one stands the model.
func (e *encoder) emit(s string, first bool, level int) {
	if s == "" {
		return
	}
	if level < len(e.steps) {
		e.steps[level].apply(e, s, first, level+1)
		return
	}
	if e.collect != nil {
		e.collect(s)
		return
	}
	e.model(s)
}

// moveRanges returns byte ranges of a text as they lie in validText(text).
func moveRanges(text string, ranges [][2]int) [][2]int {
	out := make([][2]int, 0, len(ranges))
	at, moved := 0, 0
	for _, r := range ranges {
		var m [2]int
		for k, limit := range r {
			for at < limit && at < len(text) {
				n, ok := runeLength(text[at:])
				size := n
				if !ok {
					size = len("\uFFFD")
				}
				if at+n > limit && k == 0 {
					break // a range that begins inside a code point takes all of it
				}
				at, moved = at+n, moved+size
			}
			m[k] = moved
		}
		out = append(out, m)
	}
	return out
}
