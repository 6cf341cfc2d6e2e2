package nbits

import (
	"math"
	"math/rand/v2"
	"testing"
)

// loss is the squared error of what rows stand for, each column's times its weight.
func loss(t *testing.T, f Format, r *Rows, values []float32, k int, weight func(i int) float64) float64 {
	t.Helper()
	got := make([]float32, len(values))
	if err := f.Dequantize(got, r, len(values)/k, k); err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for i, v := range values {
		d := float64(v) - float64(got[i])
		sum += weight(i) * d * d
	}
	return sum
}

// exhaustive is the least loss of a block that a fine grid of scales and all zero points reach.
func exhaustive(f Format, x []float32, weight func(i int) float64) float64 {
	most, levels := 0.0, float64(int(1)<<f.Bits-1)
	for _, v := range x {
		most = max(most, math.Abs(float64(v)))
	}
	if most == 0 {
		return 0
	}
	best := math.Inf(1)
	for zero := 0.0; zero <= levels; zero++ {
		if f.Symmetric && zero != (levels+1)/2 {
			continue
		}
		for step := -600; step <= 600; step++ {
			scale := most / 4 * float64(step) / 600
			if scale == 0 || scale < 0 && !f.Symmetric {
				continue
			}
			sum := 0.0
			for i, v := range x {
				q := min(max(math.RoundToEven(float64(v)/scale)+zero, 0), levels)
				d := float64(v) - scale*(q-zero)
				sum += weight(i) * d * d
			}
			best = min(best, sum)
		}
	}
	return best
}

// TestFit: the weighted error is less than that of rounding to nearest, and near the least there is.
func TestFit(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	const rows, k = 3, 256
	values, importance := make([]float32, rows*k), make([]float32, k)
	for i := range values {
		values[i] = float32(r.NormFloat64())
		if r.IntN(50) == 0 {
			values[i] *= 4
		}
	}
	clear(values[:128]) // blocks of zeros
	for i := range importance {
		importance[i] = float32(math.Exp(r.NormFloat64()))
	}
	for _, block := range []int{16, 32, 64, 128, 256} {
		for i := range 4 {
			f := Format{Bits: 4, Block: block, Symmetric: i%2 == 1, Half: i/2 == 1}
			s := searcher{format: f, weight: make([]float32, block)}
			weights := make([]float64, len(values))
			for at := 0; at < len(values); at += block {
				s.weigh(values[at:at+block], importance[at%k:])
				for j, w := range s.weight {
					weights[at+j] = float64(w)
				}
			}
			weight := func(i int) float64 { return weights[i] }
			var plain, fitted Rows
			if err := f.Quantize(&plain, values, k); err != nil {
				t.Fatal(err)
			}
			if err := f.Fit(&fitted, values, k, importance); err != nil {
				t.Fatal(err)
			}
			least := 0.0
			for at := 0; at < len(values); at += block {
				least += exhaustive(f, values[at:at+block], func(i int) float64 { return weights[at+i] })
			}
			before, after := loss(t, f, &plain, values, k, weight), loss(t, f, &fitted, values, k, weight)
			t.Logf("%v: %.3f to nearest, %.3f fitted, %.3f at least", f, before, after, least)
			if after > 0.95*before || after > 1.06*least {
				t.Errorf("%v: the error is %.3f, %.3f to nearest, %.3f at least", f, after, before, least)
			}
			got := make([]float32, len(values))
			if err := f.Dequantize(got, &fitted, rows, k); err != nil {
				t.Fatal(err)
			}
			for i, v := range got[:block] {
				if block <= 128 && v != 0 {
					t.Errorf("%v: element %d of a block of zeros is %v", f, i, v)
				}
			}
		}
	}
}

func TestFitRefuses(t *testing.T) {
	var r Rows
	f := Format{Bits: 4, Block: 32}
	if f.Fit(&r, make([]float32, 33), 32, nil) == nil || f.Fit(&r, make([]float32, 64), 64, make([]float32, 32)) == nil {
		t.Error("values that are no rows, or importance of other columns, are taken")
	}
}
