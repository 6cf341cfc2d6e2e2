package chart

import (
	"math"
	"slices"
	"testing"
)

func TestSpread(t *testing.T) {
	if got := spread([]float64{50, 10, 51, 12}, 15); !slices.Equal(got, []float64{50, 10, 65, 25}) {
		t.Errorf("%v", got)
	}
}

func TestNumbers(t *testing.T) {
	f := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9*math.Abs(want) {
			t.Errorf("%s: %g, want %g", what, got, want)
		}
	}
	for top, want := range map[float64]float64{4.9: 1, 5.1: 2, 99: 20, 101: 50, 0.3: 0.1, 1000: 200} {
		f("steps", niceStep(top), want)
	}
	for v, want := range map[float64]float64{0: 0, 1234.5: 1230, 0.012345: 0.0123, 7: 7} {
		f("three digits", significant(v), want)
	}
}
