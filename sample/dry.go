package sample

import (
	"math"
	"slices"
	"strings"
)

// DRY lowers the logits of tokens that would go on with a repetition ("Don't repeat yourself", p-e-w, text-generation-webui's pull request
// 5677, 2024): where the text's last n tokens occurred before, the token that followed there then loses
// Multiplier*Base^(n-AllowedLength), for the longest such n of at least AllowedLength.
type DRY struct {
	Multiplier    float64 // 0 is off
	Base          float64 // at least 1
	AllowedLength int     // at least 1
	LastN         int     // how many of the sequence's last tokens are looked at; 0 is none, negative is all
	// Breakers end a repetition: none goes on beyond a token with which one of these texts ends, and such tokens are not penalized.
	Breakers []string
	// Bytes gives the bytes of a token. It is needed where there are Breakers.
	Bytes func(id int32) []byte
}

// dry finds repetitions in one sequence.
type dry struct {
	p      DRY
	tail   string  // the end of the text, as long as it may be part of a breaker
	ids    []int32 // of the sequence
	breaks []bool  // of each, whether a breaker ends with it

	longest map[int32]int // repetition that a token would go on with, in tokens
	match   []int         // memory of apply
}

// newDRY returns nil where p penalizes nothing.
func newDRY(p DRY, prompt []int32) *dry {
	if p.Multiplier == 0 || p.LastN == 0 {
		return nil
	}
	d := &dry{p: p, longest: map[int32]int{}}
	for _, id := range prompt {
		d.add(id)
	}
	return d
}

// add puts a token at the end of the sequence.
func (d *dry) add(id int32) {
	breaks := false
	if len(d.p.Breakers) > 0 {
		added := string(d.p.Bytes(id))
		text, longest := d.tail+added, 0
		for _, b := range d.p.Breakers {
			longest = max(longest, len(b))
			// One that was there before this token is not looked at again.
			breaks = breaks || strings.Contains(text[max(len(d.tail)-len(b)+1, 0):], b)
		}
		d.tail = text[max(len(text)-longest+1, 0):]
	}
	d.ids, d.breaks = append(d.ids, id), append(d.breaks, breaks)
}

// breaker says whether a token holds a breaker itself.
func (d *dry) breaker(id int32) bool {
	if len(d.p.Breakers) == 0 {
		return false
	}
	text := string(d.p.Bytes(id))
	for _, b := range d.p.Breakers {
		if strings.Contains(text, b) {
			return true
		}
	}
	return false
}

// apply penalizes logits in place.
func (d *dry) apply(logits []float32) {
	d.find()
	highest := math.Inf(1) // exponent
	if d.p.Base > 1 {
		highest = math.Log(math.MaxFloat32) / math.Log(d.p.Base)
	}
	for id, n := range d.longest {
		if int(id) < len(logits) && !d.breaker(id) {
			logits[id] -= float32(d.p.Multiplier * math.Pow(d.p.Base, min(float64(n-d.p.AllowedLength), highest)))
		}
	}
}

// find fills longest. With the tokens in reverse order, match[i] is how many of those from i on are the same as those from 0 on, which the
// Z algorithm (Gusfield 1997) finds in one pass.
func (d *dry) find() {
	clear(d.longest)
	n := len(d.ids)
	if d.p.LastN > 0 {
		n = min(n, d.p.LastN)
	}
	last := len(d.ids) - 1
	limit := 0 // tokens since the last breaker
	for limit < n && !d.breaks[last-limit] {
		limit++
	}
	if limit == 0 {
		return
	}
	d.match = slices.Grow(d.match[:0], n)[:n]
	left, right := 0, 0 // the match that reaches farthest
	for i := 1; i < n; i++ {
		k := 0
		if i < right {
			k = min(right-i, d.match[i-left])
		}
		for i+k < n && d.ids[last-i-k] == d.ids[last-k] {
			k++
		}
		d.match[i] = k
		if i+k > right {
			left, right = i, i+k
		}
		if k = min(k, limit); k >= d.p.AllowedLength {
			next := d.ids[last-i+1]
			d.longest[next] = max(d.longest[next], k)
		}
	}
}
