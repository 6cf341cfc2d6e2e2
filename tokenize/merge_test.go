package tokenize

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// naive merges as the definition of byte-pair encoding says: of all neighbours the pair of the lowest rank, the leftmost
// of these, until there is none.
func naive(merges []string, text string) []string {
	parts := strings.Split(text, "")
	for {
		best, at := len(merges), -1
		for i := 0; i+1 < len(parts); i++ {
			if r := slices.Index(merges, parts[i]+" "+parts[i+1]); r >= 0 && r < best {
				best, at = r, i
			}
		}
		if at < 0 {
			return parts
		}
		parts = slices.Replace(parts, at, at+2, parts[at]+parts[at+1])
	}
}

// Both ways of merging, the cache between calls and the cutting of pieces give what the definition gives.
func TestMerge(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		merges := []string{}
		known := []string{"a", "b", "c", "▁"}
		for range rapid.IntRange(0, 20).Draw(r, "merges") {
			left, right := rapid.SampledFrom(known).Draw(r, "left"), rapid.SampledFrom(known).Draw(r, "right")
			if m := left + " " + right; len(left+right) <= 16 && !slices.Contains(merges, m) {
				merges = append(merges, m)
				if !slices.Contains(known, left+right) {
					known = append(known, left+right)
				}
			}
		}
		vocab := map[string]int{}
		for i, piece := range known {
			vocab[piece] = i
		}
		tok := parsed(t, fields{"version": "1.0", "model": fields{"type": "BPE", "vocab": vocab, "merges": merges}})
		for range 3 {
			text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(known[:4]), 1, 120).Draw(r, "text"), "")
			var want []int32
			for _, piece := range naive(merges, text) {
				want = append(want, int32(vocab[piece]))
			}
			if diff := cmp.Diff(want, tok.Encode(text, Options{})); diff != "" {
				r.Fatalf("merges %q, text %q (-want +got):\n%s", merges, text, diff)
			}
			e := tok.encoder()
			e.ids, e.symbols = nil, e.symbols[:0]
			e.runeSymbols(text)
			e.mergeLong()
			if diff := cmp.Diff(want, e.ids); diff != "" {
				r.Fatalf("merges %q, text %q, by heap (-want +got):\n%s", merges, text, diff)
			}
			tok.release(e)
		}
	})
}

// Texts without a pre-tokenizer are cut where no token reaches over; this must not show.
func TestCuts(t *testing.T) {
	tok := parsed(t, mistralFile())
	if tok.bpe.cuts == nil {
		t.Fatal("nothing is cut")
	}
	whole := parsed(t, mistralFile())
	whole.bpe.cuts = nil
	rapid.Check(t, func(r *rapid.T) {
		text := strings.Join(rapid.SliceOf(rapid.SampledFrom([]string{"hello", " the", " ", "  ", "and", "é", "中", "x", "\n", "\U0001F600", "▁", "the"})).Draw(r, "parts"), "")
		if diff := cmp.Diff(whole.Encode(text, Options{}), tok.Encode(text, Options{})); diff != "" {
			r.Fatalf("%q (-whole +cut):\n%s", text, diff)
		}
	})
}

// Unknown characters become byte tokens, one unk_token for all in a row, one for each, or nothing.
func TestUnknown(t *testing.T) {
	f := func(change func(fields) fields, want ...string) {
		t.Helper()
		tok := parsed(t, change(mistralFile()))
		var got []string
		for _, id := range tok.Encode("aÿÿb", Options{}) {
			piece, _ := tok.Piece(id)
			got = append(got, piece)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	f(func(x fields) fields { return x }, "▁a", "<0xC3>", "<0xBF>", "<0xC3>", "<0xBF>", "b")
	f(func(x fields) fields { return withModel(x, "byte_fallback", false) }, "▁a", "<unk>", "b")
	f(func(x fields) fields { return withModel(withModel(x, "byte_fallback", false), "fuse_unk", false) }, "▁a", "<unk>", "<unk>", "b")
	f(func(x fields) fields { return withModel(withModel(x, "byte_fallback", false), "unk_token", nil) }, "▁a", "b")
}

// The cache gives what merging gives, though many pieces share a slot.
func TestCache(t *testing.T) {
	tok, fresh := parsed(t, llamaFile()), parsed(t, llamaFile())
	e := fresh.encoder()
	for i := range 3 * cacheSlots {
		piece := fmt.Sprintf("hello%dthe", i*7%(2*cacheSlots))
		e.ids = nil
		e.merge(piece)
		if got := tok.Encode(piece, Options{}); !slices.Equal(got, splitIDs(fresh, e, piece)) {
			t.Fatalf("%q: %v", piece, got)
		}
	}
}

// splitIDs encodes without the cache.
func splitIDs(tok *Tokenizer, e *encoder, text string) []int32 {
	e.ids = nil
	for _, p := range pieces(tok, text) {
		e.merge(p)
	}
	return e.ids
}
