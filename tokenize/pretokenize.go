package tokenize

import "strings"

// A step is one pre-tokenizer: it cuts a piece of text and hands each part on to the next step. first says that the
// piece starts where the whole text does.
type step interface {
	apply(e *encoder, s string, first bool, level int)
}

// behavior says what Split does with the matches of its pattern.
type behavior int

const (
	isolated behavior = iota
	removed
	mergedWithPrevious
	mergedWithNext
	contiguous
)

var behaviors = map[string]behavior{
	"Isolated": isolated, "Removed": removed, "MergedWithPrevious": mergedWithPrevious,
	"MergedWithNext": mergedWithNext, "Contiguous": contiguous,
}

// splitStep is Split, Digits, Punctuation, Whitespace, WhitespaceSplit and CharDelimiterSplit.
type splitStep struct {
	splitter splitter
	behavior behavior
	invert   bool
}

func (x *splitStep) apply(e *encoder, s string, first bool, level int) {
	if x.behavior > removed {
		x.merged(e, s, first, level)
		return
	}
	matches, gaps := x.behavior == isolated || x.invert, x.behavior == isolated || !x.invert
	for i := 0; i < len(s); {
		start, end := x.splitter.next(s, i)
		if start > i && gaps {
			e.emit(s[i:start], first && i == 0, level)
		}
		if end > start && matches {
			e.emit(s[start:end], first && start == 0, level)
		}
		i = end
	}
}

// A span is a part of a piece: a match of the pattern or what lies between two.
type span struct {
	start, end int
	match      bool
}

// merged applies the behaviors that join matches with their neighbours.
func (x *splitStep) merged(e *encoder, s string, first bool, level int) {
	var spans []span
	for i := 0; i < len(s); {
		start, end := x.splitter.next(s, i)
		if start > i {
			spans = append(spans, span{i, start, x.invert})
		}
		if end > start {
			spans = append(spans, span{start, end, !x.invert})
		}
		i = end
	}
	for _, p := range merge(spans, x.behavior) {
		e.emit(s[p.start:p.end], first && p.start == 0, level)
	}
}

// merge joins spans in place.
func merge(spans []span, b behavior) []span {
	if b == mergedWithNext {
		return mergeNext(spans)
	}
	out, previous := spans[:0], false
	for _, p := range spans {
		join := p.match == previous
		if b == mergedWithPrevious {
			join = p.match && !previous
		}
		previous = p.match
		if join && len(out) > 0 {
			out[len(out)-1].end = p.end
			continue
		}
		out = append(out, p)
	}
	return out
}

func mergeNext(spans []span) []span {
	k, next := len(spans), false
	for i := len(spans) - 1; i >= 0; i-- {
		p := spans[i]
		if p.match && !next && k < len(spans) {
			spans[k].start = p.start
		} else {
			k--
			spans[k] = p
		}
		next = p.match
	}
	return spans[k:]
}

// regexpStep is Split with a pattern that only regexp2 knows; its matches may be empty, which the merging behaviors see.
type regexpStep struct {
	re       *regexpSplit
	behavior behavior
	invert   bool
}

func (x *regexpStep) apply(e *encoder, s string, first bool, level int) {
	var spans []span
	i := 0
	for _, m := range x.re.spans(s) {
		if m[0] != i {
			spans = append(spans, span{i, m[0], x.invert})
		}
		spans = append(spans, span{m[0], m[1], !x.invert})
		i = m[1]
	}
	if i != len(s) {
		spans = append(spans, span{i, len(s), x.invert})
	}
	if x.behavior > removed {
		spans = merge(spans, x.behavior)
	}
	for _, p := range spans {
		if p.start < p.end && (x.behavior != removed || !p.match) {
			e.emit(s[p.start:p.end], first && p.start == 0, level)
		}
	}
}

// digitRuns is Digits with individual_digits false: runs of digits and runs of the rest.
type digitRuns struct{ classes *classTable }

func (x *digitRuns) apply(e *encoder, s string, first bool, level int) {
	for i := 0; i < len(s); {
		end := x.classes.run(s, i, classNumeric)
		if end == i {
			end = x.classes.runNot(s, i, classNumeric)
		}
		e.emit(s[i:end], first && i == 0, level)
		i = end
	}
}

// prepend says when Metaspace puts its sign before a piece.
type prepend int

const (
	prependAlways prepend = iota
	prependFirst
	prependNever
)

// metaspace writes a sign for each space and cuts before each sign.
type metaspace struct {
	sign    string
	prepend prepend
	split   bool
}

func (x *metaspace) apply(e *encoder, s string, first bool, level int) {
	s = strings.ReplaceAll(s, " ", x.sign)
	if (x.prepend == prependAlways || x.prepend == prependFirst && first) && !strings.HasPrefix(s, x.sign) {
		s = x.sign + s
	}
	if !x.split {
		e.emit(s, first, level)
		return
	}
	start := 0
	for i := range s {
		if i > start && strings.HasPrefix(s[i:], x.sign) {
			e.emit(s[start:i], first && start == 0, level)
			start = i
		}
	}
	e.emit(s[start:], first && start == 0, level)
}

// fixedLength cuts into pieces of so many code points.
type fixedLength struct{ length int }

func (x *fixedLength) apply(e *encoder, s string, first bool, level int) {
	start, n := 0, 0
	for i := range s {
		if n == x.length {
			e.emit(s[start:i], first && start == 0, level)
			start, n = i, 0
		}
		n++
	}
	e.emit(s[start:], first && start == 0, level)
}

// byteLevel is the pre-tokenizer ByteLevel. As the last step it leaves the bytes as they are, since the model reads them
// itself; before others it writes the character that stands for each.
type byteLevel struct {
	prefixSpace bool
	splitter    splitter // nil: use_regex is false
	last        bool
}

func (x *byteLevel) apply(e *encoder, s string, first bool, level int) {
	if x.prefixSpace && s != "" && s[0] != ' ' {
		s = " " + s
	}
	if x.splitter == nil {
		e.emit(x.text(s), first, level)
		return
	}
	for i := 0; i < len(s); {
		start, end := x.splitter.next(s, i)
		if x.last {
			e.emit(s[start:end], first && start == 0, level)
		} else {
			e.emit(byteChars(s[start:end]), first && start == 0, level)
		}
		i = end
	}
}

func (x *byteLevel) text(s string) string {
	if x.last {
		return s
	}
	return byteChars(s)
}
