package toolcall

import (
	"strings"
)

// Kind is what a Piece is.
type Kind uint8

// The kinds. A call is a Begin, any number of Arguments and an End, which is absent where the answer was cut.
const (
	Text      Kind = iota // of the answer
	Begin                 // of a call; Piece.Text is the tool's name
	Arguments             // part of a call's arguments: together they are one JSON object
	End                   // of a call
	Thought               // of what a model thinks before its answer, as package thinking has it; no Parser returns one
)

// Piece is a part of an answer.
type Piece struct {
	Kind Kind
	Call int // of the calls in the answer, from 0
	Text string
}

// Parser splits an answer that comes in parts into text and calls. It is for one answer and one goroutine.
type Parser struct {
	format Format
	names  map[string]bool
	live   bool

	state    state
	held     strings.Builder // what may become a tag or a call
	scan     scanner         // of the JSON in held, in the state inJSON
	tagged   bool            // it came after a tag that is closed again
	json     int             // where in held it begins
	space    strings.Builder // white space that waits for what comes after it
	midLine  bool            // the line has text
	after    bool            // nothing but white space since a call
	calls    int             // begun so far
	pieces   []Piece         // to be returned
	last     strings.Builder // the text of the last of them
	consumed bool            // in the state inArguments: the arguments' object has ended
	list     bool            // calls stand in a list that has not ended
}

type state uint8

const (
	inText      state = iota
	inTag             // held is a beginning of a tag that opens a call
	afterTag          // held is the tag and white space
	inJSON            // held ends with JSON that is not complete
	inArguments       // of a call whose arguments are handed on as they come
	inEnd             // held is what may be the tag that closes a call
	inList            // after a call of a list of calls whose arguments are handed on as they come
)

// NewParser returns a parser for an answer in that format to a request with tools of those names. With live the arguments of a call
// are returned as they come, for answers that a grammar keeps right; otherwise a call is returned when all of it is there, because
// until then it may turn out to be text.
func NewParser(f Format, names []string, live bool) *Parser {
	p := &Parser{format: f, names: make(map[string]bool, len(names)), live: live}
	for _, n := range names {
		p.names[n] = true
	}
	return p
}

// Write takes the next part of the answer and returns what is sure.
func (p *Parser) Write(s string) []Piece {
	for i := range len(s) {
		p.step(s[i])
	}
	return p.take()
}

// Close returns what was held back: the answer has ended. A call that is not complete is text, but for one that has been begun.
func (p *Parser) Close() []Piece {
	if p.state != inArguments && p.state != inEnd && p.state != inList {
		p.release()
		if p.space.Len() > 0 && !p.after {
			p.text("")
		}
	}
	return p.take()
}

func (p *Parser) take() []Piece {
	p.settle()
	out := p.pieces
	p.pieces = nil
	return out
}

// step takes one byte. All that begins or ends a call is ASCII.
func (p *Parser) step(c byte) {
	switch p.state {
	case inText:
		p.inText(c)
	case inTag: // held has begun at the beginning of a line where midLine is false
		p.held.WriteByte(c)
		switch held := p.held.String(); {
		case held == p.tag():
			p.state, p.tagged = afterTag, held == Tag
		case p.mayOpen(held):
		case p.format == Mistral && len(held) == 2 && !p.midLine: // its tag and its list begin alike
			p.held.Reset()
			p.tagged = false
			p.begin(held[0])
			p.step(c)
		default:
			p.retry(held)
		}
	case afterTag:
		switch {
		case isSpace(c):
			p.held.WriteByte(c)
		case c == '{' || c == '[':
			p.begin(c)
		default:
			p.release()
			p.step(c)
		}
	case inJSON:
		p.inJSON(c)
	case inArguments:
		p.inArguments(c)
	case inEnd:
		p.inEnd(c)
	case inList:
		p.inList(c)
	}
}

func (p *Parser) inText(c byte) {
	switch {
	case isSpace(c):
		p.space.WriteByte(c)
		if c == '\n' {
			p.midLine = false
		}
	case c == ';' && p.after && p.format == Llama: // between calls
	case c == p.tag()[0]:
		p.held.WriteByte(c)
		p.state = inTag
	case !p.midLine && (p.format == Llama || p.format == Generic) && (c == '{' || c == '[' && p.format == Generic):
		p.tagged = false
		p.begin(c)
	default:
		p.text(string([]byte{c}))
	}
}

// mayOpen says whether s is a beginning of a tag that opens a call, or all of it.
func (p *Parser) mayOpen(s string) bool {
	return strings.HasPrefix(p.tag(), s)
}

func (p *Parser) tag() string {
	switch p.format {
	case Llama:
		return pythonTag
	case Mistral:
		return callsTag
	}
	return Tag
}

// begin begins a call's JSON with its first byte.
func (p *Parser) begin(c byte) {
	p.json = p.held.Len()
	p.held.WriteByte(c)
	p.scan = scanner{}
	p.scan.step(c)
	p.state = inJSON
}

func (p *Parser) inJSON(c byte) {
	if !p.scan.step(c) {
		p.release()
		p.step(c)
		return
	}
	p.held.WriteByte(c)
	s := p.held.String()[p.json:]
	switch {
	case p.scan.done():
		if calls, ok := p.parse(s); ok {
			p.emit(calls)
			return
		}
		p.release()
	case !p.tagged && len(s) <= maxHead && !mayBeCall(s, p.names):
		p.release()
	case p.live && c == '{' && (len(p.scan.open) == 2 || len(p.scan.open) == 3 && s[0] == '['):
		object := strings.TrimLeft(strings.TrimPrefix(s, "["), " \t\r\n")
		if name, ok := argumentsOf(object[:len(object)-1]); ok && p.names[name] {
			p.list = p.list || s[0] == '['
			p.held.Reset()
			p.beginCall(name)
			p.state, p.consumed = inArguments, false
			p.scan = scanner{}
			p.inArguments(c)
		}
	}
}

// inArguments hands on the arguments of a call, then waits for the brace that ends the object around them.
func (p *Parser) inArguments(c byte) {
	switch {
	case !p.consumed:
		p.add(Piece{Arguments, p.calls - 1, string([]byte{c})})
		if !p.scan.step(c) || p.scan.done() {
			p.consumed = true
		}
	case c == '}':
		p.endCall()
	}
}

func (p *Parser) inEnd(c byte) {
	if p.held.Len() == 0 && isSpace(c) {
		return // left out, as all white space after a call
	}
	p.held.WriteByte(c)
	switch held := p.held.String(); {
	case held == closeTag:
		p.held.Reset()
		p.state = inText
	case !strings.HasPrefix(closeTag, held):
		p.retry(held)
	}
}

// retry reads what was held as text that may hold a call further on.
func (p *Parser) retry(held string) {
	p.held.Reset()
	first := 0
	if p.state == inTag { // that it opens nothing is known
		first = len(held) - 1
		p.text(held[:first])
	}
	p.state = inText
	for i := first; i < len(held); i++ {
		p.step(held[i])
	}
}

// release makes text of what was held.
func (p *Parser) release() {
	p.state = inText
	if s := p.held.String(); s != "" {
		p.held.Reset()
		p.text(s)
	}
}

// emit returns calls that are complete.
func (p *Parser) emit(calls []call) {
	p.held.Reset()
	for _, c := range calls {
		p.beginCall(c.name)
		p.add(Piece{Arguments, p.calls - 1, c.arguments})
		p.endCall()
	}
}

func (p *Parser) beginCall(name string) {
	p.space.Reset()
	p.add(Piece{Begin, p.calls, name})
	p.calls++
}

func (p *Parser) endCall() {
	p.add(Piece{End, p.calls - 1, ""})
	p.after, p.midLine, p.state = true, false, inText
	switch {
	case p.list:
		p.state = inList
	case p.tagged:
		p.state = inEnd
	}
}

// inList waits for the next call of a list, or its end.
func (p *Parser) inList(c byte) {
	switch {
	case isSpace(c), c == ',':
	case c == '{':
		p.begin(c)
	default:
		p.list, p.state = false, inText
		if c == ']' && p.tagged {
			p.state = inEnd
		}
		if c != ']' {
			p.step(c)
		}
	}
}

// text adds text, with the white space before it. After a call that is left out.
func (p *Parser) text(s string) {
	if !p.after {
		s = p.space.String() + s
	}
	p.space.Reset()
	p.after, p.midLine = false, true
	if i := strings.LastIndexByte(s, '\n'); i >= 0 {
		p.midLine = strings.TrimLeft(s[i:], " \t\r\n") != ""
	}
	p.add(Piece{Kind: Text, Text: s})
}

// add appends a piece; what continues the last one joins it.
func (p *Parser) add(next Piece) {
	if n := len(p.pieces); n > 0 && (next.Kind == Text || next.Kind == Arguments) &&
		p.pieces[n-1].Kind == next.Kind && p.pieces[n-1].Call == next.Call {
		p.last.WriteString(next.Text)
		return
	}
	p.settle()
	p.last.WriteString(next.Text)
	p.pieces = append(p.pieces, next)
}

// settle gives the last piece its text.
func (p *Parser) settle() {
	if n := len(p.pieces); n > 0 {
		p.pieces[n-1].Text = p.last.String()
	}
	p.last.Reset()
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }
