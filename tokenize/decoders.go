package tokenize

import (
	"strings"
	"unicode/utf8"
)

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
