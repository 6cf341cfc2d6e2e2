package models

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a model is created with is its own; the rest is its parent's, through several generations.
func TestCreate(t *testing.T) {
	s, _ := store(t, "a@latest")
	a, err := s.Find("a")
	if err != nil {
		t.Fatal(err)
	}
	half, twenty := 0.5, 20
	if err := s.Create("a", "b", Custom{System: "Be brief.", NumCtx: 10, Generation: Generation{Temperature: &half}}, "{{ messages }}"); err != nil {
		t.Fatal(err)
	}
	if err := s.Create("b", "org/c:x", Custom{Stop: []string{"END"}, License: "free", Generation: Generation{TopK: &twenty}}, ""); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove("b"); err != nil {
		t.Fatal(err)
	}
	c, err := s.Find("org/c:x")
	if err != nil {
		t.Fatal(err)
	}
	want := Custom{From: "b:latest", System: "Be brief.", License: "free", Stop: []string{"END"}, NumCtx: 10, Generation: Generation{Temperature: &half, TopK: &twenty}}
	if diff := cmp.Diff(want, c.Custom); diff != "" {
		t.Errorf("custom (-want +got):\n%s", diff)
	}
	if c.ChatTemplate != "{{ messages }}" || c.ContextLength != 10 || *c.Generation.Temperature != half || c.Layers != a.Layers {
		t.Errorf("%+v", c)
	}
	if c.Generation.TopP != a.Generation.TopP && *c.Generation.TopP != *a.Generation.TopP {
		t.Error("what the parent advises is lost")
	}
	if again, err := s.Find("a"); err != nil || again.Digest != a.Digest || again.Digest == c.Digest || again.Custom.System != "" {
		t.Errorf("the first is %+v, %v", again, err)
	}
	if err := s.Create("a", "d", Custom{}, strings.Repeat("x", maxTemplateBytes+1)); err == nil {
		t.Error("a template that could not be read again was written")
	}
}
