package grammar

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Grammar describes a set of texts. It is safe for concurrent use.
type Grammar struct {
	root      *expr
	once      sync.Once
	automaton *automaton
}

// ErrNothing is the error for a grammar that no text matches.
var ErrNothing = errors.New("no text matches")

// maxShortest is how many bytes the shortest text of a grammar may have.
const maxShortest = 1 << 20

// compile returns the grammar of e.
func compile(e *expr) (*Grammar, error) {
	if err := analyse(e); err != nil {
		return nil, err
	}
	if e.short == inf {
		return nil, ErrNothing
	}
	if e.short > maxShortest {
		return nil, &LimitError{fmt.Sprintf("its shortest text has %d bytes, at most %d can be", e.short, maxShortest)}
	}
	return &Grammar{root: e}, nil
}

// fixed returns the grammar of an expression that is known to compile.
func fixed(e *expr) *Grammar {
	g, err := compile(e)
	if err != nil {
		return &Grammar{root: nothing} // allows nothing
	}
	return g
}

// Literal is the grammar of one text.
func Literal(text string) *Grammar { return fixed(literal(text)) }

// Sequence is the grammar of a text of the first, then one of the second, and so on.
func Sequence(list ...*Grammar) *Grammar { return fixed(cat(roots(list)...)) }

// Alternatives is the grammar of the texts of each.
func Alternatives(list ...*Grammar) *Grammar { return fixed(alt(roots(list)...)) }

// Repeat is the grammar of least to most texts of g one after the other; a negative most is no bound.
func Repeat(g *Grammar, least, most int) *Grammar { return fixed(repeat(g.root, max(0, least), most)) }

func roots(list []*Grammar) []*expr {
	all := make([]*expr, len(list))
	for i, g := range list {
		all[i] = g.root
	}
	return all
}

// Choice is the grammar of some texts. The errors: none, or an empty text only, or a *LimitError.
func Choice(texts []string) (*Grammar, error) {
	if len(texts) == 0 {
		return nil, errors.New("there is no text to choose")
	}
	return compile(choice(texts))
}

// choice is one of texts: a trie, so that a state is one place.
func choice(texts []string) *expr {
	sorted := slices.Clone(texts)
	slices.Sort(sorted)
	return trie(slices.Compact(sorted))
}

// trie is one of texts, which are sorted and differ.
func trie(texts []string) *expr {
	common := len(texts[0])
	if last := texts[len(texts)-1]; len(texts) > 1 {
		n := 0
		for n < common && n < len(last) && texts[0][n] == last[n] {
			n++
		}
		common = n
	}
	head := literal(texts[0][:common])
	var branches []*expr
	if len(texts[0]) == common {
		branches = append(branches, empty)
		texts = texts[1:]
	}
	for len(texts) > 0 {
		b := texts[0][common]
		n := 1
		for n < len(texts) && texts[n][common] == b {
			n++
		}
		group := make([]string, n)
		for i := range group {
			group[i] = texts[i][common:]
		}
		branches = append(branches, trie(group))
		texts = texts[n:]
	}
	return cat(head, alt(branches...))
}

// Shortest returns a shortest text of g, and the fewest tokens of v that spell it; nil where v has none for it.
func (g *Grammar) Shortest(v *Vocabulary) (text []byte, tokens []int32) {
	text = g.root.appendShortest(nil)
	tokens, _ = v.cover(text)
	return text, tokens
}

// Matches says whether text is one of g's.
func (g *Grammar) Matches(text []byte) bool {
	g.once.Do(func() { g.automaton = newAutomaton(g.root) })
	a := g.automaton
	a.mu.Lock()
	defer a.mu.Unlock()
	a.trim()
	return a.read(a.start, text).accept
}
