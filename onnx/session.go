package onnx

import (
	"errors"
	"fmt"
	"path/filepath"

	ort "github.com/yalue/onnxruntime_go"

	"ortserve/engine"
)

// Options say how a graph is opened.
type Options struct {
	Threads int  // of ONNX Runtime, the calling one included
	Spin    bool // threads wait busily for work for a moment; wrong under a CPU quota
	Slots   int  // sequences that the KV memory holds
	MaxLen  int  // tokens of a sequence
	Chunk   int  // most tokens of a prefill run
	// Deterministic gives a row the same bits whatever runs beside it, also where the graph's kernels do not (Contract.PairedRows): runs
	// are padded to an even number of rows. Otherwise only those are padded that it hardly costs anything.
	Deterministic bool
}

// maxLogits is the most rows of logits that a run of several tokens gives: what speculation verifies at once.
const maxLogits = 16

// Session is an open graph with its KV memory: an engine.Model.
type Session struct {
	contract *Contract
	info     engine.ModelInfo
	padOne   bool // a single row is padded to two
	session  *ort.DynamicAdvancedSession
	kv       *kvCache
	arena    *arena
	values   struct{ in, out []ort.Value } // arguments of a run, their memory used again
}

var _ engine.Model = (*Session)(nil)

// Open opens the graph at path, whose contract is c. Load must have been called. The error names the file, and what was expected and found.
func Open(path string, c *Contract, o Options) (*Session, error) {
	s, err := open(path, c, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return s, nil
}

func open(path string, c *Contract, o Options) (_ *Session, err error) {
	if c.MaxPositions > 0 && o.MaxLen >= c.MaxPositions {
		return nil, fmt.Errorf("%d tokens a sequence are too many (--max-len): the graph knows %d positions, one of them is padding", o.MaxLen, c.MaxPositions)
	}
	s := &Session{
		contract: c,
		info:     engine.ModelInfo{Vocab: c.Vocab, Slots: o.Slots, MaxLen: o.MaxLen, Chunk: o.Chunk, Logits: maxLogits},
		padOne:   c.PairedRows && o.Deterministic,
	}
	if c.OneRow && !c.Keep {
		s.info.Logits = 1
		if s.padOne {
			return nil, errors.New("it cannot be deterministic (--deterministic): it gives the logits of the last position alone, and its layout needs a position of padding behind it")
		}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.session, err = newSession(path, c, o); err != nil {
		return nil, err
	}
	s.kv, err = newKVCache(len(c.KV), o.Slots, c.KVHeads, o.MaxLen+1, c.HeadSize, ort.TensorElementDataTypeFloat, c.KVType.Bits()/8)
	if err != nil {
		return nil, err
	}
	if s.arena, err = newArena(c, o.Slots+1, o.Chunk+1, s.kv.capacity); err != nil {
		return nil, err
	}
	return s, s.probe()
}

// newSession lets ONNX Runtime load the graph.
func newSession(path string, c *Contract, o Options) (*ort.DynamicAdvancedSession, error) {
	opts, err := ort.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("session options: %w", err)
	}
	defer func() { _ = opts.Destroy() }() // always nil
	spin := "0"
	if o.Spin {
		spin = "1"
	}
	err = errors.Join(
		opts.SetIntraOpNumThreads(o.Threads),
		opts.SetInterOpNumThreads(1),
		opts.SetGraphOptimizationLevel(ort.GraphOptimizationLevelEnableAll),
		opts.SetMemPattern(false), // keeps a plan for every length of a chunk
		opts.AddSessionConfigEntry("session.intra_op.allow_spinning", spin),
		opts.AddSessionConfigEntry("session.set_denormal_as_zero", "1"),
	)
	if err != nil {
		return nil, fmt.Errorf("session options: %w", err)
	}
	in := []string{c.IDs, c.Mask}
	if c.Positions != "" {
		in = append(in, c.Positions)
	}
	if c.Keep {
		in = append(in, nameKeep)
	}
	out := []string{c.Logits}
	for _, kv := range c.KV {
		in, out = append(in, kv.Past), append(out, kv.Present)
	}
	session, err := ort.NewDynamicAdvancedSession(path, in, out, opts)
	if err != nil {
		return nil, fmt.Errorf("ONNX Runtime %s cannot load it: %w", Version(), err)
	}
	return session, nil
}

// probe runs one token. It shows that the graph can share past and present, and warms what the first run pays.
func (s *Session) probe() error {
	b := &engine.Batch{Rows: []engine.Row{{Slot: 0, Tokens: []int32{0}, Logits: 1}}}
	if _, err := s.Forward(b); err != nil {
		return fmt.Errorf("the graph does not run with past and present in one buffer (GroupQueryAttention does; graphs whose cache grows are not supported): %w", err)
	}
	return nil
}

// Info returns the size of a row of logits, the slots, and the tokens of a slot.
func (s *Session) Info() engine.ModelInfo { return s.info }

// Contract returns what the graph asks for and gives.
func (s *Session) Contract() *Contract { return s.contract }

// Forward runs one batch: rows of one token each in adjacent slots, or one row of several. The logits are valid until the next call.
func (s *Session) Forward(b *engine.Batch) (engine.Logits, error) {
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
	s.arena.fill(b, r)

	in := append(s.values.in[:0], t.ids, t.mask)
	if s.contract.Positions != "" {
		in = append(in, t.positions)
	}
	if s.contract.Keep {
		in = append(in, s.arena.keepValue)
	}
	in = append(in, views...)
	out := append(append(s.values.out[:0], t.logits), views...)
	s.values.in, s.values.out = in, out
	undeclared := s.contract.OneRow && r.keep > 1 // ONNX Runtime takes no memory of another shape than the declared one, but gives it
	if undeclared {
		out[0] = nil
	}
	if err := s.session.Run(in, out); err != nil {
		return engine.Logits{}, fmt.Errorf("a run of %d rows of %d tokens: %w", r.rows, r.tokens, err)
	}
	if undeclared {
		if err := s.arena.take(out[0]); err != nil {
			return engine.Logits{}, err
		}
	}
	return engine.Logits{Data: s.arena.wanted(b.Rows, r), Vocab: s.contract.Vocab}, nil
}

// shape returns the shape of the run for a batch, padding included. Several tokens are padded by one more, rows of one token by a row,
// where the kernels compute rows in pairs; a single row is left alone unless every bit counts, because it would cost a fifth.
func (s *Session) shape(b *engine.Batch) shape {
	r := shape{rows: len(b.Rows), tokens: len(b.Rows[0].Tokens), keep: max(b.Rows[0].Logits, 1)}
	if s.contract.PairedRows && s.info.Logits > 1 {
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
	if !s.contract.Keep {
		r.keep = r.tokens
		if s.contract.OneRow {
			r.keep = 1
		}
	}
	return r
}

// check says what is wrong with a batch. The engine never makes such a one; a graph would answer nonsense.
func (s *Session) check(b []engine.Row) error {
	if len(b) == 0 {
		return errors.New("a batch without rows")
	}
	for i, r := range b {
		switch {
		case len(r.Tokens) == 0 || len(r.Tokens) != len(b[0].Tokens) || len(b) > 1 && len(r.Tokens) != 1:
			return fmt.Errorf("row %d of %d has %d tokens: rows have one each, or there is one row", i, len(b), len(r.Tokens))
		case r.Slot != b[0].Slot+i || r.Slot < 0 || r.Slot > s.info.Slots:
			return fmt.Errorf("row %d is slot %d: slots are adjacent and at most %d", i, r.Slot, s.info.Slots)
		case r.Past < 0 || r.Past+len(r.Tokens) > s.info.MaxLen:
			return fmt.Errorf("row %d holds %d tokens and gets %d, the limit is %d", i, r.Past, len(r.Tokens), s.info.MaxLen)
		case r.Logits < 0 || r.Logits > min(len(r.Tokens), s.info.Logits):
			return fmt.Errorf("row %d wants %d rows of logits of %d tokens, the most are %d", i, r.Logits, len(r.Tokens), s.info.Logits)
		case len(r.Tokens) > s.info.Chunk:
			return fmt.Errorf("row %d gets %d tokens, a run takes %d", i, len(r.Tokens), s.info.Chunk)
		}
	}
	return nil
}

// Copy copies the KV rows of the first n tokens of slot src to slot dst. Slot Info().Slots is scratch.
func (s *Session) Copy(dst, src, n int) error {
	if min(dst, src, n) < 0 || max(dst, src) > s.info.Slots || n > s.info.MaxLen {
		return fmt.Errorf("copying %d tokens from slot %d to %d of %d", n, src, dst, s.info.Slots)
	}
	s.kv.copy(dst, src, n)
	return nil
}

// Close frees the graph and its memory.
func (s *Session) Close() error {
	var errs []error
	if s.arena != nil {
		errs = append(errs, s.arena.close())
	}
	if s.kv != nil {
		errs = append(errs, s.kv.close())
	}
	if s.session != nil {
		errs = append(errs, s.session.Destroy())
	}
	s.arena, s.kv, s.session = nil, nil, nil
	return errors.Join(errs...)
}
