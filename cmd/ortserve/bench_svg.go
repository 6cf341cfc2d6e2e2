package main

import (
	"bufio"
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// The picture's measures, in pixels.
const (
	svgWidth, svgHeight = 960, 460
	plotTop, plotHeight = 96, 270
	plotWidth           = 330
	labelGap            = 15 // least distance of two labels
)

// svgStyle colours it for a light page, or a dark one where the reader's system asks for that.
const svgStyle = `
    svg { font: 13px system-ui, sans-serif; --ink: #1b1f24; --soft: #59636e; --line: #d1d9e0; --paper: #ffffff;
      --c0: #0969da; --c1: #bc4c00; --c2: #1a7f37; --c3: #8250df; --c4: #bf3989; --c5: #7d4e00 }
    @media (prefers-color-scheme: dark) {
      svg { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --paper: #0d1117;
        --c0: #58a6ff; --c1: #f0883e; --c2: #56d364; --c3: #bc8cff; --c4: #ff7bac; --c5: #d9a441 }
    }
    .paper { fill: var(--paper) } text { fill: var(--ink) } .soft { fill: var(--soft); font-size: 12px }
    .title { font-size: 16px; font-weight: 600 } .head { font-weight: 600 } .end { text-anchor: end } .middle { text-anchor: middle }
    .grid { stroke: var(--line); stroke-width: 1 } .curve { fill: none; stroke-width: 2 }
    .s0 { stroke: var(--c0) } .s1 { stroke: var(--c1) } .s2 { stroke: var(--c2) } .s3 { stroke: var(--c3) } .s4 { stroke: var(--c4) } .s5 { stroke: var(--c5) }
    .f0 { fill: var(--c0) } .f1 { fill: var(--c1) } .f2 { fill: var(--c2) } .f3 { fill: var(--c3) } .f4 { fill: var(--c4) } .f5 { fill: var(--c5) }
`

// svgColors is how many the style has.
const svgColors = 6

// curve is one line of a plot.
type curve struct {
	label  string
	points []point
}

type point struct{ context, rate float64 }

// drawSpeed draws tokens a second against the context: of decoding, a line a batch, and of prefill.
func drawSpeed(out io.Writer, r *speed) error {
	w := &svgWriter{bufio.NewWriter(out)}
	w.line(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="title desc">`, svgWidth, svgHeight)
	w.line(`  <title id="title">Speed of %s</title>`, escape(r.Model))
	w.line(`  <desc id="desc">%s</desc>`, escape(r.describe()))
	w.line("  <style>%s  </style>", svgStyle)
	w.line(`  <rect class="paper" width="%d" height="%d"/>`, svgWidth, svgHeight)
	w.text(24, 32, "title", "Tokens a second with "+r.Model)
	w.text(24, 52, "soft", r.machine())
	w.plot(72, "Decode, all sequences together", decodeCurves(r))
	w.plot(72+plotWidth+140, "Prefill", prefillCurve(r))
	w.text(24, svgHeight-30, "soft", r.model())
	w.text(24, svgHeight-12, "soft", fmt.Sprintf("ortserve %s, ONNX Runtime %s on %s, %s. Medians of %d steps and %d prompts.",
		r.Version, r.ONNXRuntime, r.Device, r.When.Format("2006-01-02"), r.Steps, r.Rounds))
	w.line("</svg>")
	return w.Flush()
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

func decodeCurves(r *speed) []curve {
	var all []curve
	for _, d := range r.Decode {
		label := fmt.Sprintf("batch %d", d.Batch)
		i := slices.IndexFunc(all, func(c curve) bool { return c.label == label })
		if i < 0 {
			i, all = len(all), append(all, curve{label: label})
		}
		all[i].points = append(all[i].points, point{float64(d.Context), d.Rate})
	}
	return all
}

func prefillCurve(r *speed) []curve {
	c := curve{label: "prompt"}
	for _, p := range r.Prefill {
		c.points = append(c.points, point{float64(p.Context), p.Rate})
	}
	return []curve{c}
}

type svgWriter struct{ *bufio.Writer }

// line writes a line; what fails is told by Flush.
func (w *svgWriter) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

func (w *svgWriter) text(x, y float64, class, s string) {
	w.line(`  <text x="%.1f" y="%.1f" class="%s">%s</text>`, x, y, class, escape(s))
}

// plot draws curves in a plot whose left edge is at x: the context on a logarithmic scale, the rate from 0.
func (w *svgWriter) plot(x float64, title string, curves []curve) {
	w.text(x, plotTop-14, "head", title)
	low, high, top := math.Inf(1), 0.0, 0.0
	var contexts []float64
	for _, c := range curves {
		for _, p := range c.points {
			low, high, top = min(low, p.context), max(high, p.context), max(top, p.rate)
			contexts = append(contexts, p.context)
		}
	}
	if len(contexts) == 0 {
		w.text(x, plotTop+20, "soft", "nothing was measured")
		return
	}
	slices.Sort(contexts)
	across := func(context float64) float64 {
		if high == low {
			return x + plotWidth/2
		}
		return x + plotWidth*math.Log(context/low)/math.Log(high/low)
	}
	step := niceStep(top)
	ceiling := step * math.Ceil(top/step)
	up := func(rate float64) float64 { return plotTop + plotHeight*(1-rate/ceiling) }
	for v := 0.0; v <= ceiling*1.001; v += step {
		w.line(`  <line class="grid" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1[3]f"/>`, x, x+plotWidth, up(v))
		w.text(x-8, up(v)+4, "soft end", fmt.Sprintf("%g", v))
	}
	last := math.Inf(-1)
	for _, c := range slices.Compact(contexts) {
		if at := across(c); at-last > 34 { // numbers do not run into each other
			w.text(at, plotTop+plotHeight+20, "soft middle", fmt.Sprintf("%g", c))
			last = at
		}
	}
	w.text(x+plotWidth/2, plotTop+plotHeight+40, "soft middle", "tokens of context")
	labels := make([]float64, len(curves))
	for i, c := range curves {
		var path []string
		for _, p := range c.points {
			path = append(path, fmt.Sprintf("%.1f,%.1f", across(p.context), up(p.rate)))
		}
		w.line(`  <polyline class="curve s%d" points="%s"/>`, i%svgColors, strings.Join(path, " "))
		for _, p := range c.points {
			w.line(`  <circle class="f%d" cx="%.1f" cy="%.1f" r="3.5"><title>%s, context %g: %s tokens a second</title></circle>`,
				i%svgColors, across(p.context), up(p.rate), escape(c.label), p.context, rate(p.rate))
		}
		labels[i] = up(c.points[len(c.points)-1].rate)
	}
	for i, y := range spread(labels, labelGap) {
		w.line(`  <text class="f%d" x="%.1f" y="%.1f" style="fill: var(--c%[1]d)">%[4]s</text>`, i%svgColors, across(high)+10, y+4, escape(curves[i].label))
	}
}

// niceStep is the distance of lines: 1, 2 or 5 times a power of ten, about five of them up to top.
func niceStep(top float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(top/5)))
	for _, f := range []float64{1, 2, 5} {
		if top/(f*power) <= 5 {
			return f * power
		}
	}
	return 10 * power
}

// spread moves positions apart, downwards from the uppermost, such that any two differ by at least gap.
func spread(at []float64, gap float64) []float64 {
	order := make([]int, len(at))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(at[a], at[b]) })
	moved := slices.Clone(at)
	for i := 1; i < len(order); i++ {
		moved[order[i]] = max(moved[order[i]], moved[order[i-1]]+gap)
	}
	return moved
}

// escape makes text that XML can hold.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder refuses nothing
	return b.String()
}
