package tokenize

import (
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"unicode/utf8"
)

// newBPE builds the model. byteLevel says that the pieces it gets are raw bytes.
func newBPE(m *modelFile, byteLevel bool) (*bpe, error) {
	switch {
	case m.Dropout != nil && *m.Dropout != 0:
		return nil, fmt.Errorf("dropout %v is not supported: ids would be random", *m.Dropout)
	case m.ContinuingSubwordPrefix != nil && *m.ContinuingSubwordPrefix != "":
		return nil, fmt.Errorf("continuing_subword_prefix %q is not supported", clip(*m.ContinuingSubwordPrefix))
	case m.EndOfWordSuffix != nil && *m.EndOfWordSuffix != "":
		return nil, fmt.Errorf("end_of_word_suffix %q is not supported", clip(*m.EndOfWordSuffix))
	}
	b := &bpe{
		bytes: byteLevel, pairs: newPairTable(len(m.merges)), unknown: noID, fuse: m.FuseUnk,
		ignoreMerges: m.IgnoreMerges, seed: maphash.MakeSeed(),
	}
	if m.UnkToken != nil {
		if id, ok := m.vocab[*m.UnkToken]; ok {
			b.unknown = id
		}
	}
	if m.ByteFallback {
		b.fallback, b.complete = new([256]int32), true
		for i := range b.fallback {
			id, ok := m.vocab[fmt.Sprintf("<0x%02X>", i)]
			if !ok {
				id, b.complete = noID, false
			}
			b.fallback[i] = id
		}
	}
	var joined []byte
	for rank, pair := range m.merges {
		left, ok := m.vocab[pair[0]]
		right, ok2 := m.vocab[pair[1]]
		if !ok || !ok2 {
			return nil, fmt.Errorf("merge %d of %q and %q: not in the vocabulary", rank, clip(pair[0]), clip(pair[1]))
		}
		joined = append(append(joined[:0], pair[0]...), pair[1]...)
		id, ok := m.vocab[string(joined)]
		if !ok {
			return nil, fmt.Errorf("merge %d of %q and %q: what it gives is not in the vocabulary", rank, clip(pair[0]), clip(pair[1]))
		}
		b.pairs.set(left, right, uint32(rank), id)
	}
	b.symbolTables(m)
	if m.UnkToken != nil && b.unknown == noID && slices.Contains(b.byteSymbols[:], dropped) {
		return nil, fmt.Errorf("unk_token %q is not in the vocabulary", clip(*m.UnkToken))
	}
	if !byteLevel && !m.IgnoreMerges {
		b.cutTable(m)
	}
	return b, nil
}

// symbolTables fills in what each byte or code point is before any merge, and the pieces that skip merging.
func (b *bpe) symbolTables(m *modelFile) {
	for i, r := range byteChar {
		b.byteSymbols[i] = b.otherwise()
		if b.bytes {
			if id, ok := m.vocab[string(r)]; ok {
				b.byteSymbols[i] = id
			}
		}
	}
	if !b.bytes {
		for piece, id := range m.vocab {
			if r, n := utf8.DecodeRuneInString(piece); n > 0 && n == len(piece) {
				b.runeSymbols.set(r, id)
			}
		}
	}
	if !b.ignoreMerges {
		return
	}
	b.vocab = make(map[string]int32, len(m.vocab))
	for piece, id := range m.vocab {
		if b.bytes {
			raw, ok := charBytes(piece)
			if !ok {
				continue
			}
			piece = raw
		}
		b.vocab[piece] = id
		b.longest = max(b.longest, len(piece))
	}
}

// cutTable notes which code points are neighbours in what merges give. It stays away where a byte's token is merged:
// that one is not made of the code points it is written with.
func (b *bpe) cutTable(m *modelFile) {
	cuts := new(cutTable)
	for _, pair := range m.merges {
		for _, part := range pair {
			if b.fallback != nil && len(part) == 6 && strings.HasPrefix(part, "<0x") && part[5] == '>' {
				return
			}
		}
		left, _ := utf8.DecodeLastRuneInString(pair[0])
		right, _ := utf8.DecodeRuneInString(pair[1])
		cuts.add(left, right)
	}
	b.cuts = cuts
}

// buildNormalizer builds the normalizer and what is needed to follow a place through it.
func (t *Tokenizer) buildNormalizer(p *part) error {
	if p == nil {
		return nil
	}
	var chain, rest normalizers
	aligned := true
	var add func(p *part) error
	add = func(p *part) error {
		if p.Type == "Sequence" {
			for i := range p.Normalizers {
				if err := add(&p.Normalizers[i]); err != nil {
					return err
				}
			}
			return nil
		}
		n, local, err := newNormalizer(p)
		if err != nil {
			return err
		}
		chain = append(chain, n)
		if _, ok := n.(prependText); !ok {
			rest = append(rest, n)
			aligned = aligned && local
		}
		return nil
	}
	if err := add(p); err != nil {
		return err
	}
	if len(chain) == 0 {
		return nil
	}
	t.normalizer = chain
	if aligned {
		t.alignment = rest
		t.prepended = len(chain.normalize("x")) - len(rest.normalize("x"))
	}
	return nil
}

// newNormalizer builds one normalizer. local says that the parts of a text may be normalized alone, where no control
// token straddles them.
func newNormalizer(p *part) (n normalizer, local bool, err error) {
	switch p.Type {
	case "NFC":
		return newForm(false, true), true, nil
	case "NFD":
		return newForm(false, false), true, nil
	case "NFKC":
		return newForm(true, true), true, nil
	case "NFKD":
		return newForm(true, false), true, nil
	case "Lowercase":
		return lowercase{}, true, nil
	case "StripAccents":
		return stripAccents{classes()}, true, nil
	case "Nmt":
		return nmt{}, true, nil
	case "ByteLevel":
		return byteText{}, true, nil
	case "Strip":
		return strip{classes(), p.StripLeft, p.StripRight}, false, nil
	case "Prepend":
		return prependText(p.Prepend), true, nil
	case "Replace":
		n, err := newReplace(p)
		text, ok := n.(replaceText)
		return n, ok && utf8.RuneCountInString(text.old) == 1, err
	}
	return nil, false, unsupported(p)
}

func newReplace(p *part) (normalizer, error) {
	if p.Content == nil {
		return nil, errors.New(`"Replace" has no content`)
	}
	switch {
	case p.Pattern.String != nil && *p.Pattern.String != "":
		return replaceText{*p.Pattern.String, *p.Content}, nil
	case p.Pattern.Regex != nil:
		re, err := newRegexpSplit(*p.Pattern.Regex)
		if err != nil {
			return nil, fmt.Errorf(`"Replace": %w`, err)
		}
		return replacePattern{re, *p.Content}, nil
	}
	return nil, errors.New(`"Replace" has no pattern that is supported`)
}

func unsupported(p *part) error {
	if p.Type == "" {
		return errors.New("a part without a type")
	}
	return fmt.Errorf("%q is not supported", clip(p.Type))
}
