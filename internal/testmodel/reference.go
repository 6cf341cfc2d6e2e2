package testmodel

import (
	"fmt"
	"math"

	"ortserve/onnx/graph/nbits"
)

// Reference computes the model's logits at each position of tokens, in float64 and without a cache: what the graph must
// give for num_logits_to_keep = len(tokens). Each row has [Vocab] values. A token outside the vocabulary panics.
func Reference(c Config, tokens []int32) [][]float32 { return reference(c, tokens, nil) }

// ReferenceInt8 is Reference with a cache of int8: numbers of keys, after the rotary embedding, and of values are the nearest multiple of
// their scale, [KVHeads*HeadSize] of each layer.
func ReferenceInt8(c Config, tokens []int32, scales [][2][]float32) [][]float32 {
	return reference(c, tokens, func(layer int, keys, values [][]float64) {
		for side, rows := range [][][]float64{keys, values} {
			for _, row := range rows {
				for i, v := range row {
					scale := float64(scales[layer][side][i])
					row[i] = min(max(math.RoundToEven(v/scale), -128), 127) * scale
				}
			}
		}
	})
}

// CacheSizes returns how large the numbers of each layer's keys and values get, [KVHeads*HeadSize]: of keys both numbers of a rotary pair
// have the pair's largest length.
func CacheSizes(c Config, tokens []int32) [][2][]float32 {
	sizes := make([][2][]float32, c.defaults().Layers)
	size := c.defaults().HeadSize
	reference(c, tokens, func(layer int, keys, values [][]float64) {
		for side, rows := range [][][]float64{keys, values} {
			largest := make([]float32, len(rows[0]))
			for _, row := range rows {
				for i, v := range row {
					if side == 0 {
						head, pair := i/size*size, i%(size/2)
						v = math.Hypot(row[head+pair], row[head+pair+size/2])
					}
					largest[i] = max(largest[i], float32(math.Abs(v)))
				}
			}
			sizes[layer][side] = largest
		}
	})
	return sizes
}

// reference is Reference; cache, if not nil, may see and change each layer's keys and values.
func reference(c Config, tokens []int32, cache func(layer int, keys, values [][]float64)) [][]float32 {
	c = c.defaults()
	w := makeWeights(c)
	if f := c.format(); f.Quantized() {
		w.round(f)
	}
	x := make([][]float64, len(tokens))
	for i, t := range tokens {
		x[i] = widen(w.embedding.row(int(t)))
	}
	for n, l := range w.layers {
		c.attend(x, l, func(keys, values [][]float64) {
			if cache != nil {
				cache(n, keys, values)
			}
		})
		for i := range x {
			h := normalize(x[i], l.postNorm)
			gate, up := l.gate.times(h), l.up.times(h)
			for j, g := range gate {
				up[j] *= g / (1 + math.Exp(-g))
			}
			add(x[i], l.down.times(up))
		}
	}
	logits := make([][]float32, len(tokens))
	for i := range x {
		for _, v := range w.head.times(normalize(x[i], w.norm)) {
			logits[i] = append(logits[i], float32(v))
		}
	}
	return logits
}

// attend adds causal attention over all positions to x.
func (c Config) attend(x [][]float64, l layer, cache func(keys, values [][]float64)) {
	queries, keys, values := make([][]float64, len(x)), make([][]float64, len(x)), make([][]float64, len(x))
	for p := range x {
		h := normalize(x[p], l.inputNorm)
		queries[p], keys[p], values[p] = l.query.times(h), l.key.times(h), l.value.times(h)
		c.rotate(queries[p], p)
		c.rotate(keys[p], p)
	}
	cache(keys, values)
	group := c.Heads / c.KVHeads
	for p := range x {
		out := make([]float64, c.Heads*c.HeadSize)
		for head := range c.Heads {
			of := func(v []float64, head int) []float64 { return v[head*c.HeadSize : (head+1)*c.HeadSize] }
			q := of(queries[p], head)
			scores, largest := make([]float64, p+1), math.Inf(-1)
			for t := range scores {
				scores[t] = dot(q, of(keys[t], head/group)) / math.Sqrt(float64(c.HeadSize))
				largest = max(largest, scores[t])
			}
			sum := 0.0
			for t := range scores {
				scores[t] = math.Exp(scores[t] - largest)
				sum += scores[t]
			}
			for t, s := range scores {
				for i, v := range of(values[t], head/group) {
					of(out, head)[i] += s / sum * v
				}
			}
		}
		add(x[p], l.output.times(out))
	}
}

// rotate turns the pairs (i, i+half) of every head by the position.
func (c Config) rotate(v []float64, position int) {
	half := c.HeadSize / 2
	for head := 0; head < len(v); head += c.HeadSize {
		for i := range half {
			wave := 2 * math.Pi * math.Pow(ropeBase, float64(i)/float64(half)) // positions in a full turn
			if c.Llama3 {
				wave *= c.slower(wave)
			}
			sin, cos := math.Sincos(2 * math.Pi / wave * float64(position))
			a, b := v[head+i], v[head+i+half]
			v[head+i], v[head+i+half] = a*cos-b*sin, b*cos+a*sin
		}
	}
}

// The scaling of a model with Llama3 set, as Llama 3.1 has it but for the original context.
const (
	llama3Factor = 8.0
	llama3Low    = 1.0
	llama3High   = 4.0
)

func (c Config) llama3Original() float64 { return float64(c.Positions) / 4 }

// slower is by how much Llama 3.1's scaling lengthens a wave: not at all where it is short against the original
// context, by the whole factor where it is long, and in between so that the frequency changes evenly.
func (c Config) slower(wave float64) float64 {
	original := c.llama3Original()
	if wave < original/llama3High {
		return 1
	}
	if wave > original/llama3Low {
		return llama3Factor
	}
	smooth := (original/wave - llama3Low) / (llama3High - llama3Low)
	return 1 / ((1-smooth)/llama3Factor + smooth)
}

func normalize(x []float64, weight []float32) []float64 {
	scale := 1 / math.Sqrt(dot(x, x)/float64(len(x))+epsilon)
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = v * scale * float64(weight[i])
	}
	return out
}

func (m matrix) times(x []float64) []float64 {
	out := make([]float64, m.n)
	for i := range out {
		for j, w := range m.row(i) {
			out[i] += float64(w) * x[j]
		}
	}
	return out
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

func add(dst, x []float64) {
	for i := range dst {
		dst[i] += x[i]
	}
}

func widen(x []float32) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

// round replaces every matrix by what its quantized form stands for.
func (w *weights) round(f nbits.Format) {
	one := func(m matrix) matrix {
		var r nbits.Rows
		out := matrix{m.n, m.k, make([]float32, len(m.values))}
		if err := f.Quantize(&r, m.values, m.k); err != nil {
			panic(fmt.Sprintf("testmodel: %v", err))
		}
		if err := f.Dequantize(out.values, &r, m.n, m.k); err != nil {
			panic(fmt.Sprintf("testmodel: %v", err))
		}
		return out
	}
	w.embedding, w.head = one(w.embedding), one(w.head)
	for i := range w.layers {
		l := &w.layers[i]
		for _, m := range []*matrix{&l.query, &l.key, &l.value, &l.output, &l.gate, &l.up, &l.down} {
			*m = one(*m)
		}
	}
}
