package onnx

import (
	"errors"
	"slices"

	ort "github.com/yalue/onnxruntime_go"

	"ortserve/engine"
)

// trial runs one short sequence whose past and present are different memory. It tells a graph's family, before there are slots.
type trial struct {
	*runner
	kvLayout
	arena         *arena
	past, present []memory // one a layer and side
}

const (
	probeRows   = 8  // of the past in the probe
	checkTokens = 12 // of the prompt in the self-check
	trialTokens = 16 // at least one more than either
)

// newTrial maps the memory.
func newTrial(r *runner) (_ *trial, err error) {
	t := &trial{runner: r, kvLayout: r.contract.layout()}
	if t.arena, err = newArena(r.contract, 1, trialTokens, trialTokens); err != nil {
		return nil, err
	}
	for _, kv := range r.contract.KV {
		for _, side := range []*[]memory{&t.past, &t.present} {
			m, err := mapMemory(t.heads * max(kv.Window, trialTokens) * t.row)
			if err != nil {
				return nil, errors.Join(err, t.close())
			}
			*side = append(*side, m)
		}
	}
	return t, nil
}

// shares says whether past and present of the graph may be one buffer: a past of 8 rows, a mask of 1, one token. Such a graph takes as
// many rows of past as the mask counts and gives as many of present as there are; one whose cache grows refuses, or wants 9.
func (t *trial) shares() bool {
	rows := func(kv KV) int { return max(kv.Window, probeRows) }
	_, err := t.run([]int32{0}, 0, rows, rows)
	return err == nil
}

// next continues the sequence, which holds past tokens, and returns the last logits. The graph is one that shares.
func (t *trial) next(tokens []int32, past int) ([]float32, error) {
	rows := func(n int) func(KV) int {
		return func(kv KV) int {
			if kv.Window > 0 {
				return kv.Window
			}
			return n
		}
	}
	logits, err := t.run(tokens, past, rows(past), rows(past+len(tokens)))
	t.past, t.present = t.present, t.past
	return logits, err
}

// run runs tokens at position past on. The functions say how many rows the tensors of past and present have.
func (t *trial) run(tokens []int32, past int, pastRows, presentRows func(KV) int) (_ []float32, err error) {
	n := len(tokens)
	s := shape{rows: 1, tokens: n, keep: t.contract.keep(1, n), mask: past + n}
	b := engine.Batch{Rows: []engine.Row{{Past: past, Tokens: tokens, Logits: 1}}}
	if err := t.arena.fill(&b, s); err != nil {
		return nil, err
	}
	t.arena.setOnes(0, s.mask)
	inputs, err := t.arena.create(s)
	if err != nil {
		return nil, err
	}
	var before, after []ort.Value
	defer func() { err = errors.Join(err, inputs.destroy(), destroy(before...), destroy(after...)) }()
	for i, kv := range t.contract.KV {
		v, err := t.tensor(t.past[i], 1, pastRows(kv))
		if err != nil {
			return nil, err
		}
		before = append(before, v)
		if v, err = t.tensor(t.present[i], 1, presentRows(kv)); err != nil {
			return nil, err
		}
		after = append(after, v)
	}
	if _, err := t.runner.run(t.arena, inputs, inputs.logits, before, after); err != nil {
		return nil, err
	}
	logits, err := t.arena.wanted(b.Rows, s)
	return slices.Clone(logits), err
}

// close frees the memory.
func (t *trial) close() error {
	errs := []error{t.arena.close()}
	for _, m := range slices.Concat(t.past, t.present) {
		errs = append(errs, m.free())
	}
	t.past, t.present = nil, nil
	return errors.Join(errs...)
}
