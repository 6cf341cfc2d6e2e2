package thinking

import (
	"regexp"
	"slices"
	"strings"
)

// The tags around thoughts.
const (
	Open  = "<think>"
	Close = "</think>"
)

// Place is where in an answer something is.
type Place uint8

// The places, in their order.
const (
	Answer Place = iota // after the thoughts, or without any
	Before              // nothing has been said: thoughts may come, or the answer
	Inside              // of the thoughts
)

// Detect says whether a chat template is a model's that thinks: it closes thoughts, or leaves them out of earlier answers.
func Detect(template string) bool { return strings.Contains(template, Close) }

// switches find the variables by which templates turn thinking on and off: Qwen's and GLM's name for it, DeepSeek's and Granite's. Neither a
// message's member nor a part of another name is one.
var switches = map[string]*regexp.Regexp{
	"enable_thinking": regexp.MustCompile(`(?:^|[^\w.'"])enable_thinking(?:[^\w'"]|$)`),
	"thinking":        regexp.MustCompile(`(?:^|[^\w.'"])thinking(?:[^\w'"]|$)`),
}

// Switches returns the variables that turn thinking on and off in a chat template.
func Switches(template string) []string {
	var found []string
	for name, mentioned := range switches {
		if mentioned.MatchString(template) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

// Begun says where the answer to a prompt begins: some templates open the thoughts themselves, or close empty ones.
func Begun(prompt string) Place {
	switch end := strings.TrimRight(prompt, space); {
	case strings.HasSuffix(end, Open):
		return Inside
	case strings.HasSuffix(end, Close):
		return Answer
	}
	return Before
}

// Skip is what has to follow a prompt for the answer to come at once, given where the answer begins.
func Skip(at Place) string {
	switch at {
	case Before:
		return Open + "\n\n" + Close + "\n\n"
	case Inside:
		return "\n" + Close + "\n\n"
	}
	return ""
}

const space = " \t\r\n"

// Splitter splits an answer that comes in parts. It is for one answer and one goroutine. The time it takes grows with the answer's length,
// however it is cut.
type Splitter struct {
	at    Place
	space strings.Builder // white space that waits for what comes after it
	held  string          // after it, a beginning of a tag
	trim  bool            // white space that comes next is left out
}

// NewSplitter returns a splitter of an answer that begins there.
func NewSplitter(at Place) *Splitter { return &Splitter{at: at, trim: at == Inside} }

// At says where the next part of the answer is, as far as is known.
func (s *Splitter) At() Place { return s.at }

// Write takes the next part and returns what of the thoughts and of the answer is sure.
func (s *Splitter) Write(text string) (thoughts, answer string) {
	text = s.held + text
	s.held = ""
	if s.at == Before {
		text = s.before(text)
	}
	if s.at == Inside {
		thoughts, text = s.inside(text)
	}
	if s.at == Answer {
		answer = s.skip(text)
	}
	return thoughts, answer
}

// End returns what was held back: the answer has ended.
func (s *Splitter) End() (thoughts, answer string) {
	held := s.held
	s.held = ""
	if s.at == Inside {
		return s.follow(held), ""
	}
	return "", s.take() + held
}

// before takes what comes before anything has been said, and returns what is known to be after that.
func (s *Splitter) before(text string) string {
	begun := strings.TrimLeft(text, space)
	s.space.WriteString(text[:len(text)-len(begun)])
	switch {
	case strings.HasPrefix(begun, Open):
		s.at, s.trim = Inside, true
		s.space.Reset()
		return begun[len(Open):]
	case strings.HasPrefix(Open, begun):
		s.held = begun
		return ""
	}
	s.at = Answer
	return s.take() + begun
}

// inside takes what comes after the thoughts have begun, and returns what of them is sure, and what follows them.
func (s *Splitter) inside(text string) (thoughts, after string) {
	text = s.skip(text)
	if before, after, closed := strings.Cut(text, Close); closed {
		thoughts = s.follow(strings.TrimRight(before, space))
		s.at, s.trim = Answer, true
		s.space.Reset()
		return thoughts, after
	}
	whole := len(text) - partOf(text, Close)
	sure := strings.TrimRight(text[:whole], space)
	thoughts = s.follow(sure)
	s.space.WriteString(text[len(sure):whole])
	s.held = text[whole:]
	return thoughts, ""
}

// follow returns a text with the white space that waited for it. Nothing makes it wait on.
func (s *Splitter) follow(text string) string {
	if text == "" {
		return ""
	}
	return s.take() + text
}

// take returns the white space that waits.
func (s *Splitter) take() string {
	waiting := s.space.String()
	s.space.Reset()
	return waiting
}

// skip leaves out white space where it comes after a tag.
func (s *Splitter) skip(text string) string {
	if s.trim {
		text = strings.TrimLeft(text, space)
		s.trim = text == ""
	}
	return text
}

// partOf is the length of the longest end of s with which tag begins.
func partOf(s, tag string) int {
	for n := min(len(s), len(tag)-1); n > 0; n-- {
		if strings.HasSuffix(s, tag[:n]) {
			return n
		}
	}
	return 0
}
