package convert

import (
	"cmp"
	"fmt"
	"slices"
	"unicode/utf8"
)

// blank is what SentencePiece writes for a blank.
const blank = "▁"

// makeMerges finds the merges of a SentencePiece vocabulary. It merges the pair whose token has the best score, which is what
// BPE does with the pairs of every token in the order of the scores (SentencePieceExtractor in transformers'
// convert_slow_tokenizer.py).
func (t *tokenizer) makeMerges(scores []float64) error {
	if len(scores) != len(t.tokens) {
		return fmt.Errorf("%d scores for %d tokens", len(scores), len(t.tokens))
	}
	normal := make(map[string]int, len(t.tokens))
	for id, s := range t.tokens {
		if t.types[id] == tokenNormal {
			normal[s] = id
		}
	}
	type merge struct {
		pair  [2]string
		score float64
		ids   [2]int
	}
	const longest = 256 // bytes of a token whose pairs are looked for: the time is quadratic
	var merges []merge
	for id, s := range t.tokens {
		if t.types[id] != tokenNormal || len(s) > longest {
			continue
		}
		for i := range s {
			if i == 0 {
				continue
			}
			left, there := normal[s[:i]]
			right, too := normal[s[i:]]
			if there && too {
				merges = append(merges, merge{[2]string{s[:i], s[i:]}, scores[id], [2]int{left, right}})
			}
		}
	}
	slices.SortStableFunc(merges, func(a, b merge) int {
		length := func(s string) int { return utf8.RuneCountInString(s) }
		return cmp.Or(
			cmp.Compare(b.score, a.score),
			cmp.Compare(length(b.pair[0]), length(a.pair[0])),
			cmp.Compare(length(b.pair[1]), length(a.pair[1])),
			slices.Compare(a.ids[:], b.ids[:]),
		)
	})
	t.merges = make([][2]string, len(merges))
	for i, m := range merges {
		t.merges[i] = m.pair
	}
	return nil
}

// blanks is the normalizer: it writes blanks as SentencePiece does.
func (t *tokenizer) blanks() any {
	replace := map[string]any{"type": "Replace", "pattern": map[string]any{"String": " "}, "content": blank}
	if !t.spacePrefix {
		return replace
	}
	return map[string]any{"type": "Sequence", "normalizers": []any{map[string]any{"type": "Prepend", "prepend": blank}, replace}}
}

// unblanks is the decoder: blanks and bytes become what they stand for, and the first blank goes where one was put.
func (t *tokenizer) unblanks() any {
	steps := []any{
		map[string]any{"type": "Replace", "pattern": map[string]any{"String": blank}, "content": " "},
		map[string]any{"type": "ByteFallback"},
		map[string]any{"type": "Fuse"},
	}
	if t.spacePrefix {
		steps = append(steps, map[string]any{"type": "Strip", "content": " ", "start": 1, "stop": 0})
	}
	return map[string]any{"type": "Sequence", "decoders": steps}
}
