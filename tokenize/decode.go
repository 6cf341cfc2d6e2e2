package tokenize

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A decoder is one part of the section "decoder". It gets the pieces of a text in order and hands on what is sure; what
// later pieces may change it holds back until flush. Decode and Stream run the same parts, so a stream's texts put
// together are the decoded whole.
type decoder interface {
	start() decoding
}

// decoding is the state of a decoder in one text.
type decoding interface {
	// push takes a part of a piece; fresh says that it begins one.
	push(s string, fresh bool, emit func(s string, fresh bool))
	// flush ends the text.
	flush(emit func(s string, fresh bool))
}

// buildDecoders flattens the section "decoder".
func buildDecoders(p *part) ([]decoder, error) {
	if p == nil {
		return []decoder{&joinDecoder{}}, nil
	}
	out, err := addDecoders(nil, p)
	if err != nil {
		return nil, err
	}
	// Behind the parts that join pieces a text comes in parts, where only single characters can be found.
	joined := false
	for _, d := range out {
		switch d := d.(type) {
		case byteDecoder, fuseDecoder:
			joined = true
		case *eachDecoder:
			if joined && !d.local {
				return nil, errors.New(`a "Replace" of more than one character behind Fuse or ByteLevel is not supported`)
			}
		case *fallbackDecoder, *suffixDecoder, *metaspaceDecoder:
			if joined {
				return nil, errors.New("a part behind Fuse or ByteLevel that needs whole pieces is not supported")
			}
		}
	}
	return out, nil
}

func addDecoders(out []decoder, p *part) ([]decoder, error) {
	switch p.Type {
	case "Sequence":
		for i := range p.Decoders {
			var err error
			if out, err = addDecoders(out, &p.Decoders[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	case "ByteLevel":
		return append(out, byteDecoder{}), nil
	case "ByteFallback":
		return append(out, &fallbackDecoder{}), nil
	case "Fuse":
		return append(out, fuseDecoder{}), nil
	case "Replace":
		n, err := newReplace(p)
		if err != nil {
			return nil, err
		}
		text, ok := n.(replaceText)
		return append(out, &eachDecoder{n.normalize, ok && utf8.RuneCountInString(text.old) == 1}), nil
	case "Strip":
		if p.Content == nil || utf8.RuneCountInString(*p.Content) != 1 || p.Start < 0 || p.Stop < 0 {
			return nil, errors.New(`"Strip" has no content of one character, or a negative count`)
		}
		return append(out, &stripDecoder{*p.Content, p.Start, p.Stop}), nil
	case "Metaspace":
		m, err := metaspaceOf(p)
		if err != nil {
			return nil, err
		}
		return append(out, &metaspaceDecoder{m.sign, m.prepend != prependNever}), nil
	case "BPEDecoder":
		if p.Suffix == nil || *p.Suffix == "" {
			return nil, errors.New(`"BPEDecoder" has no suffix`)
		}
		return append(out, &suffixDecoder{*p.Suffix}), nil
	}
	return nil, unsupported(p)
}

// Decode returns the text of ids. Ids that stand for nothing are left out; with skipSpecial so are special tokens.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) string {
	s := t.NewStream(skipSpecial)
	text := s.Next(ids)
	if len(ids) == 0 {
		return text
	}
	return text + s.Next(nil)
}

// decodePiece returns what the decoders get for an id, false where it is left out.
func (t *Tokenizer) decodePiece(id int32, skipSpecial bool) (string, bool) {
	piece, ok := t.Piece(id)
	if !ok {
		return "", false
	}
	if t.byID[id] != nil {
		if form, ok := t.normalForms[id]; ok {
			piece = form
		}
	}
	if skipSpecial && t.specials[piece] {
		return "", false
	}
	return piece, true
}

// Bytes returns the bytes that id stands for in a text; nil where it is none.
func (t *Tokenizer) Bytes(id int32) []byte {
	piece, ok := t.decodePiece(id, false)
	if !ok {
		return nil
	}
	for _, d := range t.decoders {
		switch d := d.(type) {
		case byteDecoder:
			if raw, ok := charBytes(piece); ok {
				return []byte(raw)
			}
		case *fallbackDecoder:
			if b, ok := byteToken(piece); ok {
				return []byte{b}
			}
		case *eachDecoder:
			piece = d.change(piece)
		case *metaspaceDecoder:
			piece = strings.ReplaceAll(piece, d.sign, " ")
		case *suffixDecoder:
			piece = strings.ReplaceAll(piece, d.suffix, " ")
		}
	}
	return []byte(piece)
}

// byteToken returns the byte of a piece like <0x0A>.
func byteToken(piece string) (byte, bool) {
	if len(piece) != 6 || !strings.HasPrefix(piece, "<0x") || piece[5] != '>' {
		return 0, false
	}
	b, err := strconv.ParseUint(strings.TrimPrefix(piece[3:5], "+"), 16, 8)
	return byte(b), err == nil
}
