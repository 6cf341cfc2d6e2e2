package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// sets returns the instruction sets that this processor has.
func sets(t testing.TB) []ISA {
	var all []ISA
	for i := ISA(1); i <= Best(); i++ {
		if i.Runs() {
			all = append(all, i)
		}
	}
	if len(all) == 0 {
		t.Skip("this processor has no instruction set that there are kernels for: ONNX Runtime's are used")
	}
	return all
}

// setup is what calls have in common: the model's sizes, and the numbers of sequences of up to length tokens.
type setup struct {
	heads, kvHeads, size, turned, window int
	interleaved                          bool
	scale                                float32
	cache                                cacheType
	length                               int
}

func (s setup) String() string {
	return fmt.Sprintf("%d/%d heads of %d, %d turned (interleaved %v), window %d, cache %d", s.heads, s.kvHeads, s.size, s.turned, s.interleaved, s.window, s.cache)
}

// sequence is one sequence's numbers, [length, heads*size].
type sequence struct{ query, key, value []float32 }

func (s setup) sequence(seed uint64) sequence {
	r := rand.New(rand.NewPCG(seed, 1))
	numbers := func(heads int, spread float64) []float32 {
		x := make([]float32, s.length*heads*s.size)
		for i := range x {
			x[i] = float32(r.NormFloat64() * spread)
		}
		return x
	}
	return sequence{numbers(s.heads, 2), numbers(s.kvHeads, 2), numbers(s.kvHeads, 1)}
}

// rotary are the tables of setups that have been asked for, by what they depend on.
var rotary = map[[2]int][2][]float32{}

// tables returns the rotary caches.
func (s setup) tables() (cos, sin []float32) {
	at := [2]int{s.length, s.turned}
	if t, ok := rotary[at]; ok {
		return t[0], t[1]
	}
	for p := range s.length {
		for i := range s.turned / 2 {
			a := float64(p) * math.Pow(10000, -2*float64(i)/float64(s.turned))
			cos, sin = append(cos, float32(math.Cos(a))), append(sin, float32(math.Sin(a)))
		}
	}
	rotary[at] = [2][]float32{cos, sin}
	return cos, sin
}

// scales returns those of an int8 cache.
func (s setup) scales() []float32 {
	if s.cache != cacheInt8 {
		return nil
	}
	x := make([]float32, s.kvHeads*s.size)
	for i := range x {
		x[i] = 0.04 + float32(i%7)*0.005
	}
	return x
}

// slots is KV memory of n sequences. What is not written is NaN, or the largest int8.
type slots struct{ key, value []byte }

func (s setup) slots(n int) slots {
	make1 := func() []byte {
		b := make([]byte, n*s.kvHeads*s.length*s.size*s.cache.bytes())
		for i := range b {
			b[i] = 0xff
			if s.cache == cacheInt8 {
				b[i] = 127
			}
		}
		return b
	}
	return slots{make1(), make1()}
}

func (c cacheType) bytes() int { return []int{4, 2, 1}[c] }

// row is one row of a call: tokens [past, past+n) of a sequence.
type row struct {
	of   sequence
	past int
}

// call computes tokens of rows in the first slots. Total is total_sequence_length.
func (s setup) call(t testing.TB, isa ISA, kv slots, tokens, total int, rows ...row) []float32 {
	t.Helper()
	a := attention{
		batch: len(rows), tokens: tokens, heads: s.heads, kvHeads: s.kvHeads, size: s.size, pastRows: s.length, rows: s.length, total: total,
		window: s.window, scale: s.scale, cache: s.cache, turned: s.turned, interleaved: s.interleaved,
		keyScale: s.scales(), valueScale: s.scales(), pastKey: kv.key, pastValue: kv.value, presentKey: kv.key, presentValue: kv.value,
		output: make([]float32, len(rows)*tokens*s.heads*s.size),
	}
	a.cos, a.sin = s.tables()
	for _, r := range rows {
		a.lengths = append(a.lengths, int32(r.past+tokens-1))
		cut := func(x []float32, heads int) []float32 { return x[r.past*heads*s.size:][:tokens*heads*s.size] }
		a.query = append(a.query, cut(r.of.query, s.heads)...)
		a.key = append(a.key, cut(r.of.key, s.kvHeads)...)
		a.value = append(a.value, cut(r.of.value, s.kvHeads)...)
	}
	if _, err := a.run(isa); err != nil {
		t.Fatal(err)
	}
	return a.output
}

// turn is the rotary embedding in float64.
func (s setup) turn(x []float32, position int) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	for i := range s.turned / 2 {
		a, b := i, i+s.turned/2
		if s.interleaved {
			a, b = 2*i, 2*i+1
		}
		angle := float64(position) * math.Pow(10000, -2*float64(i)/float64(s.turned))
		u, v := y[a], y[b]
		y[a], y[b] = u*math.Cos(angle)-v*math.Sin(angle), u*math.Sin(angle)+v*math.Cos(angle)
	}
	return y
}

// stored is x as the cache holds it.
func (s setup) stored(x []float64, head int) []float64 {
	for i, v := range x {
		switch s.cache {
		case cacheFloat16:
			x[i] = half(v)
		case cacheInt8:
			scale := float64(s.scales()[head*s.size+i])
			x[i] = scale * min(max(math.RoundToEven(v/scale), -128), 127)
		}
	}
	return x
}

// half rounds to float16, whose normal numbers have 11 bits.
func half(v float64) float64 {
	step := math.Exp2(max(math.Floor(math.Log2(math.Abs(v))), -14) - 10)
	if v == 0 {
		return 0
	}
	return math.RoundToEven(v/step) * step
}

// reference computes a sequence in float64, token by token.
func (s setup) reference(q sequence) []float64 {
	out := make([]float64, s.length*s.heads*s.size)
	for h := range s.heads {
		kvHead := h / (s.heads / s.kvHeads)
		var keys, values [][]float64
		for p := range s.length {
			at := (p*s.kvHeads + kvHead) * s.size
			keys = append(keys, s.stored(s.turn(q.key[at:][:s.size], p), kvHead))
			v := make([]float64, s.size)
			for i := range v {
				v[i] = float64(q.value[at+i])
			}
			values = append(values, s.stored(v, kvHead))
			query := s.turn(q.query[(p*s.heads+h)*s.size:][:s.size], p)
			from := 0
			if s.window > 0 {
				from = max(0, p+1-s.window)
			}
			scores, largest := make([]float64, p+1), math.Inf(-1)
			for j := from; j <= p; j++ {
				for i := range query {
					scores[j] += query[i] * keys[j][i] * float64(s.scale)
				}
				largest = max(largest, scores[j])
			}
			sum, dst := 0.0, out[(p*s.heads+h)*s.size:][:s.size]
			for j := from; j <= p; j++ {
				w := math.Exp(scores[j] - largest)
				sum += w
				for i := range dst {
					dst[i] += w * values[j][i]
				}
			}
			for i := range dst {
				dst[i] /= sum
			}
		}
	}
	return out
}

// setups are models that differ in everything a loop may depend on.
func setups() []setup {
	return []setup{
		{heads: 4, kvHeads: 1, size: 64, turned: 64, scale: 0.125, length: 530},
		{heads: 6, kvHeads: 2, size: 64, turned: 64, scale: 0.125, length: 270, cache: cacheFloat16},
		{heads: 4, kvHeads: 2, size: 64, turned: 64, scale: 0.125, length: 270, cache: cacheInt8},
		{heads: 2, kvHeads: 2, size: 128, turned: 128, scale: 0.09, length: 270, window: 70},
		{heads: 5, kvHeads: 1, size: 80, turned: 32, interleaved: true, scale: 0.1, length: 270, cache: cacheFloat16, window: 256},
		{heads: 7, kvHeads: 1, size: 24, scale: 0.2, length: 260, cache: cacheInt8},
		{heads: 6, kvHeads: 3, size: 8, scale: 0.3, length: 520, window: 1},
		{heads: 9, kvHeads: 1, size: 40, turned: 16, scale: 0.15, length: 260},
	}
}

// TestReference compares prompts and steps with float64.
func TestReference(t *testing.T) {
	for _, s := range setups() {
		q := s.sequence(7)
		want := s.reference(q)
		for _, isa := range sets(t) {
			kv := s.slots(1)
			prompt := s.length * 2 / 3
			got := s.call(t, isa, kv, prompt, prompt, row{q, 0})
			for p := prompt; p < s.length; p++ {
				got = append(got, s.call(t, isa, kv, 1, s.length, row{q, p})...)
			}
			worst := 0.0
			for i := range want {
				worst = max(worst, math.Abs(float64(got[i])-want[i]))
				if math.IsNaN(float64(got[i])) {
					t.Fatalf("%v, %v: number %d is NaN", s, isa, i)
				}
			}
			// Where a rounded key or value falls on the other side than in float64, an int8 is off by a scale, a half by its last bit.
			if limit := []float64{1e-5, 2e-3, 0.08}[s.cache]; worst > limit {
				t.Errorf("%v, %v: off by %g, at most %g is right", s, isa, worst, limit)
			}
			t.Logf("%v, %v: off by %.2g", s, isa, worst)
		}
	}
}

func bits(x []float32) []uint32 { return unsafe.Slice((*uint32)(unsafe.Pointer(&x[0])), len(x)) }

// TestSameBits computes a sequence in one run, in chunks of every length, token by token, beside others, and with other instructions: all
// give the same bits, in the output and in the cache.
func TestSameBits(t *testing.T) {
	for _, s := range setups() {
		q, other := s.sequence(7), s.sequence(8)
		const seed = 3
		var want []float32
		var wantKV slots
		compare := func(what string, from int, got []float32) {
			t.Helper()
			if !slices.Equal(bits(got), bits(want[from*s.heads*s.size:][:len(got)])) {
				t.Errorf("%v: %s: other bits", s, what)
			}
		}
		for _, isa := range sets(t) {
			kv := s.slots(1)
			whole := s.call(t, isa, kv, s.length, s.length, row{q, 0})
			if want == nil {
				want, wantKV = whole, kv
			}
			compare(fmt.Sprintf("one run, %v", isa), 0, whole)

			chunks, rounds := []int{1, 2, 3, 5, 17, 64, 100, 255, 256, 257}, 20
			if testing.Short() {
				chunks, rounds = []int{1, 7, 257}, 3
			}
			for _, chunk := range chunks {
				kv := s.slots(1)
				for past := 0; past < s.length; past += chunk {
					n := min(chunk, s.length-past)
					// Total is greater than the tokens, so that this is no prompt without a past.
					compare(fmt.Sprintf("chunks of %d, %v, tokens from %d", chunk, isa, past), past, s.call(t, isa, kv, n, s.length, row{q, past}))
				}
				if !slices.Equal(kv.key, wantKV.key) || !slices.Equal(kv.value, wantKV.value) {
					t.Errorf("%v: chunks of %d: another cache", s, chunk)
				}
			}

			// Sequences of unlike lengths side by side, with chunks and with steps.
			r := rand.New(rand.NewPCG(seed, 2))
			for range rounds {
				n, batch := 1+r.IntN(6), 2+r.IntN(4)
				kv, rows, at := s.slots(batch), []row{}, r.IntN(batch)
				for i := range batch {
					past := r.IntN(s.length - n)
					of := other
					if i == at {
						of = q
					}
					rows = append(rows, row{of, past})
					size := s.kvHeads * s.length * s.size * s.cache.bytes()
					one := slots{kv.key[i*size:][:size], kv.value[i*size:][:size]}
					if past > 0 {
						s.call(t, isa, one, past, s.length, row{of, 0})
					}
				}
				got := s.call(t, isa, kv, n, s.length, rows...)
				compare(fmt.Sprintf("row %d of %d, %d tokens after %d, %v", at, batch, n, rows[at].past, isa), rows[at].past,
					got[at*n*s.heads*s.size:][:n*s.heads*s.size])
			}
		}
	}
}

// TestRefusedPositions: positions that are beyond the rotary caches are refused, those too that follow from the first one.
func TestRefusedPositions(t *testing.T) {
	const tokens, positions, turned = 4, 8, 16
	f := func(total int, ids []int64, refused bool) {
		t.Helper()
		n := tokens * turned
		a := attention{
			batch: 1, tokens: tokens, heads: 1, kvHeads: 1, size: turned, pastRows: positions, rows: positions, total: total, scale: 1, turned: turned,
			query: make([]float32, n), key: make([]float32, n), value: make([]float32, n), output: make([]float32, n),
			lengths: []int32{int32(total - 1)}, cos: make([]float32, positions*turned/2), sin: make([]float32, positions*turned/2), positions: ids,
		}
		a.pastKey, a.pastValue = make([]byte, 4*positions*turned), make([]byte, 4*positions*turned)
		a.presentKey, a.presentValue = a.pastKey, a.pastValue
		for _, isa := range sets(t) {
			if _, err := a.run(isa); (err != nil) != refused {
				t.Errorf("positions %d of %d: %v, refused %v", ids, total, err, refused)
			}
		}
	}
	f(4, []int64{4, 0, 0, 0}, false)
	f(4, []int64{5, 0, 0, 0}, true)
	f(6, []int64{5, 6, 7, 0}, false)
	f(6, []int64{5, 6, 8, 0}, true)
	f(6, []int64{-1, 0, 0, 0}, true)
}
