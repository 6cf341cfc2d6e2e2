// Package enginetest has a model whose every answer depends on every row of its KV memory, so that a mixed-up, stale or
// missing row changes the tokens that follow.
package enginetest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"ortserve/engine"
)

// Checksum is an engine.Model. The KV row of a token is a hash of the token and its position; the next token is a hash of all
// rows of the sequence. Before is called at the beginning of each Forward: it may wait, or return an error that Forward returns.
type Checksum struct {
	Before func(b *engine.Batch) error

	info   engine.ModelInfo
	kv     [][]uint64 // [slots+1][max-len]
	period int        // 0, or after how many tokens a text begins again

	mu   sync.Mutex
	runs []Run
}

// Run is what Forward was asked.
type Run struct{ Rows, Tokens int }

var _ engine.Model = (*Checksum)(nil)

// vocab is a prime, so that no hash has a token it prefers.
const vocab = 251

// New returns a model of that many slots and tokens a slot.
func New(slots, maxLen int) *Checksum {
	m := &Checksum{info: engine.ModelInfo{Vocab: vocab, Slots: slots, MaxLen: maxLen, Chunk: 64, Logits: 16}}
	for range slots + 1 {
		m.kv = append(m.kv, make([]uint64, maxLen))
	}
	return m
}

// NewRepeating returns a model whose answers begin again after period tokens, if every row is right.
func NewRepeating(slots, maxLen, period int) *Checksum {
	m := New(slots, maxLen)
	m.period = period
	return m
}

// Info implements engine.Model.
func (m *Checksum) Info() engine.ModelInfo { return m.info }

// Forward implements engine.Model. It refuses what a graph would refuse or answer wrongly.
func (m *Checksum) Forward(b *engine.Batch) (engine.Logits, error) {
	if m.Before != nil {
		if err := m.Before(b); err != nil {
			return engine.Logits{}, err
		}
	}
	if len(b.Rows) == 0 {
		return engine.Logits{}, errors.New("a batch without rows")
	}
	logits := engine.Logits{Vocab: m.info.Vocab}
	for i, r := range b.Rows {
		switch {
		case len(b.Rows) > 1 && len(r.Tokens) != 1:
			return engine.Logits{}, fmt.Errorf("row %d of %d has %d tokens", i, len(b.Rows), len(r.Tokens))
		case r.Slot != b.Rows[0].Slot+i:
			return engine.Logits{}, fmt.Errorf("slots %d and %d are not adjacent", b.Rows[0].Slot, r.Slot)
		case r.Past+len(r.Tokens) > m.info.MaxLen || len(r.Tokens) > m.info.Chunk:
			return engine.Logits{}, fmt.Errorf("%d tokens after %d", len(r.Tokens), r.Past)
		case r.Logits > len(r.Tokens) || r.Logits > m.info.Logits:
			return engine.Logits{}, fmt.Errorf("%d rows of logits for %d tokens", r.Logits, len(r.Tokens))
		}
		kv := m.kv[r.Slot]
		for j, id := range r.Tokens {
			kv[r.Past+j] = row(id, r.Past+j)
			if len(r.Tokens)-j <= r.Logits {
				one := make([]float32, m.info.Vocab)
				one[m.next(kv[:r.Past+j+1])] = 1
				logits.Data = append(logits.Data, one...)
			}
		}
	}
	last := b.Rows[len(b.Rows)-1].Slot + 1
	for j := b.Idle; j < m.info.MaxLen; j++ { // a model may write there
		m.kv[last][j] = ^uint64(0)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.runs = append(m.runs, Run{len(b.Rows), len(b.Rows[0].Tokens)})
	return logits, nil
}

// Runs returns what Forward was asked so far.
func (m *Checksum) Runs() []Run {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Run(nil), m.runs...)
}

// Copy implements engine.Model. Rows beyond n are spoilt, so that reading one shows.
func (m *Checksum) Copy(dst, src, n int) error {
	copy(m.kv[dst][:n], m.kv[src])
	for i := n; i < len(m.kv[dst]); i++ {
		m.kv[dst][i] = ^uint64(0)
	}
	return nil
}

// Close implements engine.Model.
func (m *Checksum) Close() error { return nil }

// Answer returns the n tokens that follow a prompt: what a sequence must give, whatever runs beside it.
func (m *Checksum) Answer(prompt []int32, n int) []int32 {
	var kv []uint64
	for i, id := range prompt {
		kv = append(kv, row(id, i))
	}
	var answer []int32
	for range n {
		id := m.next(kv)
		answer = append(answer, id)
		kv = append(kv, row(id, len(kv)))
	}
	return answer
}

// row is the KV row of a token at a position.
func row(id int32, position int) uint64 {
	return mix(uint64(uint32(id))<<32 | uint64(uint32(position)))
}

// next is the token that follows these rows.
func (m *Checksum) next(kv []uint64) int32 {
	h := uint64(0)
	for i, r := range kv {
		if r == ^uint64(0) {
			return int32(i % m.info.Vocab) // a row that was spoilt
		}
		h = mix(h ^ r)
	}
	if m.period > 0 {
		h = mix(uint64(len(kv) % m.period))
	}
	return int32(h % uint64(m.info.Vocab))
}

// mix is a bijection that spreads every bit (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9
	x = (x ^ (x >> 27)) * 0x94D049BB133111EB
	return x ^ (x >> 31)
}

// Text is a Detokenizer that writes each id as "<id>".
type Text struct{}

// Next implements engine.Detokenizer.
func (Text) Next(ids []int32) string {
	s := ""
	for _, id := range ids {
		s += fmt.Sprintf("<%d>", id)
	}
	return s
}

// Slow returns a Before that takes d.
func Slow(d time.Duration) func(*engine.Batch) error {
	return func(*engine.Batch) error { time.Sleep(d); return nil }
}
