package testmodel

import (
	"math"
	"math/rand/v2"
)

// matrix is [n, k], rows first.
type matrix struct {
	n, k   int
	values []float32
}

func (m matrix) row(i int) []float32 { return m.values[i*m.k : (i+1)*m.k] }

type layer struct {
	inputNorm, postNorm    []float32
	query, key, value      matrix
	output, gate, up, down matrix
}

type weights struct {
	embedding, head matrix
	layers          []layer
	norm            []float32
}

const ropeBase = 10000

// makeWeights draws all weights, always in this order, so that a seed means the same model everywhere. Sizes are
// such that logits spread by 2 to 3 and attention is neither flat nor on one position.
func makeWeights(c Config) weights {
	r := rand.New(rand.NewPCG(c.Seed, 0x6f7274736572766))
	draw := func(n, k int, gain float64) matrix {
		m := matrix{n, k, make([]float32, n*k)}
		for i := range m.values {
			m.values[i] = float32(r.NormFloat64() * gain / math.Sqrt(float64(k)))
		}
		return m
	}
	norm := func() []float32 {
		w := make([]float32, c.Hidden)
		for i := range w {
			w[i] = float32(1 + 0.1*r.NormFloat64())
		}
		return w
	}
	w := weights{embedding: draw(Vocab, c.Hidden, 2.5)}
	for range c.Layers {
		w.layers = append(w.layers, layer{
			inputNorm: norm(),
			query:     draw(c.Heads*c.HeadSize, c.Hidden, 1.5),
			key:       draw(c.KVHeads*c.HeadSize, c.Hidden, 1.5),
			value:     draw(c.KVHeads*c.HeadSize, c.Hidden, 1),
			output:    draw(c.Hidden, c.Heads*c.HeadSize, 1),
			postNorm:  norm(),
			gate:      draw(c.Intermediate, c.Hidden, 1),
			up:        draw(c.Intermediate, c.Hidden, 1),
			down:      draw(c.Hidden, c.Intermediate, 1.5),
		})
	}
	w.norm = norm()
	if c.Tied {
		w.head = w.embedding
		return w
	}
	w.head = draw(Vocab, c.Hidden, 2.5)
	clear(w.head.values[int(BeginOfText)*c.Hidden:])
	return w
}
