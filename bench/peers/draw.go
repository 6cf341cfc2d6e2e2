package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ortserve/internal/chart"
)

// images is where the pictures lie, beside the document.
const images = "images"

// image is the picture's name in the document's folder.
func (m *modelResult) image() string { return images + "/peers-" + m.Key + ".svg" }

// chart is the picture of a model: output by clients, and prompts by length. It has no plots where neither was measured.
func (m *modelResult) chart(r *results) *chart.Chart {
	c := &chart.Chart{
		Title: m.Title, Subtitle: fmt.Sprintf("%s, %d cores, %s", r.Machine.CPU, r.Machine.Cores, r.When.Format("2006-01-02")),
		Notes: [2]string{"Medians; versions and ratios are in the tables.", r.Command},
	}
	clients := chart.Plot{Title: "Output of all clients", X: "clients", Y: "tokens a second", Lines: m.lines(kindClients,
		func(s *stage) float64 { return float64(s.Clients) }, func(s *series) float64 { return median(s.each((*round).rate)) })}
	lengths := chart.Plot{Title: "A prompt of one client", X: "tokens of the prompt", Y: "tokens a second", Lines: m.lines(kindLength,
		func(s *stage) float64 { return float64(s.Length) }, func(s *series) float64 { return median(s.prefill()) })}
	for _, p := range []chart.Plot{clients, lengths} {
		if len(p.Lines) == 0 {
			continue
		}
		c.Plots = append(c.Plots, p)
		for _, l := range p.Lines {
			for _, at := range l.Points {
				c.Description += fmt.Sprintf("%s: %s, %g %s: %.0f %s. ", p.Title, l.Label, at.X, p.X, at.Y, p.Y)
			}
		}
	}
	return c
}

// lines are those of all servers in the stages of a kind.
func (m *modelResult) lines(kind string, x func(*stage) float64, y func(*series) float64) []chart.Line {
	var all []chart.Line
	for i := range m.Stages {
		s := &m.Stages[i]
		if s.Kind != kind {
			continue
		}
		for j := range s.Series {
			r := &s.Series[j]
			if len(r.Rounds) == 0 {
				continue
			}
			name := strings.TrimPrefix(r.Name, "ortserve, ") // room is scarce
			at := slices.IndexFunc(all, func(l chart.Line) bool { return l.Label == name })
			if at < 0 {
				at, all = len(all), append(all, chart.Line{Label: name})
			}
			all[at].Points = append(all[at].Points, chart.Point{X: x(s), Y: y(r)})
		}
	}
	return all
}

// writeCharts writes the pictures beside the document.
func (r *results) writeCharts(document string) error {
	for i := range r.Models {
		c := r.Models[i].chart(r)
		if len(c.Plots) == 0 {
			continue
		}
		path := filepath.Join(filepath.Dir(document), filepath.FromSlash(r.Models[i].image()))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		if err := errors.Join(c.Write(f), f.Close()); err != nil {
			return err
		}
	}
	return nil
}
