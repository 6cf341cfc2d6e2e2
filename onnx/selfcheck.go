package onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"ortserve/engine"
)

// Report is what the self-check found when a graph was opened.
type Report struct {
	Device   string // what computes: "cpu", or "cuda: " and the device's name
	Kernels  string // "onnxruntime", or the instruction set of ours and how many nodes they compute: "avx512vnni (121 nodes)"
	Family   string // "shared buffer" or "growing"
	Findings []Finding
}

const (
	familyShared  = "shared buffer"
	familyGrowing = "growing"
)

// notTried is the result of a check of what is known to be wrong.
const notTried = "not tried"

// Finding is one check.
type Finding struct {
	Check  string // what was compared: "a prompt in two runs"
	Result string // "same bits", or how far apart
	Lost   string // what is switched off because of it; "" where nothing is
}

// selfCheck runs a prompt and a step with a past, in the ways that the engine will ask for. What must hold and does not is an error; what
// only makes it faster is switched off in the model's info.
type selfCheck struct {
	*model
	forward func(*engine.Batch) (engine.Logits, error)
	trial   *trial
	report  *Report

	ids          []int32
	prompt, step []float32 // the logits after all ids but the last, and after the last as a step
}

// maxApart is how far apart logits may be, as a part of their spread, before they are taken for those of another text. Kernels that quantize
// activations round otherwise from shape to shape; a graph that reads the wrong rows is off by more than the spread.
const maxApart = 0.5

// maxMoved is the same for runs that differ in nothing but where their cache lies and how long the mask's padding is: the same kernels on the
// same numbers.
const maxMoved = 0.1

// run checks what holds for both families.
func (c *selfCheck) run() error {
	n := min(checkTokens, c.info.MaxLen-1, c.info.Chunk-1)
	if n < 4 {
		_, err := c.logits(0, 0, []int32{0})
		c.found("a prompt of one token", "runs; the window is too short for more", "")
		return err
	}
	for i := range n + 1 {
		c.ids = append(c.ids, int32((7+37*i+i*i)%c.info.Vocab))
	}
	whole, err := c.logits(0, 0, c.ids)
	if err == nil {
		c.prompt, err = c.logits(0, 0, c.ids[:n])
	}
	if err != nil {
		return fmt.Errorf("a prompt: %w", err)
	}
	if c.step, err = c.logits(0, n, c.ids[n:]); err != nil {
		return fmt.Errorf("it runs a prompt, but not the first step with a past: %w", err)
	}
	if !c.contract.WholeTensorScale { // there the prompt's scale is another
		if err := c.require("a step with a past against one prompt", c.step, whole, maxApart); err != nil {
			return err
		}
	}
	if err := c.checkChunks(whole); err != nil {
		return err
	}
	return c.checkRows()
}

// checkChunks compares a prompt in two runs with one.
func (c *selfCheck) checkChunks(whole []float32) error {
	const what, lost = "a prompt in two runs", "chunked prefill, prefix reuse and speculation"
	if c.info.Whole {
		c.found(what, notTried, lost)
		return nil
	}
	half := len(c.ids) / 2
	_, err := c.logits(1, 0, c.ids[:half])
	var got []float32
	if err == nil {
		got, err = c.logits(1, half, c.ids[half:])
	}
	if c.agree(what, got, whole, err, lost) {
		return nil
	}
	c.setWhole()
	return c.resize()
}

// checkRows compares two sequences of unlike lengths in one run with each alone.
func (c *selfCheck) checkRows() error {
	const what, lost = "two sequences in one run", "batching"
	if c.info.Slots < 2 {
		return nil
	}
	if c.info.Rows == 1 {
		c.found(what, notTried, lost)
		return nil
	}
	n := len(c.ids) - 1
	short := c.ids[n/2 : n/2+3]
	if _, err := c.logits(1, 0, short[:2]); err != nil {
		return fmt.Errorf("a prompt of two tokens: %w", err)
	}
	alone, err := c.logits(1, 2, short[2:])
	if err != nil {
		return fmt.Errorf("a step after two tokens: %w", err)
	}
	both, err := c.forward(&engine.Batch{Rows: []engine.Row{
		{Slot: 0, Past: n, Tokens: c.ids[n:], Logits: 1}, {Slot: 1, Past: 2, Tokens: short[2:], Logits: 1},
	}})
	if !c.agree(what, both.Data, slices.Concat(c.step, alone), err, lost) {
		c.info.Rows = 1
	}
	return nil
}

// unshared compares a prompt and a step in the slots with those of a past and a present of their own.
func (c *selfCheck) unshared() error {
	if c.prompt == nil {
		return nil
	}
	n := len(c.ids) - 1
	prompt, err := c.trial.next(c.ids[:n], 0)
	var step []float32
	if err == nil {
		step, err = c.trial.next(c.ids[n:], n)
	}
	if err != nil {
		return fmt.Errorf("past and present in memory of their own: %w", err)
	}
	return c.require("past and present in one buffer against two", slices.Concat(c.prompt, c.step), slices.Concat(prompt, step), maxMoved)
}

// logits runs one row and returns a copy of its last logits.
func (c *selfCheck) logits(slot, past int, tokens []int32) ([]float32, error) {
	l, err := c.forward(&engine.Batch{Rows: []engine.Row{{Slot: slot, Past: past, Tokens: tokens, Logits: 1}}})
	if err != nil {
		return nil, err
	}
	for _, v := range l.Data {
		if v != v {
			return nil, errors.New("the logits are not numbers")
		}
	}
	return slices.Clone(l.Data), nil
}

// require notes how far got is from want, and refuses what is too far.
func (c *selfCheck) require(what string, got, want []float32, limit float64) error {
	d := apart(got, want)
	c.found(what, describeApart(d), "")
	if !(d <= limit) {
		return fmt.Errorf("the self-check failed: %s: the logits are %s", what, describeApart(d))
	}
	return nil
}

// agree notes how far got is from want, or the error instead of it, and says whether it is near enough. Lost is what goes if not.
func (c *selfCheck) agree(what string, got, want []float32, err error, lost string) bool {
	if err != nil {
		c.found(what, err.Error(), lost)
		return false
	}
	d := apart(got, want)
	if d <= maxApart {
		lost = ""
	}
	c.found(what, describeApart(d), lost)
	return lost == ""
}

func (c *selfCheck) found(check, result, lost string) {
	c.report.Findings = append(c.report.Findings, Finding{check, result, lost})
}

// apart is the root of the mean square of a-b, as a part of b's standard deviation.
func apart(a, b []float32) float64 {
	if slices.Equal(a, b) {
		return 0
	}
	var sum, squares, difference float64
	for i, v := range b {
		sum += float64(v)
		squares += float64(v) * float64(v)
		difference += (float64(a[i]) - float64(v)) * (float64(a[i]) - float64(v))
	}
	n := float64(len(b))
	return math.Sqrt(difference / max(squares-sum*sum/n, math.SmallestNonzeroFloat32))
}

func describeApart(d float64) string {
	if d == 0 {
		return "same bits"
	}
	return fmt.Sprintf("apart by %.2g of their spread", d)
}
