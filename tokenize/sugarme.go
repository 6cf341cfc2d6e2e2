package tokenize

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	sugarme "github.com/sugarme/tokenizer"
	normalized "github.com/sugarme/tokenizer/normalizer"
)

// The parts of a Tokenizer as those of sugarme/tokenizer, for programs that are built on its pipeline. Pieces go through
// it as the text has them, not as the characters that stand for their bytes, so PreTokenizer and Model belong together.

// SugarmeModel is the byte-pair encoding of a Tokenizer as a sugarme Model.
type SugarmeModel struct{ t *Tokenizer }

// SugarmePreTokenizer is the pre-tokenizer of a Tokenizer as a sugarme PreTokenizer.
type SugarmePreTokenizer struct{ t *Tokenizer }

// SugarmeDecoder is the decoder of a Tokenizer as a sugarme Decoder.
type SugarmeDecoder struct{ t *Tokenizer }

var (
	_ sugarme.Model        = SugarmeModel{}
	_ sugarme.PreTokenizer = SugarmePreTokenizer{}
	_ sugarme.Decoder      = SugarmeDecoder{}
)

// Sugarme returns the parts of t.
func (t *Tokenizer) Sugarme() (SugarmeModel, SugarmePreTokenizer, SugarmeDecoder) {
	return SugarmeModel{t}, SugarmePreTokenizer{t}, SugarmeDecoder{t}
}

// Tokenize returns the tokens of one piece; their offsets are bytes of it.
func (m SugarmeModel) Tokenize(sequence string) ([]sugarme.Token, error) {
	if !utf8.ValidString(sequence) {
		return nil, errors.New("the piece is not UTF-8")
	}
	e := m.t.encoder()
	defer m.t.release(e)
	e.ids = e.ids[:0]
	if sequence != "" {
		e.model(sequence)
	}
	tokens, at := make([]sugarme.Token, len(e.ids)), 0
	for i, id := range e.ids {
		end := at + m.length(id)
		if id == m.t.bpe.unknown {
			end = len(sequence)
			if i+1 < len(e.ids) {
				if k := strings.Index(sequence[min(at+1, end):], m.t.pieces[e.ids[i+1]]); k >= 0 {
					end = at + 1 + k
				}
			}
		}
		end = min(end, len(sequence))
		tokens[i] = sugarme.NewToken(int(id), m.t.pieces[id], []int{at, end})
		at = end
	}
	return tokens, nil
}

// length returns how many bytes of a piece a token stands for.
func (m SugarmeModel) length(id int32) int {
	piece := m.t.pieces[id]
	if m.t.bpe.bytes {
		return utf8.RuneCountInString(piece)
	}
	if _, ok := byteToken(piece); ok && m.t.bpe.fallback != nil {
		return 1
	}
	return len(piece)
}

// TokenToId returns the id of a piece.
func (m SugarmeModel) TokenToId(token string) (id int, ok bool) { //nolint:revive // sugarme's name
	i, ok := m.t.ID(token)
	return int(i), ok
}

// IdToToken returns the piece of an id.
func (m SugarmeModel) IdToToken(id int) (token string, ok bool) { //nolint:revive // sugarme's name
	if id < 0 || id > maxID {
		return "", false
	}
	return m.t.Piece(int32(id))
}

// GetVocab returns all pieces with their ids.
func (m SugarmeModel) GetVocab() map[string]int {
	out := make(map[string]int, len(m.t.ids))
	for piece, id := range m.t.ids {
		out[piece] = int(id)
	}
	return out
}

// GetVocabSize returns the number of pieces.
func (m SugarmeModel) GetVocabSize() int { return len(m.t.ids) }

// Save writes vocab.json and merges.txt, as Hugging Face's BPE model does, into the folder path; the first of prefix, if
// any, goes before their names.
func (m SugarmeModel) Save(path string, prefix ...string) error {
	name := ""
	if len(prefix) > 0 && prefix[0] != "" {
		name = prefix[0] + "-"
	}
	vocab, err := json.Marshal(m.t.ids)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(path, name+"vocab.json"), vocab, 0o644); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(path, name+"merges.txt"))
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, "#version: 0.2")
	for _, e := range m.t.bpe.merges() {
		fmt.Fprintf(w, "%s %s\n", m.t.pieces[e.key>>32], m.t.pieces[uint32(e.key)])
	}
	return errors.Join(w.Flush(), f.Close())
}

// merges returns the merges by rank.
func (b *bpe) merges() []pairEntry {
	var out []pairEntry
	for _, e := range b.pairs.entries {
		if e.key != noKey {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(x, y pairEntry) int { return cmp.Compare(x.rank, y.rank) })
	return out
}

// PreTokenize cuts each part of the text into pieces. A pre-tokenizer that also changes the text (Metaspace,
// add_prefix_space) is refused: sugarme's alignments do not survive that.
func (p SugarmePreTokenizer) PreTokenize(text *sugarme.PreTokenizedString) (*sugarme.PreTokenizedString, error) {
	e := p.t.encoder()
	defer p.t.release(e)
	defer func() { e.collect = nil }()
	var failed error
	out := text.Split(func(_ int, part *normalized.NormalizedString) []sugarme.SplitIdx {
		s := part.GetNormalized()
		if failed == nil && !utf8.ValidString(s) {
			failed = errors.New("the text is not UTF-8")
		}
		if failed != nil || s == "" {
			return []sugarme.SplitIdx{{Normalized: part}}
		}
		var pieces []sugarme.SplitIdx
		at := 0
		e.collect = func(piece string) {
			if !strings.HasPrefix(s[at:], piece) {
				failed = errors.New("a pre-tokenizer that changes the text is not supported in sugarme's pipeline")
			}
			if failed != nil {
				return
			}
			slice := part.Slice(normalized.NewRange(at, at+len(piece), normalized.NormalizedTarget))
			pieces = append(pieces, sugarme.SplitIdx{Normalized: slice})
			at += len(piece)
		}
		e.emit(s, true, 0)
		return pieces
	})
	return out, failed
}

// Decode returns the text of pieces.
func (d SugarmeDecoder) Decode(tokens []string) string {
	s := d.t.NewStream(false)
	return s.pieces(tokens)
}

// DecodeChain returns the text of pieces as one part.
func (d SugarmeDecoder) DecodeChain(tokens []string) []string { return []string{d.Decode(tokens)} }
