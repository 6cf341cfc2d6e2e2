package engine

import (
	"slices"
	"time"
)

// Histogram counts durations.
type Histogram struct {
	Bounds []float64 // upper ones, in seconds, rising
	Counts []uint64  // up to each bound and above the one before; one more for what is above the last
	Sum    float64   // seconds
}

// betweenBounds are the bounds of the time between two tokens: from small models on large machines to a prompt that is read meanwhile.
var betweenBounds = []float64{.001, .002, .004, .006, .008, .01, .015, .02, .03, .04, .06, .08, .1, .15, .2, .3, .5, 1, 2, 5}

func newHistogram(bounds []float64) Histogram {
	return Histogram{Bounds: bounds, Counts: make([]uint64, len(bounds)+1)}
}

func (h *Histogram) observe(d time.Duration) {
	i, _ := slices.BinarySearch(h.Bounds, d.Seconds())
	h.Counts[i]++
	h.Sum += d.Seconds()
}

// clone returns what h holds now.
func (h *Histogram) clone() Histogram {
	return Histogram{Bounds: h.Bounds, Counts: slices.Clone(h.Counts), Sum: h.Sum}
}
