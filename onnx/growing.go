package onnx

import (
	"errors"
	"fmt"
	"slices"

	ort "github.com/yalue/onnxruntime_go"

	"ortserve/engine"
)

// growing is a graph whose present is a new tensor of past and new rows (optimum's plain exports). The slots keep the rows; a run gathers
// them into the past of the batch, padded behind the shorter rows (a hole in the mask: positions are inputs of such graphs), and the new
// rows of the present go back to the slots. While the same sequences go on, the present of a run is the past of the next, and nothing is
// gathered.
type growing struct {
	model
	past, present []memory // one a layer and side, [rows, heads, width, head size] of the run
	held          held
}

var _ engine.Model = (*growing)(nil)

// held says what past holds: of sequence i the first gathered[i] tokens, a hole up to column hole, then tokens up to column width.
type held struct {
	slots    []int
	lengths  []int // tokens of each
	gathered []int
	hole     int
	width    int
}

// newGrowing returns a model of a graph whose cache grows.
func newGrowing(r *runner, o Options) (*growing, error) {
	m, err := newModel(r, o, nil, func(KV) int { return o.MaxLen })
	if err != nil {
		return nil, err
	}
	g := &growing{model: m}
	if o.Deterministic { // rows of one run, and chunks of one prompt, have the same ids as alone, not the same bits
		g.info.Rows = 1
		g.setWhole()
		err = g.resize()
	}
	for range r.contract.KV {
		for _, side := range []*[]memory{&g.past, &g.present} {
			m, merr := mapMemory(o.Slots * g.kv.heads * o.MaxLen * g.kv.row)
			err = errors.Join(err, merr)
			*side = append(*side, m)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("memory of runs: %w", err), g.Close())
	}
	return g, nil
}

// Forward runs one batch: rows of one token each in adjacent slots, or one row of several. The logits are valid until the next call.
func (g *growing) Forward(b *engine.Batch) (engine.Logits, error) {
	if err := g.check(b.Rows); err != nil {
		return engine.Logits{}, err
	}
	if !g.held.goesOn(b.Rows) {
		g.gather(b.Rows)
	}
	tokens := len(b.Rows[0].Tokens)
	s := shape{rows: len(b.Rows), tokens: tokens, keep: g.contract.keep(max(b.Rows[0].Logits, 1), tokens), mask: g.held.width + tokens}
	if err := g.arena.fill(b, s); err != nil {
		return engine.Logits{}, err
	}
	g.fillMask(s)
	if err := g.runOnce(s); err != nil {
		return engine.Logits{}, fmt.Errorf("a run of %d rows of %d tokens after %d: %w", s.rows, s.tokens, g.held.width, err)
	}
	g.keepRows(b.Rows, s)
	data, err := g.arena.wanted(b.Rows, s)
	return engine.Logits{Data: data, Vocab: g.contract.Vocab}, err
}

// runOnce runs the graph from past to present. The tensors live as long: no run has the shapes of another.
func (g *growing) runOnce(s shape) (err error) {
	t, err := g.arena.create(s)
	if err != nil {
		return err
	}
	var past, present []ort.Value
	defer func() { err = errors.Join(err, t.destroy(), destroy(past...), destroy(present...)) }()
	for i := range g.past {
		p, err := g.kv.tensor(g.past[i], s.rows, g.held.width)
		if err != nil {
			return err
		}
		past = append(past, p)
		if p, err = g.kv.tensor(g.present[i], s.rows, s.mask); err != nil {
			return err
		}
		present = append(present, p)
	}
	logits := t.logits
	undeclared := g.contract.OneRow && s.keep > 1
	if undeclared {
		logits = nil
	}
	if logits, err = g.run(g.arena, t, logits, past, present); err != nil || !undeclared {
		return err
	}
	return g.arena.take(logits)
}

// goesOn says whether past is what these rows need.
func (h *held) goesOn(rows []engine.Row) bool {
	if len(rows) != len(h.slots) {
		return false
	}
	for i, r := range rows {
		if r.Slot != h.slots[i] || r.Past != h.lengths[i] {
			return false
		}
	}
	return true
}

// gather makes past what the rows' slots hold.
func (g *growing) gather(batch []engine.Row) {
	h := &g.held
	h.slots, h.lengths, h.width = h.slots[:0], h.lengths[:0], 0
	for _, r := range batch {
		h.slots, h.lengths, h.width = append(h.slots, r.Slot), append(h.lengths, r.Past), max(h.width, r.Past)
	}
	h.gathered, h.hole = append(h.gathered[:0], h.lengths...), h.width
	for side := range g.past {
		for i, r := range batch {
			for head := range g.kv.heads {
				to := g.past[side][(i*g.kv.heads+head)*h.width*g.kv.row:][:h.width*g.kv.row]
				n := copy(to, g.kv.rowsOf(side, r.Slot, head)[:r.Past*g.kv.row])
				clear(to[n:]) // nothing there counts, but what is no number would spread
			}
		}
	}
}

// fillMask writes the mask of a run: ones, but for the holes.
func (g *growing) fillMask(s shape) {
	for i := range g.held.slots {
		row := g.arena.mask[i*s.mask : (i+1)*s.mask]
		for j := range row {
			row[j] = 1
		}
		clear(row[g.held.gathered[i]:g.held.hole])
	}
}

// keepRows takes the new rows of present back to the slots, and makes present the past of the next run.
func (g *growing) keepRows(batch []engine.Row, s shape) {
	row := g.kv.row
	for side := range g.present {
		for i, r := range batch {
			for head := range g.kv.heads {
				end := (i*g.kv.heads + head + 1) * s.mask * row
				copy(g.kv.rowsOf(side, r.Slot, head)[r.Past*row:], g.present[side][end-s.tokens*row:end])
			}
		}
	}
	g.past, g.present = g.present, g.past
	g.held.width = s.mask
	for i := range g.held.lengths {
		g.held.lengths[i] += s.tokens
	}
}

// Copy copies the KV rows of the first n tokens of slot src to slot dst. Slot Info().Slots is scratch.
func (g *growing) Copy(dst, src, n int) error {
	if slices.Contains(g.held.slots, dst) {
		g.held = held{}
	}
	return g.model.Copy(dst, src, n)
}

// Close frees the graph and its memory.
func (g *growing) Close() error {
	errs := []error{g.model.Close()}
	for _, m := range slices.Concat(g.past, g.present) {
		errs = append(errs, m.free())
	}
	g.past, g.present = nil, nil
	return errors.Join(errs...)
}
