package tokenize

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// parallelText is the length from which a text is worth cutting for several processors; a part has about partText.
const (
	parallelText = 256 << 10
	partText     = 64 << 10
)

// bytesPerID is what a token of a long text has at the least, mostly: memory for as many ids is taken at once.
const bytesPerID = 3

// keptIDs is how many ids, and symbols of one piece, an idle encoder keeps memory for.
const keptIDs = 1 << 18

// encoder returns an idle encoder, with its cache as it was left, or a new one.
func (t *Tokenizer) encoder() *encoder {
	select {
	case e := <-t.idle:
		return e
	default:
		return &encoder{Tokenizer: t}
	}
}

// release keeps an encoder for later, as many as there are processors; large buffers are let go.
func (t *Tokenizer) release(e *encoder) {
	if cap(e.ids) > keptIDs {
		e.ids = nil
	}
	if cap(e.symbols) > keptIDs {
		e.symbols, e.queue = nil, mergeQueue{}
	}
	select {
	case t.idle <- e:
	default:
	}
}

// parallel calls do for 0 to n-1 on as many goroutines as there are processors, each with an encoder of its own. A panic
// in one is raised again in the caller, whose fence it then meets.
func (t *Tokenizer) parallel(n int, do func(e *encoder, i int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	var next atomic.Int64
	var failed atomic.Pointer[string]
	work := func() {
		defer func() {
			if r := recover(); r != nil {
				text := fmt.Sprint(r)
				failed.Store(&text)
			}
		}()
		e := t.encoder()
		defer t.release(e)
		for i := int(next.Add(1)) - 1; i < n && failed.Load() == nil; i = int(next.Add(1)) - 1 {
			do(e, i)
		}
	}
	var group sync.WaitGroup
	for range workers - 1 {
		group.Go(work)
	}
	work()
	group.Wait()
	if text := failed.Load(); text != nil {
		panic("tokenize: " + *text)
	}
}

// parts cuts a long text into parts that give the same ids alone; there is one where no such cut is known.
func (e *encoder) parts(s string) []string {
	var parts []string
	for e.boundary != nil && len(s) > 2*partText {
		cut := e.boundary(s, partText)
		if cut <= 0 {
			break
		}
		parts, s = append(parts, s[:cut]), s[cut:]
	}
	return append(parts, s)
}

// plainParallel does what plain does with a text that was cut into parts.
func (e *encoder) plainParallel(parts []string, first bool) {
	ids := make([][]int32, len(parts))
	e.parallel(len(parts), func(w *encoder, i int) {
		w.ids = w.ids[:0]
		w.emit(parts[i], first && i == 0, 0)
		ids[i] = append([]int32(nil), w.ids...)
	})
	total := 0
	for _, part := range ids {
		total += len(part)
	}
	e.ids = slices.Grow(e.ids, total)
	for _, part := range ids {
		e.ids = append(e.ids, part...)
	}
}

// safeBoundary returns the function that finds a place at or after s[i] where a text may be cut: both parts, each
// pre-tokenized and merged alone, give what they give together. It is nil where no such place is known.
//
// For the known patterns it is between a single line end and an ASCII letter: no match runs over a line end into a
// letter, and that white space ends there, which some patterns look ahead for, makes no difference to a match of the line
// end alone. For texts that are not pre-tokenized it is between two characters that no token holds.
func (t *Tokenizer) safeBoundary() func(s string, i int) int {
	if len(t.steps) == 0 {
		if t.bpe.cuts == nil || !t.bpe.complete {
			return nil
		}
		return t.bpe.boundary
	}
	for _, s := range t.steps {
		switch s := s.(type) {
		case *splitStep:
			if _, text := s.splitter.(*stringSplit); text || s.behavior > removed {
				return nil
			}
		case *byteLevel:
			if s.prefixSpace || s.splitter == nil && len(t.steps) == 1 {
				return nil
			}
		case *digitRuns:
		default:
			return nil
		}
	}
	if !t.cutsAtLines() {
		return nil
	}
	return lineBoundary
}

// cutsAtLines says that some step always cuts between a line end and a letter.
func (t *Tokenizer) cutsAtLines() bool {
	for _, s := range t.steps {
		switch s := s.(type) {
		case *splitStep:
			switch s.splitter.(type) {
			case *wordSplit, *caseSplit, *gpt2Split, *deepseekSplit:
				return true
			}
		case *byteLevel:
			if s.splitter != nil {
				return true
			}
		}
	}
	return false
}

// lineBoundary finds a cut for the known patterns; 0 where there is none.
func lineBoundary(s string, i int) int {
	for i < len(s) {
		k := strings.IndexByte(s[i:], '\n')
		if k < 0 || i+k+1 >= len(s) {
			return 0
		}
		i += k + 1
		if asciiLetter(s[i]) && i >= 2 && ' ' < s[i-2] && s[i-2] < 0x7F {
			return i
		}
	}
	return 0
}

// boundary finds a cut between two code points that no token holds; 0 where there is none.
func (b *bpe) boundary(s string, i int) int {
	last := rune(-1)
	for k, r := range s[min(i, len(s)):] {
		if r == '\uFFFD' {
			last = -1
			continue
		}
		if last >= 0 && !b.cuts.joined(last, r) {
			return i + k
		}
		last = r
	}
	return 0
}
