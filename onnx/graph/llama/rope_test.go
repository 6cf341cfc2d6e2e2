package llama

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"ortserve/onnx/graph"
)

// TestFrequencies compares with transformers' formulas, which testdata/rope.py worked out.
func TestFrequencies(t *testing.T) {
	var cases []struct {
		Name   string
		Base   float64
		Size   int
		Yarn   []float64
		Linear float64
		Llama3 []float64
		Turns  []float64
	}
	b, err := os.ReadFile("testdata/rope.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		r := Rope{Base: c.Base, Linear: c.Linear}
		if y := c.Yarn; y != nil {
			r.Yarn = &Yarn{Factor: y[0], Original: y[1], FastTurns: y[2], SlowTurns: y[3], Magnitude: 1}
		}
		if l := c.Llama3; l != nil {
			r.Llama3 = &Llama3{Factor: l[0], LowFreq: l[1], HighFreq: l[2], Original: l[3]}
		}
		if err := r.check(c.Size); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		got := r.Frequencies(c.Size)
		if len(got) != len(c.Turns) {
			t.Fatalf("%s: %d pairs, want %d", c.Name, len(got), len(c.Turns))
		}
		for i, want := range c.Turns {
			if math.Abs(got[i]/want-1) > 1e-9 {
				t.Errorf("%s: pair %d turns by %v, want %v", c.Name, i, got[i], want)
			}
		}
	}
}

// TestMagnitude: yarn's tables are longer by its magnitude, and no others are.
func TestMagnitude(t *testing.T) {
	for _, y := range []*Yarn{nil, {Factor: 4, Original: 16, FastTurns: 32, SlowTurns: 1, Magnitude: 1.25}} {
		dir, c := t.TempDir(), shape()
		c.Rope.Yarn = y
		d, err := graph.CreateData(filepath.Join(dir, DataFile))
		if err != nil {
			t.Fatal(err)
		}
		cos, sin, err := c.WriteRotary(d)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		want := 1.0
		if y != nil {
			want = y.Magnitude
		}
		x, err := cos.Data(dir)
		if err != nil {
			t.Fatal(err)
		}
		z, err := sin.Data(dir)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(x); i += 4 {
			value := func(b []byte) float64 { return float64(math.Float32frombits(binary.LittleEndian.Uint32(b[i:]))) }
			if got := math.Hypot(value(x), value(z)); math.Abs(got-want) > 1e-6 {
				t.Fatalf("entry %d has the length %v, want %v", i/4, got, want)
			}
		}
	}
}
