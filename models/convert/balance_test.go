package convert

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestBalance: no other scales make the product of the two sums smaller, and the geometric mean is 1.
func TestBalance(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	e := estimate{make([]float64, 200), make([]float64, 200)}
	for i := range e.input {
		e.input[i], e.squares[i] = math.Exp(r.NormFloat64()), math.Exp(2*r.NormFloat64())
	}
	scales := e.balance()
	loss := func(s func(i int) float64) float64 {
		errors, steps := 0.0, 0.0
		for i, a := range e.input {
			errors += a * a / (s(i) * s(i))
			steps += e.squares[i] * s(i) * s(i)
		}
		return errors * steps
	}
	least, logs := loss(func(i int) float64 { return float64(scales[i]) }), 0.0
	for _, s := range scales {
		logs += math.Log(float64(s))
	}
	if math.Abs(logs) > 1e-3 {
		t.Errorf("the geometric mean is e^%v", logs/200)
	}
	if plain := loss(func(int) float64 { return 1 }); least > 0.7*plain {
		t.Errorf("%v, without scales %v", least, plain)
	}
	for range 100 {
		shift := make([]float64, len(scales))
		for i := range shift {
			shift[i] = math.Exp(0.2 * r.NormFloat64())
		}
		if other := loss(func(i int) float64 { return float64(scales[i]) * shift[i] }); other < least {
			t.Fatalf("%v, other scales give %v", least, other)
		}
	}
	fit := e.fit(scales)
	for i, v := range fit.importance {
		if want := math.Pow(e.input[i]/float64(scales[i]), 2); math.Abs(float64(v)/want-1) > 1e-5 {
			t.Fatalf("column %d counts %v, want %v", i, v, want)
		}
	}
	if s := (estimate{make([]float64, 2), make([]float64, 2)}).balance(); !(s[0] == 1 && s[1] == 1) {
		t.Errorf("columns of zeros are multiplied with %v", s)
	}
}

// TestSiluSquare compares the mean with that of many random numbers.
func TestSiluSquare(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	for _, deviation := range []float64{0.01, 0.3, 1, 4, 30} {
		sum := 0.0
		const n = 400_000
		for range n {
			x := r.NormFloat64() * deviation
			y := x / (1 + math.Exp(-x))
			sum += y * y / n
		}
		if got := siluSquare(deviation); math.Abs(got/sum-1) > 0.03 {
			t.Errorf("deviation %v: %v, random numbers say %v", deviation, got, sum)
		}
	}
}

// TestMultiply: columns times scales, rows by divisors.
func TestMultiply(t *testing.T) {
	x := []float32{1, 2, 3, 4}
	multiply(x, 2, []float32{10, 100}, []float32{1, 2})
	if x[0] != 10 || x[1] != 200 || x[2] != 15 || x[3] != 200 {
		t.Errorf("%v", x)
	}
	multiply(x, 2, nil, nil)
	if x[0] != 10 {
		t.Errorf("%v", x)
	}
}
