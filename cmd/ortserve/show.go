package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"ortserve/models"
)

// runShow describes a model of the store.
func runShow(_ context.Context, args []string, t terminal) error {
	f := newFlags("show", "show NAME [--json]\n\nDescribes a model of the store.", t)
	asJSON := f.Bool("json", false, "as JSON, an object")
	template := f.Bool("template", false, "the chat template alone")
	names, err := parseNames(f, args, 1, 1)
	if err != nil {
		return err
	}
	return withStore(func(s *models.Store) error {
		m, err := s.Find(names[0])
		if err != nil {
			return err
		}
		switch {
		case *template:
			_, err := fmt.Fprint(t.out, m.ChatTemplate)
			return err
		case *asJSON:
			return writeJSON(t.out, infoOf(m))
		}
		w := tabwriter.NewWriter(t.out, 0, 0, 3, ' ', 0)
		for _, row := range [][2]any{
			{"name", m.Name},
			{"architecture", m.Architecture},
			{"parameters", dash(m.ParameterSize)},
			{"quantization", dash(m.Quantization)},
			{"context length", m.ContextLength},
			{"vocabulary", m.Vocab},
			{"layers", m.Layers},
			{"heads", fmt.Sprintf("%d, of keys and values %d, of %d each", m.Heads, m.KVHeads, m.HeadSize)},
			{"hidden size", m.Hidden},
			{"made from", dash(m.Custom.From)},
			{"system prompt", dash(m.Custom.System)},
			{"chat template", present(m.ChatTemplate)},
			{"size", size(m.Size)},
			{"digest", m.Digest},
			{"modified", m.Modified.Format("2006-01-02 15:04:05")},
			{"directory", m.Dir},
		} {
			fmt.Fprintf(w, "%s\t%v\n", row[0], row[1])
		}
		return w.Flush()
	})
}

func present(text string) string {
	if text == "" {
		return "none"
	}
	return fmt.Sprintf("%d characters (--template prints it)", len([]rune(text)))
}
