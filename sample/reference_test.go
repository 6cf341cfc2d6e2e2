package sample

import (
	"cmp"
	"math"
	"slices"
	"strings"
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
	if p.DRY.Multiplier > 0 && p.DRYFirst {
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
	if p.DRY.Multiplier > 0 && !p.DRYFirst {
		referenceDRY(l, p.DRY, all)
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
