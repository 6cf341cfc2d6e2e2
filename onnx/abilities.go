package onnx

import (
	"fmt"
	"strings"
)

// Ability is something that the engine does with a graph where it is right, and how it stands with an open one.
type Ability struct {
	Name string
	On   bool
	Why  string // it is off, or what bounds it; "" where there is nothing to say
}

// Abilities returns all of them.
func (s *Session) Abilities() []Ability {
	c, info := s.contract, s.Info()
	const tensorScale = "the graph quantizes activations with one scale for all of a run"
	var all []Ability
	add := func(name string, on bool, why string) { all = append(all, Ability{name, on, why}) }

	batches := fmt.Sprintf("up to %d sequences a run", info.Slots)
	if info.Rows == 1 {
		batches = s.why("batching", tensorScale)
	}
	add("batching", info.Rows != 1 && info.Slots > 1, batches)
	chunks := fmt.Sprintf("up to %d tokens a run", info.Chunk)
	if info.Whole {
		chunks = s.why("chunked prefill", tensorScale)
	}
	add("chunked prefill", !info.Whole, chunks)
	switch {
	case info.Whole:
		add("prefix reuse", false, "a prompt is one run")
	case info.Wrap > 0:
		add("prefix reuse", true, fmt.Sprintf("of sequences of up to %d tokens: the caches of windows wrap then", info.Wrap))
	default:
		add("prefix reuse", true, "")
	}
	switch {
	case info.Whole:
		add("speculation", false, "a prompt is one run")
	case info.Logits < 2:
		add("speculation", false, "the graph gives the logits of the last position alone")
	case info.Wrap > 0:
		add("speculation", true, fmt.Sprintf("of up to %d tokens, in sequences of up to %d", info.Logits-1, info.Wrap))
	default:
		add("speculation", true, fmt.Sprintf("of up to %d tokens", info.Logits-1))
	}
	shares := s.report.Family == familyShared
	switch {
	case !shares:
		add("a cache that stays in place", false, "the graph gives a new one in each step")
	case s.options.Provider != "" && s.options.Provider != ProviderCPU && s.options.Provider != ProviderCUDA:
		add("a cache that stays in place", false, "the provider copies it from and to the processor's memory in each step")
	default:
		add("a cache that stays in place", true, "")
	}
	switch {
	case c.WholeTensorScale || info.Rows == 1 && info.Whole:
		add("the same bits in any batch", true, "no two sequences run together")
	case !shares:
		add("the same bits in any batch", false, "rows of one run have the ids of each alone, not the bits (--deterministic runs one at a time)")
	case c.PairedRows && !s.options.Deterministic:
		add("the same bits in any batch", false, "the kernels round a row alone otherwise than two (--deterministic pads)")
	default:
		add("the same bits in any batch", true, "")
	}
	return all
}

// why says what the self-check found against something, or gives the usual reason.
func (s *Session) why(lost, usual string) string {
	for _, f := range s.report.Findings {
		if strings.HasPrefix(f.Lost, lost) && f.Result != notTried {
			return f.Check + ": " + f.Result
		}
	}
	if !s.contract.WholeTensorScale {
		return "--deterministic: the cache grows, and rows of one run have the ids of each alone, not the bits"
	}
	return usual
}
