package onnx

import (
	"errors"
	"fmt"

	"ortserve/engine"
	"ortserve/onnx/graph"
)

// shared is a graph whose past and present are one buffer (GroupQueryAttention): the slots themselves. A run copies nothing. Rows of one
// run may have any lengths; several new tokens come for one sequence at a time. Rows beyond a sequence's end are never read, so a shorter
// length takes tokens back.
type shared struct {
	model
	padOne bool // a single row is padded to two
}

var _ engine.Model = (*shared)(nil)

// newShared returns a model of a graph that shares past and present. Slack is how many rows a cache that wraps has beyond its window.
func newShared(r *runner, o Options, slack int) (*shared, error) {
	c := r.contract
	s := &shared{padOne: c.PairedRows && o.Deterministic}
	if c.lastOnly() && s.padOne {
		return nil, errors.New("it cannot be deterministic (--deterministic): it gives the logits of the last position alone, and its layout needs a position of padding behind it")
	}
	m, err := newModel(r, o, r.cuda, func(kv KV) int { return c.kvRows(kv, o.MaxLen, slack) })
	if err != nil {
		return nil, err
	}
	s.model = m
	for i := range s.kv.slabs {
		if rows := s.kv.slabs[i].rows; rows <= o.MaxLen && (s.info.Wrap == 0 || rows < s.info.Wrap) {
			s.info.Wrap = rows
		}
	}
	return s, nil
}

// takesUndeclared says whether logits of another shape than the declared one can be read.
func (c *Contract) takesUndeclared() bool { return c.LogitsType == graph.Float32 }

// Forward runs one batch: rows of one token each in adjacent slots, or one row of several. The logits are valid until the next call.
func (s *shared) Forward(b *engine.Batch) (engine.Logits, error) {
	if err := s.check(b.Rows); err != nil {
		return engine.Logits{}, err
	}
	r := s.shape(b)
	views, err := s.kv.view(rows{b.Rows[0].Slot, r.rows})
	if err != nil {
		return engine.Logits{}, err
	}
	t, err := s.arena.tensors(r)
	if err != nil {
		return engine.Logits{}, err
	}
	if err := s.fill(b, r); err != nil {
		return engine.Logits{}, err
	}
	logits := t.logits
	undeclared := s.contract.OneRow && r.keep > 1
	if undeclared {
		logits = nil
	}
	if logits, err = s.run(s.arena, t, logits, views, views); err != nil {
		return engine.Logits{}, fmt.Errorf("a run of %d rows of %d tokens: %w", r.rows, r.tokens, err)
	}
	if undeclared {
		if err := s.arena.take(logits); err != nil {
			return engine.Logits{}, err
		}
	}
	data, err := s.arena.wanted(b.Rows, r)
	return engine.Logits{Data: data, Vocab: s.contract.Vocab}, err
}

// fill writes the inputs of a run. The mask of a row is ones, then zeros up to the longest cache: a shape that never changes.
func (s *shared) fill(b *engine.Batch, r shape) error {
	for i, row := range b.Rows {
		s.arena.setOnes(i, row.Past+r.tokens)
	}
	if n := len(b.Rows); r.rows > n {
		s.arena.setOnes(n, b.Idle+1)
	}
	return s.arena.fill(b, r)
}

// shape returns the shape of the run for a batch, padding included. Several tokens are padded by one more, rows of one token by a row,
// where the kernels compute rows in pairs; a single row is left alone unless every bit counts, because it would cost a fifth.
func (s *shared) shape(b *engine.Batch) shape {
	r := shape{rows: len(b.Rows), tokens: len(b.Rows[0].Tokens), keep: max(b.Rows[0].Logits, 1), mask: s.arena.width}
	if s.contract.PairedRows && s.info.Logits > 1 && !s.contract.WholeTensorScale {
		switch {
		case r.tokens > 1:
			pad := r.tokens % 2
			r.tokens += pad
			r.keep += pad
			r.keep += r.keep % 2 // the head's rows too
		case r.rows%2 == 1 && (r.rows > 1 || s.padOne):
			r.rows++
		}
	}
	r.keep = s.contract.keep(r.keep, r.tokens)
	return r
}
