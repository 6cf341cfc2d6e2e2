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

// Splitter splits an answer that comes in parts. It is for one answer and one goroutine.
type Splitter struct {
	at   Place
	held string // white space, or what may become a tag
	trim bool   // white space that comes next is left out
}

// NewSplitter returns a splitter of an answer that begins there.
func NewSplitter(at Place) *Splitter { return &Splitter{at: at, trim: at == Inside} }

// At says where the next part of the answer is, as far as is known.
func (s *Splitter) At() Place { return s.at }

// Write takes the next part and returns what of the thoughts and of the answer is sure.
func (s *Splitter) Write(text string) (thoughts, answer string) {
	s.held += text
	if s.at == Before {
		switch begun := strings.TrimLeft(s.held, space); {
		case strings.HasPrefix(begun, Open):
			s.at, s.held, s.trim = Inside, begun[len(Open):], true
		case strings.HasPrefix(Open, begun):
			return "", ""
		default:
			s.at = Answer
		}
	}
	if s.at == Inside {
		s.skip()
		if before, after, closed := strings.Cut(s.held, Close); closed {
			thoughts = strings.TrimRight(before, space)
			s.at, s.held, s.trim = Answer, after, true
		} else {
			sure := len(strings.TrimRight(s.held[:len(s.held)-partOf(s.held, Close)], space))
			thoughts, s.held = s.held[:sure], s.held[sure:]
			return thoughts, ""
		}
	}
	s.skip()
	answer, s.held = s.held, ""
	return thoughts, answer
}

// End returns what was held back: the answer has ended.
func (s *Splitter) End() (thoughts, answer string) {
	held := s.held
	s.held = ""
	if s.at == Inside {
		return strings.TrimRight(held, space), ""
	}
	return "", held
}

// skip leaves out white space where it comes after a tag.
func (s *Splitter) skip() {
	if s.trim {
		s.held = strings.TrimLeft(s.held, space)
		s.trim = s.held == ""
	}
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
