package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"ortserve/internal/config"
)

// speed is what bench measured, as its JSON has it. Bytes, seconds, tokens a second.
type speed struct {
	When          time.Time `json:"when"`
	Processor     string    `json:"processor"`
	Cores         int       `json:"cores"`
	System        string    `json:"system"`
	MemoryRead    float64   `json:"memory_read_bytes_per_second,omitempty"` // by all threads together, the fastest pass
	Version       string    `json:"ortserve"`
	ONNXRuntime   string    `json:"onnxruntime"`
	Device        string    `json:"device"`
	Kernels       string    `json:"kernels"`
	Threads       int       `json:"threads"`
	Deterministic bool      `json:"deterministic"`
	Model         string    `json:"model"`
	WeightBytes   int64     `json:"weight_bytes"` // that a decode step reads, see onnx.Weights
	Parameters    int64     `json:"weight_parameters"`
	WeightBits    float64   `json:"bits_per_weight"`
	KVToken       int64     `json:"kv_bytes_per_token"`
	Rounds        int       `json:"rounds"`
	Steps         int       `json:"steps"`
	LargestBatch  int       `json:"largest_batch,omitempty"` // that the graph allows; 0: any

	Prefill []prefillSpeed `json:"prefill"`
	Decode  []decodeSpeed  `json:"decode"`
}

// prefillSpeed is of prompts of Context tokens, from an empty cache to the first logits.
type prefillSpeed struct {
	Context int     `json:"context"`
	Seconds float64 `json:"seconds"`
	Rate    float64 `json:"tokens_per_second"`
}

// decodeSpeed is of steps of Batch sequences that each have Context tokens.
type decodeSpeed struct {
	Context int     `json:"context"`
	Batch   int     `json:"batch"`
	Seconds float64 `json:"step_seconds"`
	Rate    float64 `json:"tokens_per_second"` // of all sequences together
	Read    int64   `json:"read_bytes"`        // a step: the weights once and the KV rows of each sequence
	Share   float64 `json:"memory_read_share,omitempty"`
}

// share says which part of the memory's read speed decoding reaches.
func (r *speed) share(bytesPerSecond float64) {
	r.MemoryRead = bytesPerSecond
	for i, d := range r.Decode {
		r.Decode[i].Share = float64(d.Read) / d.Seconds / bytesPerSecond
	}
}

// machine is a line about where the figures come from, model one about what was measured.
func (r *speed) machine() string {
	s := fmt.Sprintf("%s, %d cores, %s; %d threads", r.Processor, r.Cores, r.System, r.Threads)
	if r.MemoryRead > 0 {
		s += fmt.Sprintf(" read %.1f GB/s", r.MemoryRead/1e9)
	}
	return s
}

func (r *speed) model() string {
	return fmt.Sprintf("%s: %.0f M parameters in matrices, %.1f bits each, %s; KV %s a token",
		r.Model, float64(r.Parameters)/1e6, r.WeightBits, config.Bytes(r.WeightBytes), config.Bytes(r.KVToken))
}

// write tells it to a person.
func (r *speed) write(out io.Writer) error {
	mode := ""
	if r.Deterministic {
		mode = ", --deterministic"
	}
	fmt.Fprintf(out, "%s\n%s\nortserve %s, ONNX Runtime %s on %s, kernels: %s%s, %s\n\n", r.machine(), r.model(),
		r.Version, r.ONNXRuntime, r.Device, r.Kernels, mode, r.When.Format("2006-01-02 15:04 MST"))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(cells ...string) { fmt.Fprintln(w, strings.Join(cells, "\t")+"\t") }
	line("context", "prefill tok/s", "batch", "decode tok/s", "each", "ms a step", "of memory read")
	for _, p := range r.Prefill {
		first := []string{fmt.Sprint(p.Context), rate(p.Rate)}
		for _, d := range r.Decode {
			if d.Context != p.Context {
				continue
			}
			share := "-"
			if d.Share > 0 {
				share = fmt.Sprintf("%.0f %%", 100*d.Share)
			}
			line(append(first, fmt.Sprint(d.Batch), rate(d.Rate), rate(d.Rate/float64(d.Batch)), fmt.Sprintf("%.2f", 1e3*d.Seconds), share)...)
			first = []string{"", ""}
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if r.LargestBatch > 0 {
		fmt.Fprintf(out, "\nThe graph decodes at most %d at a time.\n", r.LargestBatch)
	}
	return nil
}

// rate writes a number with three digits that count.
func rate(v float64) string {
	switch {
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}
