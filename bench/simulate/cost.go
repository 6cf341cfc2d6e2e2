package simulate

import (
	"errors"
	"fmt"
	"math"

	"ortserve/engine"
)

// Cost is what a run takes, in seconds.
type Cost struct {
	Step   float64 // a run of decode rows, whatever is in it: the weights are read once
	Row    float64 // each of its rows
	KV     float64 // each row that the cache holds of a decode row's sequence
	Prompt float64 // a token of a prompt
	Attend float64 // a pair of a prompt's token and one before it
}

// Speed is the part of `ortserve bench --json` that a Cost is fitted to.
type Speed struct {
	Prefill []struct {
		Context int     `json:"context"`
		Seconds float64 `json:"seconds"`
	} `json:"prefill"`
	Decode []struct {
		Context int     `json:"context"`
		Batch   int     `json:"batch"`
		Seconds float64 `json:"step_seconds"`
	} `json:"decode"`
	MemoryRead float64 `json:"memory_read_bytes_per_second"`
	Cores      int     `json:"cores"`
	Threads    int     `json:"threads"`
}

// Fit returns the cost whose relative errors at the measured points are least (the sum of their squares), none of its parts negative.
// The error says that there are too few points.
func Fit(s *Speed) (Cost, error) {
	var decode, prefill [][]float64
	for _, d := range s.Decode {
		b := float64(d.Batch)
		decode = append(decode, []float64{1 / d.Seconds, b / d.Seconds, b * float64(d.Context) / d.Seconds})
	}
	for _, p := range s.Prefill {
		n := float64(p.Context)
		prefill = append(prefill, []float64{n / p.Seconds, n * n / 2 / p.Seconds})
	}
	if len(decode) < 3 || len(prefill) < 2 {
		return Cost{}, fmt.Errorf("%d points of decoding and %d of prefill are too few: bench with two contexts and two batches at least", len(decode), len(prefill))
	}
	d, err := solve(decode)
	if err != nil {
		return Cost{}, fmt.Errorf("decoding: %w", err)
	}
	p, err := solve(prefill)
	if err != nil {
		return Cost{}, fmt.Errorf("prefill: %w", err)
	}
	return Cost{Step: d[0], Row: d[1], KV: d[2], Prompt: p[0], Attend: p[1]}, nil
}

// solve finds x, none below 0, such that a·x is near 1 in every row. A part that would be negative is left out.
func solve(a [][]float64) ([]float64, error) {
	used := make([]bool, len(a[0]))
	for i := range used {
		used[i] = true
	}
	for {
		x, err := leastSquares(a, used)
		if err != nil {
			return nil, err
		}
		worst := 0
		for i, v := range x {
			if v < x[worst] {
				worst = i
			}
		}
		if x[worst] >= 0 {
			return x, nil
		}
		used[worst] = false
	}
}

// leastSquares solves the normal equations of a·x = 1 over the columns that are used; the others are 0.
func leastSquares(a [][]float64, used []bool) ([]float64, error) {
	n := len(used)
	m := make([][]float64, n) // [n][n+1]
	for i := range m {
		m[i] = make([]float64, n+1)
		if !used[i] {
			m[i][i] = 1
			continue
		}
		for _, row := range a {
			m[i][n] += row[i]
			for j := range n {
				if used[j] {
					m[i][j] += row[i] * row[j]
				}
			}
		}
	}
	for i := range n { // the matrix is symmetric and positive: no rows need to be exchanged
		if m[i][i] < 1e-18 {
			return nil, errors.New("the measured points do not tell its parts apart")
		}
		for j := range n {
			if f := m[j][i] / m[i][i]; j != i {
				for k := i; k <= n; k++ {
					m[j][k] -= f * m[i][k]
				}
			}
		}
	}
	x := make([]float64, n)
	for i := range x {
		x[i] = m[i][n] / m[i][i]
	}
	return x, nil
}

// Shape is what counts of a model.
type Shape struct {
	Name        string
	Parameters  float64 // of the matrices that every token meets
	WeightBytes float64
	KVBytes     float64 // of a token
	Heads       float64 // layers x query heads x size of a head: what attention computes a pair of tokens
}

// Machine is what counts of the processors.
type Machine struct {
	Name  string
	Cores float64
	Read  float64 // bytes a second
}

// Scale returns the cost for another shape on another machine: what reads memory goes by bytes and their speed, what computes by
// operations and cores.
func (c Cost) Scale(from, to Shape, here, there Machine) Cost {
	read, compute := here.Read/there.Read, here.Cores/there.Cores
	return Cost{
		Step:   c.Step * to.WeightBytes / from.WeightBytes * read,
		Row:    c.Row * to.Parameters / from.Parameters * compute,
		KV:     c.KV * to.KVBytes / from.KVBytes * read,
		Prompt: c.Prompt * to.Parameters / from.Parameters * compute,
		Attend: c.Attend * to.Heads / from.Heads * compute,
	}
}

// Seconds is how long a run takes.
func (c Cost) Seconds(b *engine.Batch) float64 {
	if n := float64(len(b.Rows[0].Tokens)); n > 1 {
		past := float64(b.Rows[0].Past)
		return math.Max(c.Step, n*c.Prompt) + n*(past+n/2)*c.Attend
	}
	t := c.Step
	for _, r := range b.Rows {
		t += c.Row + float64(r.Past)*c.KV
	}
	return t
}
