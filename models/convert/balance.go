package convert

import (
	"context"
	"math"
	"slices"

	"ortserve/onnx/graph/llama"
	"ortserve/onnx/graph/nbits"
)

// columnFit is how the columns of a matrix are treated when it is rounded to 4 bits. Both may be nil.
type columnFit struct {
	scales     []float32 // what they are multiplied with before
	importance []float32 // how much an error in them counts then
}

// layerFit is how a layer is rounded. What the columns of a product are multiplied with, the values they meet are divided by: the norm
// before, the rows of the value matrix before the output product, those of the up matrix before the down product. The layer stays what it
// was, and to the rows it makes no difference: each has scales of its own. A head that is the embedding too is divided again where it is
// looked up.
type layerFit struct {
	qkv, output, gateUp, down columnFit
	value                     []float32 // what value rows are divided by
}

// fits are those of all layers and of the head.
type fits struct {
	layers []layerFit
	head   columnFit
}

// fits surveys the model, if anything of it is rounded to 4 bits and may be searched for.
func (w *writer) fits(ctx context.Context, s *source, f formats) (fits, error) {
	out := fits{layers: make([]layerFit, len(s.layers))}
	if !w.searches(f) {
		return out, nil
	}
	e, err := newEstimator(ctx, s, w.advance)
	if err != nil {
		return out, err
	}
	for i, l := range s.layers {
		in, err := e.layer(s, l)
		if err != nil {
			return out, err
		}
		if f.layers[i].Bits == 4 {
			out.layers[i] = fitLayer(s, l, in, f.layers[i])
		}
	}
	if f.head.Bits != 4 {
		return out, nil
	}
	last := estimate{}
	if last.input, err = e.normalized(s.norm); err != nil {
		return out, err
	}
	switch {
	case holds(f.head, s.head.kind):
		out.head = last.fit(nil)
		return out, nil
	case sharesHead(s, f): // what is looked up in it is divided again
		last.squares = e.embedding
		out.head = last.fit(last.balance())
		return out, nil
	}
	if _, err := e.products(&last, s.head); err != nil {
		return out, err
	}
	out.head = last.fit(last.balance())
	return out, nil
}

// searches says whether anything is rounded to 4 bits and may be searched for.
func (w *writer) searches(f formats) bool {
	four := func(format nbits.Format) bool { return format.Bits == 4 }
	return !w.nearest && (four(f.head) || slices.ContainsFunc(f.layers, four))
}

// surveysHead says whether the head is looked at: where it is a matrix of its own that is rounded to 4 bits.
func surveysHead(s *source, f formats) bool {
	return f.head.Bits == 4 && !sharesHead(s, f) && !holds(f.head, s.head.kind)
}

// toRead is how many bytes of the source's matrices are read, some of them twice.
func (w *writer) toRead(s *source, f formats) int64 {
	bytes := func(t *tensor) int64 { return int64(t.rows) * int64(t.rowBytes()) }
	layers := int64(0)
	for _, l := range s.layers {
		for _, t := range []*tensor{l.query, l.key, l.value, l.output, l.gate, l.up, l.down} {
			layers += bytes(t)
		}
	}
	total := layers + bytes(s.embedding)
	if !sharesHead(s, f) {
		total += bytes(s.head)
	}
	if w.searches(f) {
		total += layers + bytes(s.embedding)
		if surveysHead(s, f) {
			total += bytes(s.head)
		}
	}
	return total
}

// sharesHead says whether head and embedding are the same bytes.
func sharesHead(s *source, f formats) bool { return s.tied && f.embedding == f.head }

func fitLayer(s *source, l layer, in inputs, format nbits.Format) layerFit {
	var out layerFit
	free := func(ts ...*tensor) bool { // what is kept as it is cannot be multiplied
		for _, t := range ts {
			if holds(format, t.kind) {
				return false
			}
		}
		return true
	}
	fit := func(e estimate, ts ...*tensor) columnFit {
		if free(ts...) {
			return e.fit(e.balance())
		}
		return e.fit(nil)
	}
	out.qkv = fit(in.qkv, l.query, l.key, l.value)
	out.gateUp = fit(in.gateUp, l.gate, l.up)
	out.down = fit(in.down, l.down, l.up)
	if !free(l.output, l.value) {
		out.output = in.output.fit(nil)
		return out
	}
	// The heads of a group have their values in common.
	c := s.config
	shared := estimate{make([]float64, c.KVHeads*c.HeadSize), make([]float64, c.KVHeads*c.HeadSize)}
	for i, v := range in.output.squares {
		row := valueRow(c, i)
		shared.squares[row] += v * float64(c.KVHeads) / float64(c.Heads)
		shared.input[row] = in.output.input[i]
	}
	out.value = shared.balance()
	scales := make([]float32, len(in.output.input))
	for i := range scales {
		scales[i] = out.value[valueRow(c, i)]
	}
	out.output = in.output.fit(scales)
	return out
}

// valueRow is the row of the value matrix that a column of the output product meets.
func valueRow(c llama.Config, column int) int {
	group := c.Heads / c.KVHeads
	return column/c.HeadSize/group*c.HeadSize + column%c.HeadSize
}

// balance returns what to multiply the columns with. With inputs a and weights w the error of a product is about the sum of (a/s)^2 times
// that of (w*s)^2, as a block's steps are as large as its weights are; s^2 = a/w makes it least. The geometric mean is 1.
func (e estimate) balance() []float32 {
	const most = 4 // of the logarithm: enough for every model known, and float16 holds it
	logs := make([]float64, len(e.input))
	sum := 0.0
	for i, a := range e.input {
		logs[i] = (math.Log(max(a, 1e-12)) - math.Log(max(e.squares[i], 1e-24))/2) / 2
		sum += logs[i]
	}
	out := make([]float32, len(logs))
	for i, v := range logs {
		v = min(max(v-sum/float64(len(logs)), -most), most)
		out[i] = float32(math.Exp(v))
	}
	return out
}

// fit weighs columns that are multiplied with scales, if any, by the square of their input.
func (e estimate) fit(scales []float32) columnFit {
	out := columnFit{scales, make([]float32, len(e.input))}
	for i, a := range e.input {
		if scales != nil {
			a /= float64(scales[i])
		}
		out.importance[i] = float32(a * a)
	}
	return out
}

// multiply multiplies the columns of rows with scales, and divides row i by divisors[i]. Either may be nil.
func multiply(values []float32, length int, scales, divisors []float32) {
	for i := 0; i < len(values); i += length {
		row := values[i : i+length]
		if scales != nil {
			for j := range row {
				row[j] *= scales[j]
			}
		}
		if divisors != nil {
			d := divisors[i/length]
			for j := range row {
				row[j] /= d
			}
		}
	}
}
