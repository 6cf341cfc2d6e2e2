package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"ortserve/internal/chart"
)

// drawSpeed draws tokens a second against the context: of decoding, a line a batch, and of prefill.
func drawSpeed(out io.Writer, r *speed) error {
	c := chart.Chart{
		Title: "Tokens a second with " + r.Model, Subtitle: r.machine(), Description: r.describe(),
		Plots: []chart.Plot{
			{Title: "Decode, all sequences together", X: "tokens of context", Y: "tokens a second", Lines: decodeLines(r)},
			{Title: "Prefill", X: "tokens of context", Y: "tokens a second", Lines: prefillLine(r)},
		},
		Notes: [2]string{r.model(), fmt.Sprintf("ortserve %s, ONNX Runtime %s on %s, kernels: %s, %s. Medians of %d steps and %d prompts.",
			r.Version, r.ONNXRuntime, r.Device, r.Kernels, r.When.Format("2006-01-02"), r.Steps, r.Rounds)},
	}
	return c.Write(out)
}

// describe says in words what the picture shows, for readers who do not see it.
func (r *speed) describe() string {
	var b strings.Builder
	for _, p := range r.Prefill {
		fmt.Fprintf(&b, "Context %d: prefill %s tokens a second", p.Context, rate(p.Rate))
		for _, d := range r.Decode {
			if d.Context == p.Context {
				fmt.Fprintf(&b, ", decode of %d %s", d.Batch, rate(d.Rate))
			}
		}
		b.WriteString(". ")
	}
	return strings.TrimSpace(b.String())
}

func decodeLines(r *speed) []chart.Line {
	var all []chart.Line
	for _, d := range r.Decode {
		label := fmt.Sprintf("batch %d", d.Batch)
		i := slices.IndexFunc(all, func(l chart.Line) bool { return l.Label == label })
		if i < 0 {
			i, all = len(all), append(all, chart.Line{Label: label})
		}
		all[i].Points = append(all[i].Points, chart.Point{X: float64(d.Context), Y: d.Rate})
	}
	return all
}

func prefillLine(r *speed) []chart.Line {
	l := chart.Line{Label: "prompt"}
	for _, p := range r.Prefill {
		l.Points = append(l.Points, chart.Point{X: float64(p.Context), Y: p.Rate})
	}
	return []chart.Line{l}
}
