package sample

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestDRY compares penalties with the reference, of random sequences over a few tokens that have texts.
func TestDRY(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	texts := []string{"a", "b", "\n", "c\n", "x", "y", "xy"}
	bytes := func(id int32) []byte { return []byte(texts[id]) }
	for i := range 2000 {
		d := DRY{Multiplier: 0.5, Base: 1.5, AllowedLength: 1 + rng.IntN(3), LastN: -1 + 8*rng.IntN(3)}
		if d.LastN == 7 {
			d.LastN = 0
		}
		if i%2 == 0 {
			d.Breakers, d.Bytes = []string{"\n", "xy"}, bytes
		}
		var all []int32
		for range rng.IntN(30) {
			all = append(all, int32(rng.IntN(2+rng.IntN(len(texts)-1))))
		}
		cut := rng.IntN(len(all) + 1)
		s := NewSampler(Params{DRY: d}, all[:cut])
		for _, id := range all[cut:] {
			s.Accept(id)
		}
		got, want := make([]float32, len(texts)), make([]float64, len(texts))
		if _, err := s.Sample(got); err != nil {
			t.Fatal(err)
		}
		if d.LastN != 0 {
			referenceDRY(want, d, all)
		}
		for id := range got {
			if math.Abs(float64(got[id])-want[id]) > 1e-5 {
				t.Fatalf("%v with %+v: token %d has %v, want %v", all, d, id, got, want)
			}
		}
	}
}
