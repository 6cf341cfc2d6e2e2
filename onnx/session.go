package onnx

import (
	"errors"
	"fmt"
	"path/filepath"

	"ortserve/engine"
)

// Options say how a graph is opened.
type Options struct {
	Provider        string // what computes, in lower case; "" is the processor
	ProviderOptions map[string]string
	Device          int    // CUDA's, the first is 0
	Profile         string // begin of the path of a file that ReadPlacement reads after Close; "": none. Runs are slower with it

	Kernels string // of the processor: KernelsAuto or "", KernelsORT, or an instruction set that package kernel has
	KV      string // what KV memory is made of: KVAuto, KVFloat32 or KVFloat16; "" is KVFloat32

	Threads int  // of ONNX Runtime, the calling one included
	Spin    bool // threads wait busily for work for a moment; wrong under a CPU quota
	Slots   int  // sequences that the KV memory holds
	MaxLen  int  // tokens of a sequence
	Chunk   int  // most tokens of a prefill run
	// Deterministic gives a row the same bits whatever runs beside it, also where the graph's kernels do not: runs of Contract.PairedRows
	// are padded to an even number of rows (otherwise only those that it hardly costs anything), sequences of a graph whose cache grows
	// run one at a time, their prompts whole.
	Deterministic bool
}

// Session is an open graph: an engine.Model of the family that the graph belongs to.
type Session struct {
	engine.Model

	contract *Contract
	options  Options
	report   Report
}

// Contract returns what the graph asks for and gives.
func (s *Session) Contract() *Contract { return s.contract }

// Report returns what the self-check found.
func (s *Session) Report() Report { return s.report }

// Open opens the graph at path, whose contract is c, and checks that it answers as it must. Load must have been called. The error names
// the file, and what was expected and found.
func Open(path string, c *Contract, o Options) (*Session, error) {
	s, err := open(path, c, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return s, nil
}

func open(path string, c *Contract, o Options) (_ *Session, err error) {
	if o.Provider != "" && o.Provider != ProviderCPU {
		handlers := saveSignals()
		defer handlers.restore()
	}
	if c.MaxPositions > 0 && o.MaxLen >= c.MaxPositions {
		why := ""
		if c.TwoTables {
			why = " (its rotary table for longer texts does not go with what the other one has stored)"
		}
		return nil, fmt.Errorf("%d tokens a sequence are too many (--max-len): the graph knows %d positions, one of them is padding%s", o.MaxLen, c.MaxPositions, why)
	}
	r, err := newRunner(path, c, o)
	if err != nil {
		return nil, err
	}
	s := &Session{contract: r.contract, options: o, report: Report{Device: r.device(), Kernels: r.kernels}}
	defer func() {
		if err != nil && s.Model != nil {
			err = errors.Join(err, s.Close())
		} else if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	t, err := newTrial(r)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	check := selfCheck{trial: t, report: &s.report}
	if t.shares() {
		m, err := newShared(r, o, wrapSlack)
		if err != nil {
			return nil, err
		}
		s.Model, check.model, check.forward, s.report.Family = m, &m.model, m.Forward, familyShared
		err = errors.Join(check.run(), check.unshared())
		return s, err
	}
	m, err := newGrowing(r, o)
	if err != nil {
		return nil, err
	}
	s.Model, check.model, check.forward, s.report.Family = m, &m.model, m.Forward, familyGrowing
	return s, check.run()
}
