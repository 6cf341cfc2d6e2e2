package routes

import (
	"fmt"
	"strings"

	"ortserve/engine"
	"ortserve/template/thinking"
	"ortserve/template/toolcall"
)

// toolCall is a call in an answer.
type toolCall struct {
	id, name  string
	arguments string // JSON of an object, if whole
	whole     bool   // false where the answer was cut inside the call
}

// callReader splits the answers to one request into thoughts, text and calls. Without tools all that is no thought is text.
type callReader struct {
	format  toolcall.Format
	names   []string
	live    bool // arguments are passed on as they come
	single  bool // at most one call
	prefix  string
	id      string                   // of the request, which makes those of calls
	parsers map[int]*toolcall.Parser // of each answer that is streamed
	wholes  map[int]int              // calls of each that are whole

	g         *generation
	place     thinking.Place             // where the answers begin
	hidden    bool                       // thoughts are not sent
	splitters map[int]*thinking.Splitter // of each answer, where thoughts may come before it
	counts    map[int]*thoughtCount      // likewise
}

// reader returns a reader of the answers to a request with these tools; the calls' ids begin with prefix.
func (g *generation) reader(t *toolbox, think *thinkWish, prefix, id string) *callReader {
	r := &callReader{
		format: g.format(), live: t.forced(), single: t.single,
		prefix: prefix, id: id, parsers: map[int]*toolcall.Parser{}, wholes: map[int]int{},
		g: g, place: g.place, hidden: think.hidden, splitters: map[int]*thinking.Splitter{}, counts: map[int]*thoughtCount{},
	}
	if think.inText {
		r.place = thinking.Answer
	}
	if r.format == toolcall.Generic && t.tagged {
		r.format = toolcall.Hermes // JSON without tags is text
	}
	for _, of := range t.callable() {
		r.names = append(r.names, of.name)
	}
	return r
}

// forced says whether a grammar keeps the answer to calls.
func (t *toolbox) forced() bool { return t.choice == chooseRequired || t.choice == chooseNamed }

// callID is the id of a call: unlike that of any other, and of the length that OpenAI's have.
func (r *callReader) callID(choice, call int) string {
	return fmt.Sprintf("%s%.20s%02d%02d", r.prefix, r.id, choice, call)
}

// pieces returns what an event of a stream brings.
func (r *callReader) pieces(choice int, ev engine.Event) []toolcall.Piece {
	if r.place == thinking.Answer {
		return r.answer(choice, ev)
	}
	s := r.splitters[choice]
	if s == nil {
		s = thinking.NewSplitter(r.place)
		r.splitters[choice], r.counts[choice] = s, r.g.newThoughtCount(r.place)
	}
	r.counts[choice].add(ev.Tokens)
	thought, text := s.Write(ev.Text)
	if ev.Finish != "" {
		restThought, restText := s.End()
		thought, text = thought+restThought, text+restText
	}
	var pieces []toolcall.Piece
	if thought != "" && !r.hidden {
		pieces = append(pieces, toolcall.Piece{Kind: toolcall.Thought, Text: thought})
	}
	ev.Text = text
	return append(pieces, r.answer(choice, ev)...)
}

// thought is how many tokens of all answers, as far as they have come, were thoughts.
func (r *callReader) thought() int {
	n := 0
	for _, c := range r.counts {
		n += c.n
	}
	return n
}

// thinking says whether an answer, as far as it has come, is inside its thoughts.
func (r *callReader) thinking(choice int) bool {
	s := r.splitters[choice]
	return s != nil && s.At() == thinking.Inside
}

// answer returns what an event brings of the answer after the thoughts.
func (r *callReader) answer(choice int, ev engine.Event) []toolcall.Piece {
	if len(r.names) == 0 {
		if ev.Text == "" {
			return nil
		}
		return []toolcall.Piece{{Kind: toolcall.Text, Text: ev.Text}}
	}
	p := r.parsers[choice]
	if p == nil {
		p = toolcall.NewParser(r.format, r.names, r.live)
		r.parsers[choice] = p
	}
	pieces := p.Write(ev.Text)
	if ev.Finish != "" {
		pieces = append(pieces, p.Close()...)
	}
	kept := pieces[:0]
	for _, p := range pieces {
		if r.single && r.wholes[choice] > 0 {
			break // what follows the only call
		}
		kept = append(kept, p)
		if p.Kind == toolcall.End {
			r.wholes[choice]++
		}
	}
	return kept
}

// read returns the thoughts, the text and the calls of a whole answer.
func (r *callReader) read(choice int, a answer) (thoughts, answer string, calls []toolCall) {
	var text strings.Builder
	for _, p := range r.pieces(choice, engine.Event{Text: a.text, Tokens: a.tokens, Finish: a.finish}) {
		switch p.Kind {
		case toolcall.Thought:
			thoughts = p.Text
		case toolcall.Text:
			text.WriteString(p.Text)
		case toolcall.Begin:
			calls = append(calls, toolCall{id: r.callID(choice, p.Call), name: p.Text})
		case toolcall.Arguments:
			calls[p.Call].arguments += p.Text
		case toolcall.End:
			calls[p.Call].whole = true
		}
	}
	return thoughts, text.String(), calls
}

// finish is why an answer ended, in OpenAI's words.
func (r *callReader) finish(choice int, reason engine.FinishReason) string {
	if reason == engine.FinishStop && r.wholes[choice] > 0 {
		return "tool_calls"
	}
	return string(reason)
}
