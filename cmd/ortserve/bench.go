package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"time"

	"ortserve/engine"
	"ortserve/internal/buildinfo"
	"ortserve/internal/config"
	"ortserve/internal/home"
	"ortserve/models"
	"ortserve/onnx"
)

// usualContexts are measured where the operator names none.
var usualContexts = []int{128, 512, 2048}

// readPasses is how often memory is read before and after the model is measured.
const readPasses = 4

// runBench measures a model on this machine.
func runBench(ctx context.Context, args []string, t terminal) error {
	c, err := config.ParseBench(args, os.Getenv, t.out)
	if err != nil {
		return err
	}
	if c.Model == "" {
		c.Model = home.DefaultModel
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	log, m, err := examined(&c.Serve, c.Model, t)
	if err != nil {
		return err
	}
	r, err := measureSpeed(ctx, c, m, log, t.err)
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted; nothing was written")
	}
	if err != nil {
		return err
	}
	if err := r.write(t.out); err != nil {
		return err
	}
	return errors.Join(
		writeFile(c.JSON, "--json", func(w io.Writer) error { return writeJSON(w, r) }),
		writeFile(c.SVG, "--svg", func(w io.Writer) error { return drawSpeed(w, r) }))
}

// writeFile makes the file path, if there is one.
func writeFile(path, flag string, write func(io.Writer) error) error {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	return errors.Join(write(f), f.Close())
}

// measureSpeed opens the model as serve would, with room for the largest batch at the longest context, and measures it.
func measureSpeed(ctx context.Context, c *config.Bench, m *models.Model, log *slog.Logger, progress io.Writer) (r *speed, err error) {
	contract, err := onnx.Inspect(m.Graph, hints(m))
	if err != nil {
		return nil, err
	}
	weights, err := onnx.ReadWeights(m.Graph)
	if err != nil {
		return nil, err
	}
	contexts, err := fitContexts(c.Contexts, c.Steps, longest(m.ContextLength, contract.MaxLen()))
	if err != nil {
		return nil, err
	}
	l := newLoader(&c.Serve, log)
	if err := l.chooseProvider(); err != nil {
		return nil, err
	}
	c.Slots, c.MaxLen = slices.Max(c.Batches), slices.Max(contexts)+c.Steps
	reader := newMemoryReader(l.threads, readBytes)
	l.memory = max(l.memory-readBytes, 1) // what it reads stays, beside the model
	for range readPasses {
		reader.pass()
	}
	p, session, err := l.session(m)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	if p.provider == onnx.ProviderCPU {
		if _, err := onnx.UseHugePages(); err != nil { // serve goes on without them too
			log.Warn("the weights stay in small pages of memory", "error", err)
		}
	}
	r = &speed{
		Processor: config.Processor(), Cores: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH,
		Version: buildinfo.Version, ONNXRuntime: onnx.Version(), Device: session.Report().Device, Kernels: session.Report().Kernels, Threads: l.threads,
		Deterministic: c.Deterministic, Model: m.Name, WeightBytes: weights.Bytes, Parameters: weights.Parameters, WeightBits: weights.Bits(),
		KVToken: p.contract.TokenBytes(), Rounds: c.Rounds, Steps: c.Steps, When: time.Now().UTC().Truncate(time.Second),
	}
	b := &bencher{model: session, info: session.Info(), random: rand.New(rand.NewPCG(1, 2))}
	said, finish := progressOf(progress, "measuring "+m.Name)
	err = b.measure(ctx, c, contexts, r, said)
	finish()
	if err != nil {
		return nil, err
	}
	for range readPasses {
		reader.pass()
	}
	if p.provider == onnx.ProviderCPU {
		r.share(reader.best)
	}
	return r, nil
}

// fitContexts returns what is measured in a window (0: any): the usual lengths, as far as they fit with the steps, or those wanted, of
// which each must fit.
func fitContexts(wanted []int, steps, window int) ([]int, error) {
	if len(wanted) > 0 {
		if last := wanted[len(wanted)-1]; window > 0 && last+steps > window {
			return nil, fmt.Errorf("--context %d and --steps %d need %d tokens, the model's window has %d", last, steps, last+steps, window)
		}
		return wanted, nil
	}
	var fitting []int
	for _, n := range usualContexts {
		if window == 0 || n+steps <= window {
			fitting = append(fitting, n)
		}
	}
	if len(fitting) == 0 {
		if n := window - steps; n > 0 {
			return []int{n}, nil
		}
		return nil, fmt.Errorf("--steps %d do not fit the model's window of %d tokens", steps, window)
	}
	return fitting, nil
}

// bencher times runs of a model. Which tokens it gets changes no speed, so they are random.
type bencher struct {
	model  engine.Model
	info   engine.ModelInfo
	random *rand.Rand
}

// measure fills r.
func (b *bencher) measure(ctx context.Context, c *config.Bench, contexts []int, r *speed, progress func(done, total int64)) error {
	batches := c.Batches
	if b.info.Rows > 0 && b.info.Rows < batches[len(batches)-1] { // what the graph does not allow is not measured
		batches = slices.DeleteFunc(slices.Clone(batches), func(n int) bool { return n > b.info.Rows })
		r.LargestBatch = b.info.Rows
	}
	var done, total int64
	for _, n := range contexts {
		total += int64(n*c.Rounds + n/8*len(batches)) // about what each costs
	}
	// The first run makes what ONNX Runtime keeps for the next ones.
	if err := b.prefill(ctx, contexts[0]); err != nil {
		return err
	}
	for _, n := range contexts {
		times := make([]time.Duration, c.Rounds)
		for i := range times {
			begin := time.Now()
			if err := b.prefill(ctx, n); err != nil {
				return err
			}
			times[i] = time.Since(begin)
			done += int64(n)
			progress(done, total)
		}
		took := median(times).Seconds()
		r.Prefill = append(r.Prefill, prefillSpeed{Context: n, Seconds: took, Rate: float64(n) / took})
		for _, batch := range batches {
			step, err := b.decode(ctx, n, batch, c.Steps)
			if err != nil {
				return err
			}
			r.Decode = append(r.Decode, decodeSpeed{
				Context: n, Batch: batch, Seconds: step, Rate: float64(batch) / step,
				Read: r.WeightBytes + int64(batch)*int64(n+c.Steps/2)*r.KVToken,
			})
			done += int64(n / 8)
			progress(done, total)
		}
	}
	return nil
}

// prefill computes a prompt of n tokens in slot 0, in runs as large as the model takes.
func (b *bencher) prefill(ctx context.Context, n int) error {
	for past := 0; past < n; {
		if err := ctx.Err(); err != nil {
			return err
		}
		row := engine.Row{Past: past, Tokens: b.tokens(min(n-past, b.info.Chunk))}
		if past += len(row.Tokens); past == n {
			row.Logits = 1
		}
		if _, err := b.model.Forward(&engine.Batch{Rows: []engine.Row{row}}); err != nil {
			return err
		}
	}
	return nil
}

// decode returns how many seconds a step takes of so many sequences that each have n tokens. Slot 0 holds them.
func (b *bencher) decode(ctx context.Context, n, batch, steps int) (float64, error) {
	if b.info.Wrap > 0 && n+steps > b.info.Wrap { // earlier steps took the place of the prompt's rows
		if err := b.prefill(ctx, n); err != nil {
			return 0, err
		}
	}
	for slot := 1; slot < batch; slot++ {
		if err := b.model.Copy(slot, 0, n); err != nil {
			return 0, err
		}
	}
	times := make([]time.Duration, steps)
	for i := range times {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		rows := make([]engine.Row, batch)
		for slot := range rows {
			rows[slot] = engine.Row{Slot: slot, Past: n + i, Tokens: b.tokens(1), Logits: 1}
		}
		begin := time.Now()
		if _, err := b.model.Forward(&engine.Batch{Rows: rows}); err != nil {
			return 0, err
		}
		times[i] = time.Since(begin)
	}
	return median(times).Seconds(), nil
}

func (b *bencher) tokens(n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = b.random.Int32N(int32(b.info.Vocab))
	}
	return ids
}

// median returns the middle one, and at least a nanosecond.
func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return max(times[len(times)/2], 1)
}
