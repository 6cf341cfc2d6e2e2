package sample

import (
	"cmp"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// reference computes the distribution of the next token the slow way: float64, full sorts, no floor.
func reference(logits []float32, p Params, prompt, generated []int32) []float64 {
	l := make([]float64, len(logits))
	for i, v := range logits {
		l[i] = float64(v)
	}
	all := slices.Concat(prompt, generated)
	fresh := len(prompt) // index in all of the first token that presence and frequency count
	if p.PenalizePrompt {
		fresh = 0
	}
	first := 0
	if p.RepeatLastN >= 0 {
		first = max(0, len(all)-p.RepeatLastN)
	}
	for id, b := range p.LogitBias {
		l[id] += float64(b)
	}
	if len(generated) < p.MinTokens {
		for _, id := range p.EndTokens {
			l[id] = math.Inf(-1)
		}
	}
	for _, id := range p.NeverEnd {
		l[id] = math.Inf(-1)
	}
	if p.DRY.Multiplier > 0 {
		referenceDRY(l, p.DRY, all)
	}
	for id := range l {
		n, counted := 0, 0
		for i := first; i < len(all); i++ {
			if all[i] == int32(id) {
				n++
				if i >= fresh {
					counted++
				}
			}
		}
		if n > 0 && p.RepeatPenalty > 0 {
			if l[id] > 0 {
				l[id] /= p.RepeatPenalty
			} else {
				l[id] *= p.RepeatPenalty
			}
		}
		if counted > 0 {
			l[id] -= p.PresencePenalty + float64(counted)*p.FrequencyPenalty
		}
	}
	rank := make([]int, len(l))
	for i := range rank {
		rank[i] = i
	}
	slices.SortStableFunc(rank, func(a, b int) int {
		switch {
		case l[a] > l[b]:
			return -1
		case l[a] < l[b]:
			return 1
		}
		return 0
	})
	prob := make([]float64, len(l))
	if p.Temperature == 0 {
		prob[rank[0]] = 1
		return prob
	}
	kept := rank
	if p.TopNSigma > 0 {
		var n, mean, squares float64
		for _, v := range l {
			if !math.IsInf(v, -1) {
				n, mean = n+1, mean+v
			}
		}
		mean /= n
		for _, v := range l {
			if !math.IsInf(v, -1) {
				squares += (v - mean) * (v - mean)
			}
		}
		kept = slices.DeleteFunc(slices.Clone(kept), func(id int) bool { return l[id] < l[rank[0]]-p.TopNSigma*math.Sqrt(squares/n) })
	}
	if p.TopK > 0 {
		kept = kept[:min(p.TopK, len(kept))]
	}
	temperature := p.Temperature
	if p.TemperatureLast {
		temperature = 1
	}
	weight := func(id int) float64 { return math.Exp((l[id] - l[rank[0]]) / temperature) }
	if p.TypicalP > 0 && p.TypicalP < 1 {
		var total, entropy float64
		for _, id := range kept {
			total += weight(id)
		}
		for _, id := range kept {
			if q := weight(id) / total; q > 0 {
				entropy -= q * math.Log(q)
			}
		}
		byShift := slices.Clone(kept)
		slices.SortStableFunc(byShift, func(a, b int) int {
			shift := func(id int) float64 { return math.Abs(-math.Log(weight(id)/total) - entropy) }
			return cmp.Or(cmp.Compare(shift(a), shift(b)), cmp.Compare(a, b))
		})
		var sum float64
		n := 0
		for n < len(byShift) && (n == 0 || sum < p.TypicalP*total) {
			sum += weight(byShift[n])
			n++
		}
		kept = slices.DeleteFunc(slices.Clone(kept), func(id int) bool { return !slices.Contains(byShift[:n], id) })
	}
	if p.TopP > 0 && p.TopP < 1 {
		var total, sum float64
		for _, id := range kept {
			total += weight(id)
		}
		for i, id := range kept {
			if sum += weight(id); sum >= p.TopP*total {
				kept = kept[:i+1]
				break
			}
		}
	}
	most := 0.0 // weight of the likeliest that is left
	for _, id := range kept {
		most = max(most, weight(id))
	}
	kept = slices.DeleteFunc(slices.Clone(kept), func(id int) bool { return weight(id) < p.MinP*most })
	rest := kept // without the top choices
	if p.XTCProbability > 0 {
		var total float64
		for _, id := range kept {
			total += weight(id)
		}
		n := 0
		for n < len(kept) && weight(kept[n]) >= p.XTCThreshold*total {
			n++
		}
		rest = kept[max(n-1, 0):]
	}
	share := func(ids []int, of float64) {
		var sum float64
		for _, id := range ids {
			sum += math.Exp((l[id] - l[rank[0]]) / p.Temperature)
		}
		for _, id := range ids {
			prob[id] += of * math.Exp((l[id]-l[rank[0]])/p.Temperature) / sum
		}
	}
	share(kept, 1-p.XTCProbability)
	share(rest, p.XTCProbability)
	return prob
}

// referenceDRY finds repetitions by trying every length.
func referenceDRY(l []float64, d DRY, all []int32) {
	if d.LastN >= 0 {
		all = all[max(0, len(all)-d.LastN):]
	}
	text := func(ids []int32) (s string) {
		for _, id := range ids {
			s += string(d.Bytes(id))
		}
		return s
	}
	// breaks says whether one of the breakers ends within the last of the tokens.
	breaks := func(ids []int32) bool {
		whole, before := text(ids), len(text(ids[:len(ids)-1]))
		for _, b := range d.Breakers {
			for end := before + 1; end <= len(whole); end++ {
				if strings.HasSuffix(whole[:end], b) {
					return true
				}
			}
		}
		return false
	}
	longest := map[int32]int{}
	for at := 1; at < len(all); at++ { // of a token that followed
		for n := 1; n <= at; n++ {
			if !slices.Equal(all[at-n:at], all[len(all)-n:]) || len(d.Breakers) > 0 && breaks(all[:len(all)-n+1]) {
				break
			}
			longest[all[at]] = max(longest[all[at]], n)
		}
	}
	for id, n := range longest {
		if n >= d.AllowedLength && (len(d.Breakers) == 0 || !breaks([]int32{id})) {
			l[id] -= d.Multiplier * math.Pow(d.Base, float64(n-d.AllowedLength))
		}
	}
}

// TestDRY compares penalties with the reference, of random sequences over a few tokens that have texts.
func TestDRY(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	texts := []string{"a", "b", "\n", "c\n", "x", "y", "xy"}
	bytes := func(id int32) []byte { return []byte(texts[id]) }
	for i := range 2000 {
		d := DRY{Multiplier: 0.5, Base: 1.5, AllowedLength: 1 + rng.IntN(3), LastN: -1 + 8*rng.IntN(3)}
		if d.LastN == 7 {
			d.LastN = 0
		}
		if i%2 == 0 {
			d.Breakers, d.Bytes = []string{"\n", "xy"}, bytes
		}
		var all []int32
		for range rng.IntN(30) {
			all = append(all, int32(rng.IntN(2+rng.IntN(len(texts)-1))))
		}
		cut := rng.IntN(len(all) + 1)
		s := NewSampler(Params{DRY: d}, all[:cut])
		for _, id := range all[cut:] {
			s.Accept(id)
		}
		got, want := make([]float32, len(texts)), make([]float64, len(texts))
		if _, err := s.Sample(got); err != nil {
			t.Fatal(err)
		}
		if d.LastN != 0 {
			referenceDRY(want, d, all)
		}
		for id := range got {
			if math.Abs(float64(got[id])-want[id]) > 1e-5 {
				t.Fatalf("%v with %+v: token %d has %v, want %v", all, d, id, got, want)
			}
		}
	}
}

// draws counts n tokens drawn independently: each by a sampler of its own seed.
func draws(t *testing.T, logits []float32, p Params, prompt, generated []int32, n int) []int {
	t.Helper()
	count := make([]int, len(logits))
	row := make([]float32, len(logits))
	for i := range n {
		p.Seed = uint64(i)
		s := NewSampler(p, prompt)
		for _, id := range generated {
			s.Accept(id)
		}
		copy(row, logits)
		id, err := s.Sample(row)
		if err != nil {
			t.Fatal(err)
		}
		count[id]++
	}
	return count
}

// TestDistribution compares what is drawn with the exact distribution by a chi-square test at one in ten thousand. Seeds are fixed, so it
// always gives the same answer.
func TestDistribution(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	logits := make([]float32, 40)
	for i := range logits {
		logits[i] = float32(rng.NormFloat64() * 2)
	}
	logits[7], logits[8] = logits[3], logits[3] // ties
	prompt, generated := []int32{1, 2, 3, 3, 4}, []int32{5, 3, 9, 9}

	f := func(name string, p Params) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			const n = 20000
			want := reference(logits, p, prompt, generated)
			got := draws(t, logits, p, prompt, generated, n)
			var chi, rest float64
			cells, restCount := 0, 0
			for id, w := range want {
				if w == 0 && got[id] > 0 {
					t.Errorf("token %d was drawn %d times, its probability is 0", id, got[id])
				}
				if w*n < 5 { // too rare for a cell of its own
					rest += w * n
					restCount += got[id]
					continue
				}
				d := float64(got[id]) - w*n
				chi += d * d / (w * n)
				cells++
			}
			if rest >= 5 {
				chi += (float64(restCount) - rest) * (float64(restCount) - rest) / rest
				cells++
			}
			if limit := chiSquareLimit(cells - 1); chi > limit {
				t.Errorf("chi-square of %d cells is %.1f, want at most %.1f", cells, chi, limit)
			}
		})
	}
	f("greedy", Params{})
	f("plain", Params{Temperature: 1})
	f("hot", Params{Temperature: 3})
	f("cold", Params{Temperature: 0.3})
	f("top_k", Params{Temperature: 1, TopK: 5})
	f("top_k 1", Params{Temperature: 1, TopK: 1})
	f("top_p", Params{Temperature: 1, TopP: 0.7})
	f("min_p", Params{Temperature: 1, MinP: 0.1})
	f("all", Params{Temperature: 0.8, TopK: 20, TopP: 0.9, MinP: 0.02})
	f("repeat", Params{Temperature: 1, RepeatPenalty: 1.5, RepeatLastN: -1})
	f("repeat last 3", Params{Temperature: 1, RepeatPenalty: 1.5, RepeatLastN: 3})
	f("presence and frequency", Params{Temperature: 1, PresencePenalty: 1, FrequencyPenalty: 0.5, RepeatLastN: -1})
	f("presence, prompt too", Params{Temperature: 1, PresencePenalty: 1, FrequencyPenalty: 0.5, RepeatLastN: -1, PenalizePrompt: true})
	f("window over both", Params{Temperature: 1, PresencePenalty: 2, RepeatPenalty: 1.2, RepeatLastN: 6, PenalizePrompt: true})
	f("top_n_sigma", Params{Temperature: 1, TopNSigma: 1.2})
	f("top_n_sigma, hot", Params{Temperature: 3, TopNSigma: 1.2, TopK: 6})
	f("typical_p", Params{Temperature: 1, TypicalP: 0.5})
	f("typical_p of a few", Params{Temperature: 1.5, TopK: 12, TypicalP: 0.7, TopP: 0.9})
	f("XTC", Params{Temperature: 1, XTCProbability: 0.5, XTCThreshold: 0.1})
	f("XTC always", Params{Temperature: 1, XTCProbability: 1, XTCThreshold: 0.05, MinP: 0.02})
	f("XTC of none", Params{Temperature: 1, XTCProbability: 1, XTCThreshold: 0.5})
	f("temperature last", Params{Temperature: 2, TemperatureLast: true, TopK: 20, TopP: 0.9, MinP: 0.1})
	f("temperature last, whole", Params{Temperature: 0.5, TemperatureLast: true, TopP: 0.9})
	f("temperature last, XTC", Params{Temperature: 2, TemperatureLast: true, XTCProbability: 0.7, XTCThreshold: 0.1, TypicalP: 0.9})
	f("logit_bias", Params{Temperature: 1, LogitBias: map[int32]float32{3: -100, 20: 3, 21: float32(math.Inf(-1))}})
	f("min_tokens", Params{Temperature: 1, EndTokens: []int32{3, 7}, MinTokens: 5})
	f("min_tokens that are there", Params{Temperature: 1, EndTokens: []int32{3, 7}, MinTokens: 4})
	f("never an end", Params{Temperature: 1, NeverEnd: []int32{3, 7}})
	f("greedy, never an end", Params{NeverEnd: []int32{3, 7}})
	dry := DRY{Multiplier: 0.8, Base: 1.75, AllowedLength: 1, LastN: -1}
	f("DRY", Params{Temperature: 1, DRY: dry})
	f("DRY and all else", Params{
		Temperature: 0.9, DRY: dry, LogitBias: map[int32]float32{9: 2}, RepeatPenalty: 1.1, RepeatLastN: -1, TopNSigma: 3, TopK: 30, TypicalP: 0.95,
		TopP: 0.95, MinP: 0.01, XTCProbability: 0.3, XTCThreshold: 0.2,
	})
	f("greedy with penalty", Params{RepeatPenalty: 5, PresencePenalty: 3, RepeatLastN: -1})
}

// TestWholeDistribution compares what is drawn from large vocabularies with the exact distribution: flat and peaked ones, where the head that
// weights are computed of holds little, nearly all, or nothing of the whole.
func TestWholeDistribution(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	flat := make([]float32, 10000)
	for i := range flat {
		flat[i] = float32(rng.NormFloat64() * 2)
	}
	peaked := slices.Clone(flat)
	for i := range 12 {
		peaked[100*i+7] = float32(12 + 0.5*float64(i))
	}
	equal := make([]float32, 10000)
	steep := make([]float32, 10000) // one likely token, and more than half of the weight in the rest
	for i := range steep {
		steep[i] = -9.5
	}
	steep[77] = 0
	f := func(name string, logits []float32, p Params) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			const n, cells = 4000, 20
			want := reference(logits, p, nil, nil)
			got := make([]int, len(logits))
			s := NewSampler(p, nil) // one stream, and memory that is used again
			for range n {
				id, err := s.Sample(logits)
				if err != nil {
					t.Fatal(err)
				}
				s.Accept(id)
				got[id]++
			}
			// The likeliest tokens have cells of their own, the others share one by their place in the order.
			rank := make([]int, len(want))
			for i := range rank {
				rank[i] = i
			}
			slices.SortStableFunc(rank, func(a, b int) int { return cmp.Compare(want[b], want[a]) })
			var w, g [2 * cells]float64
			for i, id := range rank {
				if want[id] == 0 && got[id] > 0 {
					t.Fatalf("token %d was drawn, its probability is 0", id)
				}
				cell := min(i, cells+i*cells/len(rank))
				w[cell] += want[id] * n
				g[cell] += float64(got[id])
			}
			var chi float64
			used := 0
			for i := range w {
				if w[i] >= 5 {
					chi += (g[i] - w[i]) * (g[i] - w[i]) / w[i]
					used++
				}
			}
			if limit := chiSquareLimit(used - 1); chi > limit {
				t.Errorf("chi-square of %d cells is %.1f, want at most %.1f", used, chi, limit)
			}
		})
	}
	for _, l := range []struct {
		name   string
		logits []float32
	}{{"flat", flat}, {"peaked", peaked}, {"equal", equal}, {"steep", steep}} {
		f(l.name+" plain", l.logits, Params{Temperature: 1})
		f(l.name+" hot", l.logits, Params{Temperature: 2})
		f(l.name+" top_p", l.logits, Params{Temperature: 1, TopP: 0.9})
		f(l.name+" small top_p", l.logits, Params{Temperature: 1, TopP: 0.3})
		f(l.name+" min_p", l.logits, Params{Temperature: 1, MinP: 0.05})
		f(l.name+" top_p and min_p", l.logits, Params{Temperature: 1.3, TopP: 0.95, MinP: 0.01})
		f(l.name+" least top_p", l.logits, Params{Temperature: 1, TopP: 1e-9})
	}
}

// chiSquareLimit returns the value that chi-square of k degrees of freedom exceeds once in ten thousand (Wilson and Hilferty's
// approximation).
func chiSquareLimit(k int) float64 {
	if k <= 0 {
		return 1e-9
	}
	const z = 3.719 // of the normal distribution
	d := 2 / (9 * float64(k))
	return float64(k) * math.Pow(1-d+z*math.Sqrt(d), 3)
}

// TestTestCanFail shows that the chi-square test notices a small error.
func TestTestCanFail(t *testing.T) {
	const n = 20000
	logits := []float32{0, 0.1, 0.2, 0.3}
	wrong := reference([]float32{0, 0.1, 0.2, 0.4}, Params{Temperature: 1}, nil, nil)
	got := draws(t, logits, Params{Temperature: 1}, nil, nil, n)
	var chi float64
	for id, w := range wrong {
		d := float64(got[id]) - w*n
		chi += d * d / (w * n)
	}
	if chi <= chiSquareLimit(3) {
		t.Errorf("chi-square against a wrong distribution is %.1f, want more than %.1f", chi, chiSquareLimit(3))
	}
}

func TestTieTakesLowestID(t *testing.T) {
	s := NewSampler(Params{}, nil)
	if id, err := s.Sample([]float32{1, 5, 5, 2, 5}); err != nil || id != 1 {
		t.Errorf("got %d, %v, want 1", id, err)
	}
}

func TestUnusableLogits(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	f := func(logits ...float32) {
		t.Helper()
		for _, p := range []Params{{}, {Temperature: 1}} {
			if id, err := NewSampler(p, nil).Sample(slices.Clone(logits)); err == nil {
				t.Errorf("of %v token %d was drawn, want an error", logits, id)
			}
		}
	}
	f(1, nan, 2)
	f(nan)
	f(-inf, -inf)
	f(1, inf)
}

// TestSeedIsTheOnlyState draws sequences twice and shows that the stream depends on the seed and the index alone.
func TestSeedIsTheOnlyState(t *testing.T) {
	row := make([]float32, 1000)
	sequence := func(seed uint64) []int32 {
		s := NewSampler(Params{Temperature: 1, Seed: seed}, nil)
		var ids []int32
		for range 50 {
			id, err := s.Sample(row)
			if err != nil {
				t.Fatal(err)
			}
			s.Accept(id)
			ids = append(ids, id)
		}
		return ids
	}
	if a, b := sequence(42), sequence(42); !slices.Equal(a, b) {
		t.Errorf("seed 42 gave %v and then %v", a, b)
	}
	if a, b := sequence(42), sequence(43); slices.Equal(a, b) {
		t.Errorf("seeds 42 and 43 both gave %v", a)
	}
}

// TestStream shows that the first answer draws as a request for one does, and the others other numbers, the same each time.
func TestStream(t *testing.T) {
	seen := map[uint64]bool{}
	for _, seed := range []uint64{0, 1, 42} {
		if Stream(seed, 0) != seed {
			t.Errorf("the first answer to seed %d draws with %d", seed, Stream(seed, 0))
		}
		for choice := range 8 {
			s := Stream(seed, choice)
			if seen[s] || s != Stream(seed, choice) {
				t.Errorf("seed %d, answer %d: %d again", seed, choice, s)
			}
			seen[s] = true
		}
	}
	// SplitMix64's published first output for the seed 0.
	if got := Stream(0, 1); got != 0xe220a8397b1dcdaf {
		t.Errorf("SplitMix64(0) is %#x", got)
	}
}

func TestValidate(t *testing.T) {
	f := func(p Params, want string) {
		t.Helper()
		err := p.Validate()
		if want == "" {
			if err != nil {
				t.Errorf("%+v: %v", p, err)
			}
			return
		}
		if e, ok := err.(*ParamError); !ok || e.Param != want { //nolint:errorlint // Validate promises this type
			t.Errorf("%+v: got %v, want an error of %s", p, err, want)
		}
	}
	f(Params{}, "")
	f(Params{Temperature: 2, TopK: 40, TopP: 1, MinP: 0.05, RepeatPenalty: 1.1, PresencePenalty: -2}, "")
	f(Params{Temperature: -1}, "temperature")
	f(Params{Temperature: math.NaN()}, "temperature")
	f(Params{TopK: -1}, "top_k")
	f(Params{TopP: 1.1}, "top_p")
	f(Params{MinP: -0.1}, "min_p")
	f(Params{RepeatPenalty: math.Inf(1)}, "repeat_penalty")
	f(Params{PresencePenalty: math.Inf(-1)}, "presence_penalty")
	f(Params{FrequencyPenalty: 1e3}, "frequency_penalty")
	f(Params{TypicalP: 2}, "typical_p")
	f(Params{XTCProbability: -0.1}, "xtc_probability")
	f(Params{TopNSigma: -1}, "top_n_sigma")
	f(Params{DRY: DRY{Multiplier: 1, Base: 0.5, AllowedLength: 2}}, "dry_base")
	f(Params{DRY: DRY{Multiplier: 1, Base: 2}}, "dry_allowed_length")
}

// BenchmarkSample draws from Llama-3's 128,256 logits: flat ones, where thousands of tokens are likely, and peaked ones, as a language
// model's are.
func BenchmarkSample(b *testing.B) {
	flat := bigLogits(0)
	peaked := bigLogits(12)
	f := func(name string, logits []float32, p Params) {
		b.Run(name, func(b *testing.B) {
			s := NewSampler(p, nil)
			b.ReportAllocs()
			for b.Loop() {
				id, err := s.Sample(logits)
				if err != nil {
					b.Fatal(err)
				}
				s.Accept(id)
			}
		})
	}
	for _, l := range []struct {
		name   string
		logits []float32
	}{{"flat/", flat}, {"peaked/", peaked}} {
		f(l.name+"greedy", l.logits, Params{})
		f(l.name+"temperature", l.logits, Params{Temperature: 1})
		f(l.name+"top_k40,top_p0.9", l.logits, Params{Temperature: 0.8, TopK: 40, TopP: 0.9})
		f(l.name+"top_p0.9", l.logits, Params{Temperature: 1, TopP: 0.9})
		f(l.name+"top_p0.5", l.logits, Params{Temperature: 1, TopP: 0.5})
		f(l.name+"temperature0.6,top_p0.9", l.logits, Params{Temperature: 0.6, TopP: 0.9})
		f(l.name+"min_p0.05", l.logits, Params{Temperature: 1, MinP: 0.05})
	}
}

// bigLogits returns 128,256 logits of a standard deviation of 3, eight of which are up to lift above what the largest would be.
func bigLogits(lift float64) []float32 {
	rng := rand.New(rand.NewPCG(3, 4))
	logits := make([]float32, 128256)
	for i := range logits {
		logits[i] = float32(rng.NormFloat64() * 3)
	}
	for range 8 {
		if lift > 0 {
			logits[rng.IntN(len(logits))] = float32(10 + lift*rng.Float64())
		}
	}
	return logits
}

// TestSumExp compares the fast sum with float64.
func TestSumExp(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, n := range []int{1, 3, 4, 7, 255, 256, 257, 1000, 128256} {
		for _, scale := range []float64{0.3, 1, 1.7, 50} {
			logits := make([]float32, n)
			for i := range logits {
				logits[i] = float32(rng.NormFloat64() * 3)
			}
			logits[n/2] = float32(math.Inf(-1))
			logits[n/3] = 20
			var want, above float64
			for _, l := range logits {
				want += math.Exp(float64(l-20) * scale)
				if l > 1 {
					above += math.Exp(float64(l-20) * scale)
				}
			}
			if got := sumExp(logits, 20, float32(math.Inf(-1)), scale); math.Abs(got-want) > 1e-5*want {
				t.Errorf("%d logits, scale %g: %v, want %v", n, scale, got, want)
			}
			if got := sumExp(logits, 20, 1, scale); math.Abs(got-above) > 1e-5*above {
				t.Errorf("%d logits, scale %g, above 1: %v, want %v", n, scale, got, above)
			}
		}
	}
}

// TestBanned: that a request takes out all tokens is told from logits that are no numbers.
func TestBanned(t *testing.T) {
	out, nan := float32(math.Inf(-1)), float32(math.NaN())
	f := func(want error, logits ...float32) {
		t.Helper()
		for _, temperature := range []float64{0, 1} {
			s := NewSampler(Params{Temperature: temperature, LogitBias: map[int32]float32{0: out, 1: out}}, nil)
			if _, err := s.Sample(logits); !errors.Is(err, want) {
				t.Errorf("of %v: %v, want %v", logits, err, want)
			}
		}
	}
	f(ErrBanned, 1, 2)
	f(ErrNoToken, 1, 2, nan)
	f(nil, 1, 2, 3)
}
