package tokenize

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

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
			return nil, errors.New(`"ByteLevel" has no add_prefix_space`)
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
			return nil, errors.New(`"Digits" has no individual_digits`)
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
			return nil, fmt.Errorf(`"Punctuation": behavior %q is not supported`, clip(p.Behavior))
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
			return nil, fmt.Errorf(`"FixedLength": length %d is not supported`, n)
		}
		return &fixedLength{n}, nil
	}
	return nil, unsupported(p)
}

func newSplit(p *part) (step, error) {
	b, ok := behaviors[p.Behavior]
	if !ok {
		return nil, fmt.Errorf(`"Split": behavior %q is not supported`, clip(p.Behavior))
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
			return nil, fmt.Errorf(`"Split": %w`, err)
		}
		return &regexpStep{re, b, p.Invert}, nil
	}
	return nil, errors.New(`"Split" has no pattern that is supported`)
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
		return nil, fmt.Errorf(`"Metaspace": replacement %q is not one character`, clip(p.Replacement))
	}
	m := &metaspace{sign: p.Replacement, split: p.Split == nil || *p.Split}
	switch p.PrependScheme {
	case "", "always":
	case "first":
		m.prepend = prependFirst
	case "never":
		m.prepend = prependNever
	default:
		return nil, fmt.Errorf(`"Metaspace": prepend_scheme %q is not supported`, clip(p.PrependScheme))
	}
	if p.AddPrefixSpace != nil && !*p.AddPrefixSpace {
		if m.prepend != prependNever && p.PrependScheme != "" {
			return nil, errors.New(`"Metaspace": add_prefix_space does not match prepend_scheme`)
		}
		m.prepend = prependNever
	}
	return m, nil
}
