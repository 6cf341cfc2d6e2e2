package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"ortserve/models"
)

// modelInfo is what list and show tell of a model, in JSON.
type modelInfo struct {
	Name          string    `json:"name"`
	Digest        string    `json:"digest"`
	Size          int64     `json:"size"`
	Modified      time.Time `json:"modified"`
	Architecture  string    `json:"architecture"`
	Parameters    string    `json:"parameters"`
	Quantization  string    `json:"quantization"`
	ContextLength int       `json:"context_length"`
	Vocab         int       `json:"vocab"`
	Layers        int       `json:"layers"`
	Heads         int       `json:"heads"`
	KVHeads       int       `json:"kv_heads"`
	HeadSize      int       `json:"head_size"`
	Hidden        int       `json:"hidden"`
	From          string    `json:"from,omitempty"`   // the model that it was made from
	System        string    `json:"system,omitempty"` // its own system prompt
	Dir           string    `json:"dir"`
}

func infoOf(m *models.Model) modelInfo {
	return modelInfo{
		Name: m.Name, Digest: m.Digest, Size: m.Size, Modified: m.Modified,
		Architecture: m.Architecture, Parameters: m.ParameterSize, Quantization: m.Quantization, ContextLength: m.ContextLength,
		Vocab: m.Vocab, Layers: m.Layers, Heads: m.Heads, KVHeads: m.KVHeads, HeadSize: m.HeadSize, Hidden: m.Hidden,
		From: m.Custom.From, System: m.Custom.System, Dir: m.Dir,
	}
}

// runList lists the models of the store.
func runList(_ context.Context, args []string, t terminal) error {
	f := newFlags("list", "list [--json]\n\nLists the models of the store.", t)
	asJSON := f.Bool("json", false, "as JSON, a list of objects")
	if _, err := parseNames(f, args, 0, 0); err != nil {
		return err
	}
	return withStore(func(s *models.Store) error {
		list, bad := s.List()
		if *asJSON {
			all := []modelInfo{}
			for _, m := range list {
				all = append(all, infoOf(m))
			}
			return errors.Join(writeJSON(t.out, all), bad)
		}
		w := tabwriter.NewWriter(t.out, 0, 0, 3, ' ', 0)
		fmt.Fprintln(w, "NAME\tID\tSIZE\tPARAMETERS\tQUANTIZATION\tCONTEXT\tMODIFIED")
		for _, m := range list {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", m.Name, m.Digest[:12], size(m.Size), dash(m.ParameterSize), dash(m.Quantization),
				m.ContextLength, m.Modified.Format("2006-01-02 15:04"))
		}
		return errors.Join(w.Flush(), bad)
	})
}

// writeJSON writes v for a program, or for a person with a program's eyes.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// size writes a number of bytes as file managers and hubs do: in powers of ten.
func size(n int64) string {
	units := []string{"bytes", "kB", "MB", "GB", "TB"}
	v, i := float64(n), 0
	for ; v >= 1000 && i < len(units)-1; i++ {
		v /= 1000
	}
	if i == 0 {
		return fmt.Sprintf("%d bytes", n)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") + " " + units[i]
}

// dash stands for what is not known.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
