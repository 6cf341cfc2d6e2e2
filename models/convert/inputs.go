package convert

import (
	"context"
	"math"
	"slices"
)

// An error in a weight counts as much as the input it is multiplied with is large. How large inputs are is estimated without any text,
// from the model's own weights: the residual stream begins as the embedding's columns are, a norm brings it to one size and multiplies
// it with its weights, a product of independent inputs has the variance that its rows' squares add up to, and what the two halves of a
// layer give is added to the stream.

// inputs are estimates of the root mean squares of what a layer's products are multiplied with, column by column, and the mean squares
// of these matrices' own columns.
type inputs struct {
	qkv, output, gateUp, down estimate
}

// estimate is of the columns of one product, or of several that have one input.
type estimate struct {
	input   []float64 // root mean square of the input
	squares []float64 // mean square of the weights
}

// averaging is the part of a value's variance that is left when attention has averaged several.
const averaging = 0.5

// estimator goes through a model's layers, beginning with the embedding.
type estimator struct {
	ctx  context.Context //nolint:containedctx // of the import
	done func(bytes int64)

	embedding []float64 // mean squares of its columns
	variance  []float64 // of the residual stream
}

// newEstimator begins with the embedding.
func newEstimator(ctx context.Context, s *source, done func(bytes int64)) (*estimator, error) {
	e := &estimator{ctx: ctx, done: done}
	_, columns, err := e.survey(s.embedding, nil)
	if err != nil {
		return nil, err
	}
	e.embedding = mean(columns, s.embedding.rows)
	e.variance = slices.Clone(e.embedding)
	return e, nil
}

// layer estimates the inputs of the next layer's products.
func (e *estimator) layer(s *source, l layer) (in inputs, err error) {
	c := s.config
	if in.qkv.input, err = e.normalized(l.inputNorm); err != nil {
		return in, err
	}
	values, err := e.products(&in.qkv, l.query, l.key, l.value)
	if err != nil {
		return in, err
	}
	if l.valueBias != nil {
		bias, err := l.valueBias.values()
		if err != nil {
			return in, err
		}
		for i, b := range bias {
			values[2][i] += float64(b) * float64(b)
		}
	}
	for i := range c.Heads * c.HeadSize {
		in.output.input = append(in.output.input, math.Sqrt(values[2][valueRow(c, i)]))
	}
	if err := e.adds(&in.output, l.output, averaging); err != nil {
		return in, err
	}
	if in.gateUp.input, err = e.normalized(l.postNorm); err != nil {
		return in, err
	}
	both, err := e.products(&in.gateUp, l.gate, l.up)
	if err != nil {
		return in, err
	}
	for i, up := range both[1] {
		in.down.input = append(in.down.input, math.Sqrt(up*siluSquare(math.Sqrt(both[0][i]))))
	}
	return in, e.adds(&in.down, l.down, 1)
}

// normalized is the stream behind a norm.
func (e *estimator) normalized(norm *tensor) ([]float64, error) {
	weights, err := norm.values()
	if err != nil {
		return nil, err
	}
	sum := 0.0
	for _, v := range e.variance {
		sum += v
	}
	out := make([]float64, len(weights))
	for i, w := range weights {
		out[i] = math.Abs(float64(w)) * math.Sqrt(e.variance[i]*float64(len(weights))/max(sum, math.SmallestNonzeroFloat64))
	}
	return out, nil
}

// products surveys matrices that have one input, and returns the mean squares of what each gives.
func (e *estimator) products(in *estimate, ts ...*tensor) ([][]float64, error) {
	var outputs [][]float64
	rows := 0
	sum := make([]float64, ts[0].length)
	for _, t := range ts {
		output, columns, err := e.survey(t, in.input)
		if err != nil {
			return nil, err
		}
		for i, v := range columns {
			sum[i] += v
		}
		rows += t.rows
		outputs = append(outputs, output)
	}
	in.squares = mean(sum, rows)
	return outputs, nil
}

// adds surveys a matrix whose output is added to the stream; part of its input's variance is there.
func (e *estimator) adds(in *estimate, t *tensor, part float64) error {
	outputs, err := e.products(in, t)
	if err != nil {
		return err
	}
	for i, v := range outputs[0] {
		e.variance[i] += part * v
	}
	return nil
}

func mean(sums []float64, n int) []float64 {
	for i := range sums {
		sums[i] /= float64(n)
	}
	return sums
}

// strips is into how many parts a matrix is cut. It does not depend on the machine, and so neither does the order of sums.
const strips = 32

// survey reads a matrix once. It returns for each row the sum of the squares of its elements times the weights of the columns, which may
// be nil, and for each column the sum of the squares of its elements.
func (e *estimator) survey(t *tensor, weights []float64) (rows, columns []float64, err error) {
	squares := make([]float64, t.length)
	for i := range squares {
		squares[i] = 1
		if weights != nil {
			squares[i] = weights[i] * weights[i]
		}
	}
	rows, columns = make([]float64, t.rows), make([]float64, t.length)
	var sums [strips][]float64
	err = spread(e.ctx, converter{}, strips, func(c *converter, i int) error {
		sums[i] = make([]float64, t.length)
		from, to := t.rows*i/strips, t.rows*(i+1)/strips
		return c.sums(t, from, rows[from:to], sums[i], squares, e.done)
	})
	if err != nil {
		return nil, nil, err
	}
	for _, s := range sums {
		for i, v := range s {
			columns[i] += v
		}
	}
	return rows, columns, nil
}

// sums adds the squares of rows from the one called from on: to rows those times the columns' weights, to columns the plain ones.
func (c *converter) sums(t *tensor, from int, rows, columns, weights []float64, done func(bytes int64)) error {
	step := max(1, pieceBytes/4/t.length)
	for at := 0; at < len(rows); at += step {
		n := min(step, len(rows)-at)
		c.raw, c.values = sized(c.raw, n*t.rowBytes()), sized(c.values, n*t.length)
		if err := t.read(c.raw, from+at); err != nil {
			return err
		}
		t.kind.Dequantize(c.values, c.raw)
		for i := range n {
			sum := 0.0
			for j, v := range c.values[i*t.length : (i+1)*t.length] {
				square := float64(v) * float64(v)
				columns[j] += square
				sum += square * weights[j]
			}
			rows[at+i] = sum
		}
		done(int64(len(c.raw)))
	}
	return nil
}

// siluSquare is the mean of SiLU(x)^2 of normally distributed x.
func siluSquare(deviation float64) float64 {
	sum, weights := 0.0, 0.0
	for z := -4.0; z <= 4; z += 0.25 {
		x, weight := z*deviation, math.Exp(-z*z/2)
		y := x / (1 + math.Exp(-x))
		sum += weight * y * y
		weights += weight
	}
	return sum / weights
}
