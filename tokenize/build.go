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
	b := &bpe{bytes: byteLevel, pairs: newPairTable(len(m.merges)), unknown: noID, fuse: m.FuseUnk,
		ignoreMerges: m.IgnoreMerges, seed: maphash.MakeSeed()}
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
		return nil, errors.New("Replace has no content")
	}
	switch {
	case p.Pattern.String != nil && *p.Pattern.String != "":
		return replaceText{*p.Pattern.String, *p.Content}, nil
	case p.Pattern.Regex != nil:
		re, err := newRegexpSplit(*p.Pattern.Regex)
		if err != nil {
			return nil, fmt.Errorf("Replace: %w", err)
		}
		return replacePattern{re, *p.Content}, nil
	}
	return nil, errors.New("Replace has no pattern that is supported")
}

func unsupported(p *part) error {
	if p.Type == "" {
		return errors.New("a part without a type")
	}
	return fmt.Errorf("%q is not supported", clip(p.Type))
}

// buildSteps builds the pre-tokenizer and says whether it leaves raw bytes.
func (t *Tokenizer) buildSteps(p *part) (byteLast bool, err error) {
	if p == nil {
		return false, nil
	}
	if err := t.addStep(p); err != nil {
		return false, err
	}
	if len(t.steps) == 0 {
		return false, nil
	}
	for i, s := range t.steps {
		if b, ok := s.(*byteLevel); ok && i == len(t.steps)-1 {
			b.last, byteLast = true, true
		}
	}
	return byteLast, nil
}

func (t *Tokenizer) addStep(p *part) error {
	if p.Type == "Sequence" {
		for i := range p.PreTokenizers {
			if err := t.addStep(&p.PreTokenizers[i]); err != nil {
				return err
			}
		}
		return nil
	}
	s, err := newStep(p)
	if err != nil {
		return err
	}
	if s != nil {
		t.steps = append(t.steps, s)
	}
	return nil
}

// newStep builds one pre-tokenizer; nil where it does nothing.
func newStep(p *part) (step, error) {
	c := classes()
	switch p.Type {
	case "ByteLevel":
		if p.AddPrefixSpace == nil {
			return nil, errors.New("ByteLevel has no add_prefix_space")
		}
		b := &byteLevel{prefixSpace: *p.AddPrefixSpace}
		if p.UseRegex == nil || *p.UseRegex {
			b.splitter = &gpt2Split{c}
		}
		return b, nil
	case "Split":
		return newSplit(p)
	case "Digits":
		if p.IndividualDigits == nil {
			return nil, errors.New("Digits has no individual_digits")
		}
		if *p.IndividualDigits {
			return &splitStep{splitter: &classSplit{c, classNumeric}, behavior: isolated}, nil
		}
		return &digitRuns{c}, nil
	case "Metaspace":
		return newMetaspace(p)
	case "Punctuation":
		b, ok := behaviors[p.Behavior]
		if p.Behavior != "" && !ok {
			return nil, fmt.Errorf("Punctuation: behavior %q is not supported", clip(p.Behavior))
		}
		return &splitStep{splitter: &classSplit{c, classMarks}, behavior: b}, nil
	case "Whitespace":
		return &splitStep{splitter: &wordOrMark{c}, behavior: removed, invert: true}, nil
	case "WhitespaceSplit":
		return &splitStep{splitter: &classSplit{c, classBlank}, behavior: removed}, nil
	case "CharDelimiterSplit", "Delimiter":
		if utf8.RuneCountInString(p.Delimiter) != 1 {
			return nil, fmt.Errorf("delimiter %q is not one character", clip(p.Delimiter))
		}
		return &splitStep{splitter: &stringSplit{p.Delimiter}, behavior: removed}, nil
	case "FixedLength":
		n := 5
		if p.Length != nil {
			n = *p.Length
		}
		if n < 1 {
			return nil, fmt.Errorf("FixedLength: length %d is not supported", n)
		}
		return &fixedLength{n}, nil
	}
	return nil, unsupported(p)
}

func newSplit(p *part) (step, error) {
	b, ok := behaviors[p.Behavior]
	if !ok {
		return nil, fmt.Errorf("Split: behavior %q is not supported", clip(p.Behavior))
	}
	switch {
	case p.Pattern.String != nil && *p.Pattern.String != "":
		return &splitStep{&stringSplit{*p.Pattern.String}, b, p.Invert}, nil
	case p.Pattern.Regex != nil:
		if s := knownSplitter(*p.Pattern.Regex); s != nil {
			return &splitStep{s, b, p.Invert}, nil
		}
		re, err := newRegexpSplit(*p.Pattern.Regex)
		if err != nil {
			return nil, fmt.Errorf("Split: %w", err)
		}
		return &regexpStep{re, b, p.Invert}, nil
	}
	return nil, errors.New("Split has no pattern that is supported")
}

func newMetaspace(p *part) (step, error) {
	m, err := metaspaceOf(p)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// metaspaceOf reads the fields of Metaspace, which pre-tokenizer and decoder share.
func metaspaceOf(p *part) (*metaspace, error) {
	if utf8.RuneCountInString(p.Replacement) != 1 {
		return nil, fmt.Errorf("Metaspace: replacement %q is not one character", clip(p.Replacement))
	}
	m := &metaspace{sign: p.Replacement, split: p.Split == nil || *p.Split}
	switch p.PrependScheme {
	case "", "always":
	case "first":
		m.prepend = prependFirst
	case "never":
		m.prepend = prependNever
	default:
		return nil, fmt.Errorf("Metaspace: prepend_scheme %q is not supported", clip(p.PrependScheme))
	}
	if p.AddPrefixSpace != nil && !*p.AddPrefixSpace {
		if m.prepend != prependNever && p.PrependScheme != "" {
			return nil, errors.New("Metaspace: add_prefix_space does not match prepend_scheme")
		}
		m.prepend = prependNever
	}
	return m, nil
}

// templatePart is the text, or ids that the post-processor adds.
type templatePart struct {
	text bool
	ids  []int32
}

// buildTemplate reads what the post-processor adds to one text.
func buildTemplate(p *part) ([]templatePart, error) {
	out := []templatePart{{text: true}}
	if p == nil {
		return out, nil
	}
	switch p.Type {
	case "ByteLevel": // changes offsets only
	case "Sequence":
		for i := range p.Processors {
			inner, err := buildTemplate(&p.Processors[i])
			if err != nil {
				return nil, err
			}
			out = nest(inner, out)
		}
		if len(out) > maxTemplate {
			return nil, fmt.Errorf("a template of more than %d parts is not supported", maxTemplate)
		}
	case "BertProcessing", "RobertaProcessing":
		return []templatePart{{ids: []int32{p.Cls.id}}, {text: true}, {ids: []int32{p.Sep.id}}}, nil
	case "TemplateProcessing":
		return templateOf(p)
	default:
		return nil, unsupported(p)
	}
	return out, nil
}

const maxTemplate = 64

// nest puts what the processors so far make where the next one has its text.
func nest(outer, text []templatePart) []templatePart {
	var out []templatePart
	for _, p := range outer {
		if !p.text {
			out = append(out, p)
		} else if len(out) <= maxTemplate {
			out = append(out, text...)
		}
	}
	return out
}

func templateOf(p *part) ([]templatePart, error) {
	var out []templatePart
	if len(p.Single) > maxTemplate {
		return nil, fmt.Errorf("a template of more than %d parts is not supported", maxTemplate)
	}
	for _, item := range p.Single {
		switch {
		case item.Sequence != nil && item.Sequence.ID == "A":
			out = append(out, templatePart{text: true})
		case item.SpecialToken != nil:
			special, ok := p.SpecialTokens[item.SpecialToken.ID]
			if !ok {
				return nil, fmt.Errorf("special token %q is not defined", clip(item.SpecialToken.ID))
			}
			for _, id := range special.IDs {
				if id < 0 || id > maxID {
					return nil, fmt.Errorf("special token %q has id %d", clip(item.SpecialToken.ID), id)
				}
			}
			out = append(out, templatePart{ids: special.IDs})
		default:
			return nil, errors.New("an item of the template is neither sequence A nor a special token")
		}
	}
	return out, nil
}
