package sample

import (
	"errors"
	"math"
	"slices"
	"testing"
)

func TestTieTakesLowestID(t *testing.T) {
	s := NewSampler(Params{}, nil)
	if id, err := s.Sample([]float32{1, 5, 5, 2, 5}); err != nil || id != 1 {
		t.Errorf("got %d, %v, want 1", id, err)
	}
}

func TestUnusableLogits(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	f := func(logits ...float32) {
		t.Helper()
		for _, p := range []Params{{}, {Temperature: 1}} {
			if id, err := NewSampler(p, nil).Sample(slices.Clone(logits)); err == nil {
				t.Errorf("of %v token %d was drawn, want an error", logits, id)
			}
		}
	}
	f(1, nan, 2)
	f(nan)
	f(-inf, -inf)
	f(1, inf)
}

// TestSeedIsTheOnlyState draws sequences twice and shows that the stream depends on the seed and the index alone.
func TestSeedIsTheOnlyState(t *testing.T) {
	row := make([]float32, 1000)
	sequence := func(seed uint64) []int32 {
		s := NewSampler(Params{Temperature: 1, Seed: seed}, nil)
		var ids []int32
		for range 50 {
			id, err := s.Sample(row)
			if err != nil {
				t.Fatal(err)
			}
			s.Accept(id)
			ids = append(ids, id)
		}
		return ids
	}
	if a, b := sequence(42), sequence(42); !slices.Equal(a, b) {
		t.Errorf("seed 42 gave %v and then %v", a, b)
	}
	if a, b := sequence(42), sequence(43); slices.Equal(a, b) {
		t.Errorf("seeds 42 and 43 both gave %v", a)
	}
}

// TestStream shows that the first answer draws as a request for one does, and the others other numbers, the same each time.
func TestStream(t *testing.T) {
	seen := map[uint64]bool{}
	for _, seed := range []uint64{0, 1, 42} {
		if Stream(seed, 0) != seed {
			t.Errorf("the first answer to seed %d draws with %d", seed, Stream(seed, 0))
		}
		for choice := range 8 {
			s := Stream(seed, choice)
			if seen[s] || s != Stream(seed, choice) {
				t.Errorf("seed %d, answer %d: %d again", seed, choice, s)
			}
			seen[s] = true
		}
	}
	// SplitMix64's published first output for the seed 0.
	if got := Stream(0, 1); got != 0xe220a8397b1dcdaf {
		t.Errorf("SplitMix64(0) is %#x", got)
	}
}

// TestBanned: that a request takes out all tokens is told from logits that are no numbers.
func TestBanned(t *testing.T) {
	out, nan := float32(math.Inf(-1)), float32(math.NaN())
	f := func(want error, logits ...float32) {
		t.Helper()
		for _, temperature := range []float64{0, 1} {
			s := NewSampler(Params{Temperature: temperature, LogitBias: map[int32]float32{0: out, 1: out}}, nil)
			if _, err := s.Sample(logits); !errors.Is(err, want) {
				t.Errorf("of %v: %v, want %v", logits, err, want)
			}
		}
	}
	f(ErrBanned, 1, 2)
	f(ErrNoToken, 1, 2, nan)
	f(nil, 1, 2, 3)
}
