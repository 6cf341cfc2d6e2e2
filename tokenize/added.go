package tokenize

import (
	"cmp"
	"slices"
	"strings"
)

// addedToken is a token that is looked for in the text itself, before the model sees it.
type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
	control    bool   // see Tokenizer.ControlTokens
}

// matcher finds the longest of some tokens at the leftmost place: a trie of bytes.
type matcher struct {
	nodes []trieNode
	first [256]bool
	only  int // the one byte that all tokens begin with, or -1
}

type trieNode struct {
	bytes []byte
	next  []int32
	token *addedToken
}

// newMatcher returns the matcher of tokens by text; nil where there is none.
func newMatcher(tokens map[string]*addedToken) *matcher {
	if len(tokens) == 0 {
		return nil
	}
	m := &matcher{nodes: make([]trieNode, 1), only: -1}
	texts := make([]string, 0, len(tokens))
	for text := range tokens {
		texts = append(texts, text)
	}
	slices.SortFunc(texts, cmp.Compare)
	count := 0
	for _, text := range texts {
		if !m.first[text[0]] {
			m.first[text[0]], m.only = true, int(text[0])
			count++
		}
		at := int32(0)
		for i := range len(text) {
			n := &m.nodes[at]
			k := slices.Index(n.bytes, text[i])
			if k < 0 {
				k = len(n.bytes)
				n.bytes = append(n.bytes, text[i])
				n.next = append(n.next, int32(len(m.nodes)))
				at = n.next[k]
				m.nodes = append(m.nodes, trieNode{})
				continue
			}
			at = n.next[k]
		}
		m.nodes[at].token = tokens[text]
	}
	if count > 1 {
		m.only = -1
	}
	return m
}

// find returns the leftmost-longest token in s from i on, and where it starts and ends; nil where there is none.
func (m *matcher) find(s string, i int) (*addedToken, int, int) {
	for i < len(s) {
		if m.only >= 0 {
			k := strings.IndexByte(s[i:], byte(m.only))
			if k < 0 {
				break
			}
			i += k
		} else if !m.first[s[i]] {
			i++
			continue
		}
		if token, end := m.at(s, i); token != nil {
			return token, i, end
		}
		i++
	}
	return nil, len(s), len(s)
}

// at returns the longest token at s[i] and its end.
func (m *matcher) at(s string, i int) (*addedToken, int) {
	var found *addedToken
	end, at := i, int32(0)
	for ; i < len(s); i++ {
		n := &m.nodes[at]
		k := slices.Index(n.bytes, s[i])
		if k < 0 {
			break
		}
		at = n.next[k]
		if t := m.nodes[at].token; t != nil {
			found, end = t, i+1
		}
	}
	return found, end
}

// extract cuts s at the tokens of m: plain gets the text between, in order, and ids get the tokens. plainText says
// which matches are text all the same. What a token's lstrip and rstrip take belongs to it.
func (e *encoder) extract(m *matcher, s string, plainText func(t *addedToken, start, end int) bool, plain func(start, end int)) {
	done := 0
	for i := 0; m != nil && i < len(s); {
		t, start, end := m.find(s, i)
		if t == nil {
			break
		}
		if plainText != nil && plainText(t, start, end) {
			i = start + 1
			continue
		}
		i = end
		if t.SingleWord && !e.alone(s, start, end) {
			continue
		}
		if t.LStrip {
			start = max(e.blankBefore(s, start, done), done)
		}
		if t.RStrip {
			end = e.classes.run(s, end, classBlank)
		}
		if done < start {
			plain(done, start)
		}
		e.ids = append(e.ids, t.ID)
		done = end
	}
	if done != len(s) {
		plain(done, len(s))
	}
}

// alone says that no word character touches s[start:end].
func (e *encoder) alone(s string, start, end int) bool {
	if start > 0 {
		if b, _ := e.classes.before(s, start); b&classWord != 0 {
			return false
		}
	}
	if end < len(s) {
		if b, _ := e.classes.at(s, end); b&classWord != 0 {
			return false
		}
	}
	return true
}

// blankBefore returns where the white space that ends at s[:i] starts, not before low.
func (e *encoder) blankBefore(s string, i, low int) int {
	for i > low {
		b, at := e.classes.before(s, i)
		if b&classBlank == 0 {
			break
		}
		i = at
	}
	return i
}
