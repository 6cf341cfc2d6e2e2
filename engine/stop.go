package engine

import "strings"

// stopMatcher finds the first stop string in a text that comes in pieces.
type stopMatcher struct {
	stops []string
	held  string // the end of the text so far, as long as it may yet become a stop string
}

// feed takes the next piece and returns the text that is now known to be before any stop string. Found says that a stop
// string was completed: the text before it is what was returned, and nothing follows.
func (m *stopMatcher) feed(text string) (safe string, found bool) {
	if len(m.stops) == 0 {
		return text, false
	}
	m.held += text
	first := -1
	for _, s := range m.stops {
		if i := strings.Index(m.held, s); i >= 0 && (first < 0 || i < first) {
			first = i
		}
	}
	if first >= 0 {
		safe, m.held = m.held[:first], ""
		return safe, true
	}
	keep := 0
	for _, s := range m.stops {
		keep = max(keep, overlap(m.held, s))
	}
	safe, m.held = m.held[:len(m.held)-keep], m.held[len(m.held)-keep:]
	return safe, false
}

// flush returns what was held back: the text ended without a stop string.
func (m *stopMatcher) flush() string {
	s := m.held
	m.held = ""
	return s
}

// overlap returns the length of the longest end of text that is a beginning of stop, but not all of it.
func overlap(text, stop string) int {
	for n := min(len(text), len(stop)-1); n > 0; n-- {
		if strings.HasSuffix(text, stop[:n]) {
			return n
		}
	}
	return 0
}
