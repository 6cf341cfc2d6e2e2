package onnx

import (
	"errors"
	"fmt"

	ort "github.com/yalue/onnxruntime_go"
)

// runner is a graph that ONNX Runtime has loaded.
type runner struct {
	contract *Contract
	session  *ort.DynamicAdvancedSession
	provider string      // what computes, "" for the processor
	kernels  string      // ONNX Runtime's, or the instruction set of ours and how many nodes they compute
	cuda     *cuda       // nil where another provider computes
	in, out  []ort.Value // arguments of a run, their memory used again
}

// newRunner lets ONNX Runtime load the graph at path.
func newRunner(path string, c *Contract, o Options) (_ *runner, err error) {
	r := &runner{contract: c, provider: o.Provider}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
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
		opts.SetGraphOptimizationLevel(ort.GraphOptimizationLevelEnableAll), // some graphs answer otherwise below it
		opts.SetMemPattern(false),                                           // keeps a plan for every length of a chunk
		opts.SetLogSeverityLevel(ort.LoggingLevelFatal),                     // what fails is returned, and what the probe tries may fail
		opts.AddSessionConfigEntry("session.intra_op.allow_spinning", spin),
	)
	if err != nil {
		return nil, fmt.Errorf("session options: %w", err)
	}
	if o.Profile != "" {
		if err := opts.EnableProfiling(o.Profile); err != nil {
			return nil, fmt.Errorf("session options: %w", err)
		}
	}
	switch o.Provider {
	case "", ProviderCPU:
	case ProviderCUDA:
		if r.cuda, err = openCUDA(o.Device); err == nil {
			err = errors.Join(r.cuda.check(c), r.cuda.append(opts, o.ProviderOptions))
		}
	default:
		err = appendProvider(opts, o.Provider, o.ProviderOptions)
	}
	if err != nil {
		return nil, err
	}
	return r, r.load(path, opts, o)
}

// inputs returns the names of the inputs in the order of run.
func (c *Contract) inputs() []string {
	names := []string{c.IDs, c.Mask}
	for _, optional := range []string{c.Positions, c.Keep, c.Branch} {
		if optional != "" {
			names = append(names, optional)
		}
	}
	for _, kv := range c.KV {
		names = append(names, kv.Past)
	}
	return names
}

// outputs returns the names of the outputs in the order of run.
func (c *Contract) outputs() []string {
	names := []string{c.Logits}
	for _, kv := range c.KV {
		names = append(names, kv.Present)
	}
	return names
}

// run runs the graph once on what the arena holds, whose views are t. Past and present may be the same tensors. Logits may be nil: then
// ONNX Runtime allots them; it returns them in both cases.
func (r *runner) run(a *arena, t *tensors, logits ort.Value, past, present []ort.Value) (ort.Value, error) {
	in := append(r.in[:0], t.ids, t.mask)
	if r.contract.Positions != "" {
		in = append(in, t.positions)
	}
	if r.contract.Keep != "" {
		in = append(in, a.keepValue)
	}
	if r.contract.Branch != "" {
		in = append(in, a.branchVal)
	}
	in = append(in, past...)
	out := append(append(r.out[:0], logits), present...)
	r.in, r.out = in, out
	if err := r.session.Run(in, out); err != nil {
		return nil, err
	}
	return out[0], nil
}

// device says what computes: the provider, and its device's name.
func (r *runner) device() string {
	switch {
	case r.cuda != nil:
		return ProviderCUDA + ": " + r.cuda.name
	case r.provider != "":
		return r.provider
	}
	return ProviderCPU
}

// close frees the graph, then the device.
func (r *runner) close() error {
	var errs []error
	if r.session != nil {
		errs = append(errs, r.session.Destroy())
	}
	if r.cuda != nil {
		errs = append(errs, r.cuda.close())
	}
	r.session, r.cuda = nil, nil
	return errors.Join(errs...)
}
