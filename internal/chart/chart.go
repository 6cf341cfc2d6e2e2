// Package chart draws lines as SVG (https://www.w3.org/TR/SVG2/): plots side by side, for a light or a dark page, without a script.
package chart

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
	Width, Height       = 1000, 460
	plotTop, plotHeight = 96, 270
	plotWidth           = 330
	labelGap            = 15 // least distance of two labels
)

// style colours it for a light page, or a dark one where the reader's system asks for that.
const style = `
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

// colors is how many the style has.
const colors = 6

// Chart is a picture of up to two plots.
type Chart struct {
	Title, Subtitle string
	Description     string // in words what it shows, for readers who do not see it
	Plots           []Plot
	Notes           [2]string // below the plots
}

// Plot has its own axes: X on a logarithmic scale, Y from 0.
type Plot struct {
	Title string
	X, Y  string // what the axes count: "tokens of context", "tokens a second"
	Lines []Line
}

// Line is points in the order of X, and at least one.
type Line struct {
	Label  string
	Points []Point
}

// Point is a value at X, which is above 0.
type Point struct{ X, Y float64 }

// Write writes the picture. The error is that of the writer.
func (c *Chart) Write(out io.Writer) error {
	w := &writer{bufio.NewWriter(out)}
	w.line(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="title desc">`, Width, Height)
	w.line(`  <title id="title">%s</title>`, escape(c.Title))
	w.line(`  <desc id="desc">%s</desc>`, escape(c.Description))
	w.line("  <style>%s  </style>", style)
	w.line(`  <rect class="paper" width="%d" height="%d"/>`, Width, Height)
	w.text(24, 32, "title", c.Title)
	w.text(24, 52, "soft", c.Subtitle)
	for i, p := range c.Plots {
		w.plot(72+float64(i)*(plotWidth+150), p)
	}
	w.text(24, Height-30, "soft", c.Notes[0])
	w.text(24, Height-12, "soft", c.Notes[1])
	w.line("</svg>")
	return w.Flush()
}

// writer writes elements.
type writer struct{ *bufio.Writer }

// line writes a line; what fails is told by Flush.
func (w *writer) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

func (w *writer) text(x, y float64, class, s string) {
	w.line(`  <text x="%.1f" y="%.1f" class="%s">%s</text>`, x, y, class, escape(s))
}

// plot draws a plot whose left edge is at x.
func (w *writer) plot(x float64, plot Plot) {
	w.text(x, plotTop-14, "head", plot.Title)
	low, high, top := math.Inf(1), 0.0, 0.0
	var places []float64
	for _, l := range plot.Lines {
		for _, p := range l.Points {
			low, high, top = min(low, p.X), max(high, p.X), max(top, p.Y)
			places = append(places, p.X)
		}
	}
	if len(places) == 0 {
		w.text(x, plotTop+20, "soft", "nothing was measured")
		return
	}
	slices.Sort(places)
	across := func(at float64) float64 {
		if high == low {
			return x + plotWidth/2
		}
		return x + plotWidth*math.Log(at/low)/math.Log(high/low)
	}
	step := niceStep(top)
	ceiling := step * math.Ceil(top/step)
	up := func(v float64) float64 { return plotTop + plotHeight*(1-v/ceiling) }
	for v := 0.0; v <= ceiling*1.001; v += step {
		w.line(`  <line class="grid" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1[3]f"/>`, x, x+plotWidth, up(v))
		w.text(x-8, up(v)+4, "soft end", fmt.Sprintf("%g", v))
	}
	last := math.Inf(-1)
	for _, v := range slices.Compact(places) {
		if at := across(v); at-last > 34 { // numbers do not run into each other
			w.text(at, plotTop+plotHeight+20, "soft middle", fmt.Sprintf("%g", v))
			last = at
		}
	}
	w.text(x+plotWidth/2, plotTop+plotHeight+40, "soft middle", plot.X)
	labels := make([]float64, len(plot.Lines))
	for i, l := range plot.Lines {
		var path []string
		for _, p := range l.Points {
			path = append(path, fmt.Sprintf("%.1f,%.1f", across(p.X), up(p.Y)))
		}
		w.line(`  <polyline class="curve s%d" points="%s"/>`, i%colors, strings.Join(path, " "))
		for _, p := range l.Points {
			w.line(`  <circle class="f%d" cx="%.1f" cy="%.1f" r="3.5"><title>%s, %s: %g %s</title></circle>`,
				i%colors, across(p.X), up(p.Y), escape(l.Label), escape(fmt.Sprintf("%g %s", p.X, plot.X)), significant(p.Y), escape(plot.Y))
		}
		labels[i] = up(l.Points[len(l.Points)-1].Y)
	}
	for i, y := range spread(labels, labelGap) {
		w.line(`  <text class="f%d" x="%.1f" y="%.1f" style="fill: var(--c%[1]d)">%[4]s</text>`, i%colors, across(high)+10, y+4, escape(plot.Lines[i].Label))
	}
}

// significant rounds to three digits.
func significant(v float64) float64 {
	if v == 0 {
		return 0
	}
	power := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-2)
	return math.Round(v/power) * power
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
