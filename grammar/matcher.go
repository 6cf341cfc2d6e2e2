package grammar

import (
	"errors"
	"fmt"
	"math"
)

// ErrNotAllowed is the error of Accept for a token that the grammar does not allow.
var ErrNotAllowed = errors.New("the grammar does not allow this token here")

// Matcher follows one text. It is not safe for concurrent use; its grammar and vocabulary are.
type Matcher struct {
	a    *automaton
	v    *Vocabulary
	s    *state
	left int     // tokens that may still come, negative is no limit
	plan []int32 // a shortest completion in tokens; nil is not known
	done bool    // a stop token came
	bits []uint64
}

// Matcher returns a matcher at the beginning of a text.
func (g *Grammar) Matcher(v *Vocabulary) *Matcher {
	g.once.Do(func() { g.automaton = newAutomaton(g.root) })
	g.automaton.mu.Lock()
	defer g.automaton.mu.Unlock()
	g.automaton.trim()
	return &Matcher{a: g.automaton, v: v, s: g.automaton.start, left: -1}
}

// Limit bounds how many tokens may still come, the one that stops the text not counted: only tokens are allowed after which the rest still fits.
// It returns false where the shortest completion needs more, and then sets no limit.
func (m *Matcher) Limit(tokens int) bool {
	m.a.mu.Lock()
	defer m.a.mu.Unlock()
	if !m.fits(m.s, tokens) {
		plan, ok := m.complete(m.s, tokens)
		if !ok {
			return false
		}
		m.plan = plan
	}
	m.left = tokens
	return true
}

// Done says whether the text is complete: it may end here.
func (m *Matcher) Done() bool { return m.done || m.s.accept }

// Closed says whether nothing may follow: the text is complete, and only a stop token is allowed.
func (m *Matcher) Closed() bool {
	return m.done || m.s.accept && (len(m.s.frames) == 0 || m.left == 0)
}

// Allows says whether token id may come next.
func (m *Matcher) Allows(id int32) bool {
	m.a.mu.Lock()
	defer m.a.mu.Unlock()
	return m.allows(id)
}

func (m *Matcher) allows(id int32) bool {
	if m.done {
		return false
	}
	if m.v.stop[id] {
		return m.s.accept
	}
	text := m.v.bytes(id)
	if len(text) == 0 {
		return false
	}
	t := m.a.read(m.s, text)
	return t != dead && m.affords(id, t)
}

// maxEnding is how many bytes the shortest completion of a text may have for the fewest tokens that spell it to be looked for at each token that
// might come: a search takes time for each byte. Beyond it only what surely fits is let through, and the completion that was found once.
const maxEnding = 2048

// ends says whether n tokens complete a text from s.
func (m *Matcher) ends(s *state, n int) bool {
	if m.fits(s, n) {
		return true
	}
	if s.short > maxEnding {
		return false
	}
	_, ok := m.complete(s, n)
	return ok
}

// affords says whether the limit leaves room for token id, which leads to t.
func (m *Matcher) affords(id int32, t *state) bool {
	if m.left < 0 || m.fits(t, m.left-1) {
		return true
	}
	if m.left == 0 {
		return false
	}
	if plan := m.ready(); len(plan) > 0 && plan[0] == id && len(plan) <= m.left {
		return true
	}
	return m.ends(t, m.left-1)
}

// ready returns the shortest completion that is known, or finds one.
func (m *Matcher) ready() []int32 {
	if m.plan == nil {
		m.plan, _ = m.complete(m.s, m.left)
	}
	return m.plan
}

// fits says whether n tokens surely complete a text from s: one for each byte.
func (m *Matcher) fits(s *state, n int) bool {
	return s.short == 0 || m.v.all && s.short <= int64(n)
}

// complete returns the tokens of the shortest text that completes one from s; false where that are more than n, or there are none.
func (m *Matcher) complete(s *state, n int) ([]int32, bool) {
	if n < 0 || s.short > int64(n)*int64(m.v.longest) {
		return nil, false
	}
	ids, ok := m.v.cover(s.shortest())
	if !ok || len(ids) > n {
		return nil, false
	}
	return ids, true
}

// Accept appends token id to the text. The error is ErrNotAllowed; the text is then what it was.
func (m *Matcher) Accept(id int32) error {
	m.a.mu.Lock()
	defer m.a.mu.Unlock()
	if !m.allows(id) {
		return fmt.Errorf("%w: %d", ErrNotAllowed, id)
	}
	if m.v.stop[id] {
		m.done = true
		return nil
	}
	m.s = m.a.read(m.s, m.v.bytes(id))
	if len(m.plan) > 0 && m.plan[0] == id {
		m.plan = m.plan[1:]
	} else {
		m.plan = nil
	}
	if m.left > 0 {
		m.left--
	}
	m.bits = m.bits[:0]
	m.a.trim()
	return nil
}

// Bits returns which tokens may come next: bit id%64 of word id/64 for token id. It is valid until Accept, and not to be written to. The
// error says that the grammar's state has become too large.
func (m *Matcher) Bits() ([]uint64, error) {
	if len(m.bits) > 0 {
		return m.bits, nil
	}
	m.a.mu.Lock()
	defer m.a.mu.Unlock()
	words := (len(m.v.tokens) + 63) / 64
	m.bits = append(m.bits[:0], make([]uint64, words)...)
	set := func(id int32) { m.bits[id>>6] |= 1 << (id & 63) }
	if !m.done {
		k, err := m.a.mask(m.s, m.v)
		if err != nil {
			m.bits = m.bits[:0]
			return nil, err
		}
		if m.left < 0 || m.v.all && add(m.s.short, k.growth) <= int64(m.left-1) {
			copy(m.bits, k.bits)
		} else if err := m.tight(set); err != nil {
			m.bits = m.bits[:0]
			return nil, err
		}
		for _, id := range m.v.long {
			if m.allows(id) {
				set(id)
			}
		}
		if m.s.accept {
			for id := range m.v.stop {
				if int(id) < len(m.v.tokens) {
					set(id)
				}
			}
		}
	}
	return m.bits, nil
}

// tight marks the tokens that the limit leaves room for.
func (m *Matcher) tight(set func(id int32)) error {
	known := make(map[*state]bool)
	plan := m.ready()
	return m.a.walk(m.s, m.v, func(t *state, ids []int32) {
		ok, found := known[t]
		if !found {
			ok = m.ends(t, m.left-1)
			known[t] = ok
		}
		for _, id := range ids {
			if ok || len(plan) > 0 && plan[0] == id && len(plan) <= m.left {
				set(id)
			}
		}
	})
}

// Mask sets the logits of tokens that may not come next to minus infinity. The error is that of Bits.
func (m *Matcher) Mask(logits []float32) error {
	bits, err := m.Bits()
	if err != nil {
		return err
	}
	never := float32(math.Inf(-1))
	for i := range logits {
		if w := i >> 6; w >= len(bits) || bits[w]>>(i&63)&1 == 0 {
			logits[i] = never
		}
	}
	return nil
}

// ForcedTokens returns the tokens that spell what Forced returns: the fewest. A model may spell it with others.
func (m *Matcher) ForcedTokens(limit int) []int32 {
	text := m.Forced(limit)
	if len(text) == 0 {
		return nil
	}
	ids, _ := m.v.cover(text)
	return ids
}

// Forced returns the bytes that must come next, at most limit of them.
func (m *Matcher) Forced(limit int) []byte {
	m.a.mu.Lock()
	defer m.a.mu.Unlock()
	var text []byte
	for s := m.s; !m.done && len(text) < limit; {
		b := m.a.onlyByte(s)
		if b < 0 {
			break
		}
		text = append(text, byte(b))
		s = m.a.step(s, m.a.classes[b])
	}
	return text
}
