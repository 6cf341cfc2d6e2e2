package tokenize

import "strings"

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
