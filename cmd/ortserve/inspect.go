package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"ortserve/internal/config"
	"ortserve/models"
	"ortserve/onnx"
)

// inspection is what inspect tells of a model, in JSON.
type inspection struct {
	Model       string `json:"model"`
	Graph       string `json:"graph"`
	ONNXRuntime string `json:"onnxruntime"`
	Device      string `json:"device"`
	Kernels     string `json:"kernels"` // "onnxruntime", or the instruction set of this program's own and how many nodes they compute
	Family      string `json:"family"`  // "shared buffer" or "growing"

	Inputs    []value          `json:"inputs"`
	Outputs   []value          `json:"outputs"`
	Positions int              `json:"positions"`  // rows of the rotary caches; 0: they are not in the graph
	TwoTables bool             `json:"two_tables"` // there is another for longer texts, which is not used
	Abilities []ability        `json:"abilities"`
	Checks    []check          `json:"self_check"`
	Placement []onnxProvider   `json:"placement"`
	Memory    inspectionMemory `json:"memory"`
}

// value is an input or an output, or all of a kind.
type value struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Shape string `json:"shape"`
	Note  string `json:"note,omitempty"`
}

type ability struct {
	Name string `json:"name"`
	On   bool   `json:"on"`
	Why  string `json:"why,omitempty"`
}

type check struct {
	Check  string `json:"check"`
	Result string `json:"result"`
	Off    string `json:"off,omitempty"` // what is switched off because of it
}

type onnxProvider struct {
	Provider  string         `json:"provider"`
	Nodes     int            `json:"nodes"`
	Operators map[string]int `json:"operators"`
	order     []onnx.Operator
}

// inspectionMemory is in bytes.
type inspectionMemory struct {
	Weights       int64 `json:"weights"`
	KVToken       int64 `json:"kv_per_token"` // of one sequence, in all layers
	Slots         int   `json:"slots"`
	MaxLen        int   `json:"max_len"`
	KV            int64 `json:"kv"` // of all slots
	Total         int64 `json:"total"`
	ContextLength int   `json:"context_length"` // of the model

	why string
}

// runInspect opens a model as serve would and tells what it found.
func runInspect(_ context.Context, args []string, t terminal) error {
	c, err := config.ParseInspect(args, os.Getenv, t.out)
	if err != nil {
		return err
	}
	log, m, err := examined(&c.Serve, c.Model, t)
	if err != nil {
		return err
	}
	l := newLoader(&c.Serve, log)
	if err := l.chooseProvider(); err != nil {
		return err
	}
	report, err := l.inspect(m)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(t.out, report)
	}
	return report.write(t.out)
}

// inspect opens a model's graph, so that the self-check runs it, and closes it.
func (l *loader) inspect(m *models.Model) (*inspection, error) {
	tmp, err := os.MkdirTemp("", "ortserve-inspect-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	l.profile = filepath.Join(tmp, "profile")
	p, s, err := l.session(m)
	if err != nil {
		return nil, err
	}
	report := describeSession(m, p, s)
	if err := s.Close(); err != nil {
		return nil, err
	}
	placement, err := onnx.ReadPlacement(l.profile)
	if err != nil {
		return nil, err
	}
	for _, p := range placement {
		o := onnxProvider{Provider: p.Provider, Nodes: p.Nodes, Operators: map[string]int{}, order: p.Operators}
		for _, op := range p.Operators {
			o.Operators[op.Name] = op.Nodes
		}
		report.Placement = append(report.Placement, o)
	}
	return report, nil
}

// describeSession tells all that is known of an open graph.
func describeSession(m *models.Model, p *plan, s *onnx.Session) *inspection {
	c := s.Contract()
	r := &inspection{
		Model: m.Name, Graph: m.Graph, ONNXRuntime: onnx.Version(), Device: s.Report().Device, Kernels: s.Report().Kernels, Family: s.Report().Family,
		Positions: c.MaxPositions, TwoTables: c.TwoTables,
		Memory: inspectionMemory{
			Weights: m.Size, KVToken: c.TokenBytes(), Slots: p.slots, MaxLen: p.maxLen,
			KV: int64(p.slots+1) * c.SlotBytes(p.maxLen), Total: p.bytes, ContextLength: m.ContextLength, why: p.why,
		},
	}
	r.Inputs = []value{{c.IDs, "int64", "[B, S]", ""}, {c.Mask, "int64", "[B, T]", ""}}
	for _, optional := range []value{
		{c.Positions, "int64", "[B, S]", ""},
		{c.Keep, "int64", "[1]", "of how many of the last positions logits are given"},
		{c.Branch, "bool", "[1]", "whether there is a past"},
	} {
		if optional.Name != "" {
			r.Inputs = append(r.Inputs, optional)
		}
	}
	pasts, presents := make([]string, 0, len(c.KV)), make([]string, 0, len(c.KV))
	window, wrapping := 0, 0
	for _, kv := range c.KV {
		pasts, presents = append(pasts, kv.Past), append(presents, kv.Present)
		if kv.Window > 0 {
			window, wrapping = kv.Window, wrapping+1
		}
	}
	kv := func(names []string, rows string) value {
		v := value{span(names), c.KVType.String(), fmt.Sprintf("[B, %d, %s, %d]", c.KVHeads, rows, c.HeadSize), fmt.Sprintf("%d tensors", len(names))}
		if wrapping > 0 {
			v.Note += fmt.Sprintf(", %d of them with a window of %d", wrapping, window)
		}
		return v
	}
	r.Inputs = append(r.Inputs, kv(pasts, "P"))
	rows := "S"
	switch {
	case c.OneRow && c.Keep != "":
		rows = c.Keep
	case c.OneRow:
		rows = "1"
	}
	r.Outputs = []value{{c.Logits, c.LogitsType.String(), fmt.Sprintf("[B, %s, %d]", rows, c.Vocab), ""}, kv(presents, "P'")}
	for _, a := range s.Abilities() {
		r.Abilities = append(r.Abilities, ability(a))
	}
	for _, f := range s.Report().Findings {
		r.Checks = append(r.Checks, check{f.Check, f.Result, f.Lost})
	}
	return r
}

// span names the first and the last of several.
func span(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return names[0] + " … " + names[len(names)-1]
}

// write tells it to a person.
func (r *inspection) write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(cells ...string) { fmt.Fprintln(w, strings.TrimRight(strings.Join(cells, "\t"), "\t")) }
	line("model", r.Model)
	line("graph", r.Graph)
	line("computed by", fmt.Sprintf("%s (ONNX Runtime %s)", r.Device, r.ONNXRuntime))
	line("kernels", r.Kernels)
	line("cache", map[string]string{"shared buffer": "past and present are one buffer", "growing": "present is a new tensor in each step"}[r.Family])
	switch {
	case r.TwoTables:
		line("positions", fmt.Sprintf("%d in the graph's table for short texts, %d in the model's description", r.Positions, r.Memory.ContextLength))
	case r.Positions > 0:
		line("positions", fmt.Sprintf("%d in the graph, %d in the model's description", r.Positions, r.Memory.ContextLength))
	default:
		line("positions", fmt.Sprintf("%d in the model's description", r.Memory.ContextLength))
	}
	for _, part := range []struct {
		title  string
		values []value
	}{{"inputs", r.Inputs}, {"outputs", r.Outputs}} {
		fmt.Fprintf(w, "\n%s\n", part.title)
		for _, v := range part.values {
			line("  "+v.Name, v.Type+" "+v.Shape, v.Note)
		}
	}
	fmt.Fprint(w, "\nself-check\n")
	for _, c := range r.Checks {
		off := ""
		if c.Off != "" {
			off = "off: " + c.Off
		}
		line("  "+c.Check, c.Result, off)
	}
	fmt.Fprint(w, "\nabilities\n")
	for _, a := range r.Abilities {
		line("  "+a.Name, map[bool]string{true: "on", false: "off"}[a.On], a.Why)
	}
	fmt.Fprint(w, "\nnodes\n")
	for _, p := range r.Placement {
		var operators []string
		for _, o := range p.order {
			operators = append(operators, fmt.Sprintf("%d %s", o.Nodes, o.Name))
		}
		line("  "+p.Provider, fmt.Sprint(p.Nodes), strings.Join(operators, ", "))
	}
	fmt.Fprint(w, "\nmemory\n")
	line("  weights", config.Bytes(r.Memory.Weights))
	line("  cache, a token", fmt.Sprintf("%d bytes", r.Memory.KVToken))
	line("  cache", config.Bytes(r.Memory.KV), fmt.Sprintf("%d slots of %d tokens, and one of scratch", r.Memory.Slots, r.Memory.MaxLen))
	line("  in all", config.Bytes(r.Memory.Total), r.Memory.why)
	return w.Flush()
}

// examined finds the model that a command looks at in its own process, and loads the runtime library. The log is of what goes wrong alone.
func examined(c *config.Serve, model string, t terminal) (*slog.Logger, *models.Model, error) {
	log := slog.New(slog.NewTextHandler(t.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	store, err := openStore(log)
	if err != nil {
		return nil, nil, err
	}
	if store != nil {
		defer store.Close()
	}
	m, err := findModel(store, model)
	if err != nil {
		return nil, nil, err
	}
	_, err = onnx.Load(c.Runtime)
	return log, m, err
}
