package onnx

import (
	"strings"
	"testing"
)

// TestTwoTables: a graph that takes another rotary table once the mask is longer than 600 (LongRoPE) keeps to the one for short texts, also
// where the slots could hold more and the mask is padded to their length.
func TestTwoTables(t *testing.T) {
	const name = "genai-phi3-int4"
	path, c := exported(t, name)
	if !c.TwoTables || c.MaxPositions != 600 || c.MaxLen() != 599 {
		t.Fatalf("two tables %v, %d positions, %d tokens", c.TwoTables, c.MaxPositions, c.MaxLen())
	}
	o := wide
	o.MaxLen = 600
	if _, err := Open(path, c, o); err == nil || !strings.Contains(err.Error(), "its rotary table for longer texts") || !strings.Contains(err.Error(), "--max-len") {
		t.Errorf("with 600 tokens: %v", err)
	}
	o.MaxLen = c.MaxLen()
	prompt, answer := longPrompt(t, name)
	g := &greedy{t: t, m: openPath(t, path, c, o)}
	g.goOn("in slots as long as they may be", g.next(prompt...), answer)

	// Taken for one with a single table of 2048, as the longer one has, it is found out.
	wrong := *c
	wrong.MaxPositions = 2048
	o.MaxLen = 1000
	s, err := Open(path, &wrong, o)
	if err == nil {
		err = s.Close()
		t.Error("a graph that takes another table for a padded mask was opened")
	}
	if err == nil || !strings.Contains(err.Error(), "past and present in one buffer against two") {
		t.Errorf("taken for another: %v", err)
	}
}
