package onnx

import (
	"errors"
	"fmt"

	"ortserve/engine"
)

// model is what the families have in common: a graph, the inputs and outputs of a run, the KV memory of the slots.
type model struct {
	*runner
	info  engine.ModelInfo
	arena *arena
	kv    *kvCache
}

// maxLogits is the most rows of logits that a run of several tokens gives: what speculation verifies at once.
const maxLogits = 16

// newModel maps the memory of a model whose slots have as many rows as rowsOf says. The slots lie on the device, if that is not nil.
func newModel(r *runner, o Options, device *cuda, rowsOf func(KV) int) (_ model, err error) {
	m := model{runner: r, info: engine.ModelInfo{Vocab: r.contract.Vocab, Slots: o.Slots, MaxLen: o.MaxLen, Chunk: o.Chunk, Logits: maxLogits}}
	if r.contract.lastOnly() {
		m.info.Logits = 1
	}
	if r.contract.WholeTensorScale {
		m.info.Rows = 1
		m.setWhole()
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	if m.kv, err = newKVCache(r.contract, o.Slots, device, rowsOf); err != nil {
		return model{}, err
	}
	return m, m.resize()
}

// WholePrompts says whether prompts are computed in one run each, so that the logits of as many rows as a sequence has tokens are needed.
// The self-check may find that it has to be so where this says no.
func (c *Contract) WholePrompts(deterministic bool) bool {
	return c.WholeTensorScale || deterministic && !c.SharesBuffer
}

// setWhole lets a prompt be one run, and nothing but a prompt be several tokens.
func (m *model) setWhole() { m.info.Whole, m.info.Chunk, m.info.Logits = true, m.info.MaxLen, 1 }

// lastOnly says whether the graph gives logits of the last position alone. ONNX Runtime takes no memory of another shape than the
// declared one; where the graph can give more all the same, ONNX Runtime allots them, which the binding knows for float32.
func (c *Contract) lastOnly() bool {
	return c.OneRow && (c.Keep == "" || !c.takesUndeclared())
}

// resize maps the memory of runs anew.
func (m *model) resize() (err error) {
	if m.arena != nil {
		if err := m.arena.close(); err != nil {
			return err
		}
	}
	m.arena, err = newArena(m.contract, m.info.Slots+1, m.info.Chunk+1, m.info.MaxLen+1)
	return err
}

// Info returns what the engine must know.
func (m *model) Info() engine.ModelInfo { return m.info }

// check says what is wrong with a batch. The engine never makes such a one; a graph would answer nonsense.
func (m *model) check(b []engine.Row) error {
	if len(b) == 0 {
		return errors.New("a batch without rows")
	}
	if m.info.Rows > 0 && len(b) > m.info.Rows {
		return fmt.Errorf("%d rows, at most %d run together", len(b), m.info.Rows)
	}
	for i, r := range b {
		switch {
		case len(r.Tokens) == 0 || len(r.Tokens) != len(b[0].Tokens) || len(b) > 1 && len(r.Tokens) != 1:
			return fmt.Errorf("row %d of %d has %d tokens: rows have one each, or there is one row", i, len(b), len(r.Tokens))
		case r.Slot != b[0].Slot+i || r.Slot < 0 || r.Slot > m.info.Slots:
			return fmt.Errorf("row %d is slot %d: slots are adjacent and at most %d", i, r.Slot, m.info.Slots)
		case r.Past < 0 || r.Past+len(r.Tokens) > m.info.MaxLen:
			return fmt.Errorf("row %d holds %d tokens and gets %d, the limit is %d", i, r.Past, len(r.Tokens), m.info.MaxLen)
		case r.Logits < 0 || r.Logits > min(len(r.Tokens), m.info.Logits):
			return fmt.Errorf("row %d wants %d rows of logits of %d tokens, the most are %d", i, r.Logits, len(r.Tokens), m.info.Logits)
		case len(r.Tokens) > m.info.Chunk:
			return fmt.Errorf("row %d gets %d tokens, a run takes %d", i, len(r.Tokens), m.info.Chunk)
		case m.info.Whole && len(r.Tokens) > 1 && r.Past > 0:
			return fmt.Errorf("row %d gets %d tokens after %d: a prompt is one run", i, len(r.Tokens), r.Past)
		}
	}
	return nil
}

// keep returns of how many positions a run of that many tokens gives logits, where so many are wanted.
func (c *Contract) keep(wanted, tokens int) int {
	switch {
	case c.lastOnly():
		return 1
	case c.Keep != "":
		return wanted
	}
	return tokens
}

// Copy copies the KV rows of the first n tokens of slot src to slot dst. Slot Info().Slots is scratch.
func (m *model) Copy(dst, src, n int) error {
	if min(dst, src, n) < 0 || max(dst, src) > m.info.Slots || n > m.info.MaxLen {
		return fmt.Errorf("copying %d tokens from slot %d to %d of %d", n, src, dst, m.info.Slots)
	}
	return m.kv.copy(dst, src, n)
}

// Close frees the graph and its memory.
func (m *model) Close() error {
	var errs []error
	if m.arena != nil {
		errs = append(errs, m.arena.close())
	}
	if m.kv != nil {
		errs = append(errs, m.kv.close())
	}
	errs = append(errs, m.runner.close())
	m.arena, m.kv = nil, nil
	return errors.Join(errs...)
}
