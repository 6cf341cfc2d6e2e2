package onnx

import (
	"math"
	"slices"
	"testing"

	"ortserve/engine"
	"ortserve/internal/testmodel"
)

// TestCuts shows what the scheduler's rule for deterministic runs is about: wherever a prompt is cut in two, the bits of the logits behind it
// are the same, unless a run ends in a tile of a single token.
func TestCuts(t *testing.T) {
	lone := 0 // cuts with such a run that gave other bits
	f := func(name string, config testmodel.Config, kernels string) {
		t.Helper()
		o := options
		o.Slots, o.Chunk, o.Deterministic, o.Kernels = 1, 128, true, kernels
		s := openTest(t, config, o)
		tile := 2 * s.Contract().HeadSize
		for _, total := range []int{40, 71, 100} {
			prompt := tokens(1, total)
			forward := func(past, logits int, ids []int32) []float32 {
				t.Helper()
				out, err := s.Forward(&engine.Batch{Rows: []engine.Row{{Past: past, Tokens: ids, Logits: logits}}})
				if err != nil {
					t.Fatal(err)
				}
				return out.Data
			}
			whole := slices.Clone(forward(0, 1, prompt))
			for cut := 2; cut <= total-2; cut++ {
				forward(0, 0, prompt[:cut])
				got := forward(cut, 1, prompt[cut:])
				same := slices.EqualFunc(whole, got, func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) })
				switch {
				case same:
				case cut%tile == 1 || (total-cut)%tile == 1:
					lone++
				default:
					t.Errorf("%s: %d tokens cut behind the %dth: other bits than in one run", name, total, cut)
				}
			}
		}
	}
	for _, l := range layouts {
		f(l.name, l.config, KernelsORT)
		f(l.name, l.config, KernelsAuto)
	}
	if lone == 0 {
		t.Error("a tile of one token never gives other bits: the rule is not needed")
	}
	t.Logf("%d cuts that leave a tile of one token give other bits", lone)
}
