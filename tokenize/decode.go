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
				return nil, errors.New("a Replace of more than one character behind Fuse or ByteLevel is not supported")
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
			return nil, errors.New("Strip has no content of one character, or a negative count")
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
			return nil, errors.New("BPEDecoder has no suffix")
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

// Stream turns the ids of one text into text as they come. It is not safe for concurrent use.
type Stream struct {
	t           *Tokenizer
	skipSpecial bool
	parts       []decoding
	emits       []func(s string, fresh bool)
	out         strings.Builder
}

// NewStream returns a stream for one text. With skipSpecial special tokens give no text.
func (t *Tokenizer) NewStream(skipSpecial bool) *Stream {
	s := &Stream{t: t, skipSpecial: skipSpecial}
	s.emits = make([]func(string, bool), len(t.decoders)+1)
	for i, d := range t.decoders {
		p := d.start()
		s.parts = append(s.parts, p)
		s.emits[i] = func(text string, fresh bool) { p.push(text, fresh, s.emits[i+1]) }
	}
	s.emits[len(t.decoders)] = func(text string, _ bool) { s.out.WriteString(text) }
	return s
}

// Next returns the text that ids complete: never half a rune, and nothing that a later id may change. With no ids it
// returns what is still held back; the text is over then.
func (s *Stream) Next(ids []int32) string {
	s.out = strings.Builder{}
	for _, id := range ids {
		if piece, ok := s.t.decodePiece(id, s.skipSpecial); ok {
			s.emits[0](piece, true)
		}
	}
	if len(ids) == 0 {
		s.flush()
	}
	return s.out.String()
}

// pieces returns the text of pieces, all there are.
func (s *Stream) pieces(pieces []string) string {
	for _, piece := range pieces {
		s.emits[0](piece, true)
	}
	s.flush()
	return s.out.String()
}

func (s *Stream) flush() {
	for i, p := range s.parts {
		p.flush(s.emits[i+1])
	}
}

// byteDecoder is the decoder ByteLevel: all pieces together are the bytes of one text.
type byteDecoder struct{}

func (byteDecoder) start() decoding { return &byteDecoding{} }

type byteDecoding struct {
	held    []byte
	started bool
}

func (d *byteDecoding) push(s string, _ bool, emit func(string, bool)) {
	before := len(d.held)
	for _, r := range s {
		if int(r) >= len(charByte) || charByte[r] < 0 {
			d.held = append(d.held[:before], s...)
			break
		}
		d.held = append(d.held, byte(charByte[r]))
	}
	n := len(d.held) - incomplete(d.held)
	if n > 0 {
		emit(validText(string(d.held[:n])), !d.started)
		d.started = true
		d.held = append(d.held[:0], d.held[n:]...)
	}
}

func (d *byteDecoding) flush(emit func(string, bool)) {
	if len(d.held) > 0 {
		emit(validText(string(d.held)), !d.started)
	}
	*d = byteDecoding{}
}

// fallbackDecoder is ByteFallback: a run of byte tokens is a text if all of it is UTF-8, else one U+FFFD a byte.
type fallbackDecoder struct{}

func (*fallbackDecoder) start() decoding { return &fallbackDecoding{} }

type fallbackDecoding struct{ held []byte }

func (d *fallbackDecoding) push(s string, fresh bool, emit func(string, bool)) {
	if b, ok := byteToken(s); ok {
		d.held = append(d.held, b)
		return
	}
	d.flush(emit)
	emit(s, fresh)
}

func (d *fallbackDecoding) flush(emit func(string, bool)) {
	switch {
	case len(d.held) == 0:
		return
	case utf8.Valid(d.held):
		emit(string(d.held), true)
	default:
		for range d.held {
			emit("\uFFFD", true)
		}
	}
	d.held = d.held[:0]
}

// fuseDecoder makes one piece of all.
type fuseDecoder struct{}

func (fuseDecoder) start() decoding { return &fuseDecoding{} }

type fuseDecoding struct{ started bool }

func (d *fuseDecoding) push(s string, _ bool, emit func(string, bool)) {
	emit(s, !d.started)
	d.started = true
}

func (d *fuseDecoding) flush(func(string, bool)) { d.started = false }

// eachDecoder changes each piece alone. local says that it also changes parts of one rightly.
type eachDecoder struct {
	change func(string) string
	local  bool
}

func (d *eachDecoder) start() decoding { return d }

func (d *eachDecoder) push(s string, fresh bool, emit func(string, bool)) { emit(d.change(s), fresh) }

func (d *eachDecoder) flush(func(string, bool)) {}

// metaspaceDecoder writes spaces for signs; those of the first piece go where the pre-tokenizer put one there.
type metaspaceDecoder struct {
	sign  string
	first bool
}

func (d *metaspaceDecoder) start() decoding { return &metaspaceDecoding{metaspaceDecoder: d} }

type metaspaceDecoding struct {
	*metaspaceDecoder
	started bool
}

func (d *metaspaceDecoding) push(s string, fresh bool, emit func(string, bool)) {
	space := " "
	if !d.started && d.first {
		space = ""
	}
	d.started = true
	emit(strings.ReplaceAll(s, d.sign, space), fresh)
}

func (d *metaspaceDecoding) flush(func(string, bool)) { d.started = false }

// suffixDecoder is BPEDecoder: the suffix that ends a word is a space, but for the last piece.
type suffixDecoder struct{ suffix string }

func (d *suffixDecoder) start() decoding { return &suffixDecoding{suffixDecoder: d} }

type suffixDecoding struct {
	*suffixDecoder
	held  string
	holds bool
}

func (d *suffixDecoding) push(s string, _ bool, emit func(string, bool)) {
	if d.holds {
		emit(strings.ReplaceAll(d.held, d.suffix, " "), true)
	}
	d.held, d.holds = s, true
}

func (d *suffixDecoding) flush(emit func(string, bool)) {
	if d.holds {
		emit(strings.ReplaceAll(d.held, d.suffix, ""), true)
	}
	d.held, d.holds = "", false
}

// joinDecoder stands where a file has no decoder: pieces are joined with spaces.
type joinDecoder struct{}

func (*joinDecoder) start() decoding { return &joinDecoding{} }

type joinDecoding struct{ started bool }

func (d *joinDecoding) push(s string, fresh bool, emit func(string, bool)) {
	if d.started {
		s = " " + s
	}
	d.started = true
	emit(s, fresh)
}

func (d *joinDecoding) flush(func(string, bool)) { d.started = false }

// stripDecoder removes up to left and right characters at the ends of each piece.
type stripDecoder struct {
	char        string
	left, right int
}

func (d *stripDecoder) start() decoding { return &stripDecoding{stripDecoder: d} }

type stripDecoding struct {
	*stripDecoder
	toGo int    // characters at the start that may still go
	held string // characters at the end that may go
}

func (d *stripDecoding) push(s string, fresh bool, emit func(string, bool)) {
	if fresh {
		d.end(emit)
		d.toGo = d.left
	}
	for d.toGo > 0 && s != "" {
		if !strings.HasPrefix(s, d.char) {
			d.toGo = 0
			break
		}
		s, d.toGo = s[len(d.char):], d.toGo-1
	}
	if d.right == 0 {
		emit(s, fresh)
		return
	}
	s = d.held + s
	cut, n := len(s), 0
	for n < d.right && strings.HasSuffix(s[:cut], d.char) {
		cut, n = cut-len(d.char), n+1
	}
	d.held = s[cut:]
	emit(s[:cut], fresh)
}

// end drops what the piece that is over held.
func (d *stripDecoding) end(func(string, bool)) { d.held = "" }

func (d *stripDecoding) flush(emit func(string, bool)) {
	d.end(emit)
	d.toGo = 0
}
