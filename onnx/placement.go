package onnx

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Placement is which provider computed how many of a graph's nodes, after ONNX Runtime's own optimization.
type Placement struct {
	Provider  string // as ONNX Runtime names it: CPUExecutionProvider
	Nodes     int
	Operators []Operator // the most frequent first
}

// Operator is how often one occurs.
type Operator struct {
	Name  string
	Nodes int
}

// ReadPlacement reads and removes the file that a session wrote whose Options had this Profile; the session must be closed. Providers come
// in the order of their nodes, most first. Nodes that never ran are not in it.
func ReadPlacement(profile string) ([]Placement, error) {
	files, err := filepath.Glob(profile + "_*.json")
	if err != nil || len(files) != 1 {
		return nil, fmt.Errorf("ONNX Runtime wrote %d profiles %s_*.json, want one", len(files), profile)
	}
	b, err := os.ReadFile(files[0])
	if err = errors.Join(err, os.Remove(files[0])); err != nil {
		return nil, err
	}
	// Chrome's trace format. A node is told by its number in its graph and its name; each run has an event for each.
	var events []struct {
		Category string `json:"cat"`
		Name     string
		Args     struct {
			Provider string
			Operator string `json:"op_name"`
			Node     string `json:"node_index"`
		}
	}
	if err := json.Unmarshal(b, &events); err != nil {
		return nil, fmt.Errorf("ONNX Runtime's profile: %w", err)
	}
	seen := map[[2]string]bool{}
	counts := map[string]map[string]int{}
	for _, e := range events {
		node := [2]string{e.Args.Node, e.Name}
		if e.Category != "Node" || !strings.HasSuffix(e.Name, "_kernel_time") || seen[node] {
			continue
		}
		seen[node] = true
		if counts[e.Args.Provider] == nil {
			counts[e.Args.Provider] = map[string]int{}
		}
		counts[e.Args.Provider][e.Args.Operator]++
	}
	var all []Placement
	for provider, operators := range counts {
		p := Placement{Provider: provider}
		for name, n := range operators {
			p.Nodes += n
			p.Operators = append(p.Operators, Operator{name, n})
		}
		slices.SortFunc(p.Operators, func(a, b Operator) int {
			return cmp.Or(cmp.Compare(b.Nodes, a.Nodes), cmp.Compare(a.Name, b.Name))
		})
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Placement) int {
		return cmp.Or(cmp.Compare(b.Nodes, a.Nodes), cmp.Compare(a.Provider, b.Provider))
	})
	return all, nil
}
