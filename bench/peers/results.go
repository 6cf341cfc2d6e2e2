package main

import (
	"math"
	"slices"
	"time"
)

// results is everything that a run measured.
type results struct {
	When     time.Time     `json:"when"`
	Machine  machine       `json:"machine"`
	Versions []string      `json:"versions"`
	Command  string        `json:"command"`
	Rounds   int           `json:"rounds"`
	Tokens   int           `json:"tokens"`
	Models   []modelResult `json:"models"`
}

// modelResult is what was measured with one model.
type modelResult struct {
	Key    string   `json:"key"`
	Title  string   `json:"title"`
	Bits   float64  `json:"gguf_bits_per_weight"`
	Forms  []string `json:"forms"`
	Stages []stage  `json:"stages"`
}

// The kinds of stages.
const (
	kindClients = "clients" // so many clients at once
	kindRepeat  = "repeat"  // one client, text that repeats itself
	kindTurns   = "turns"   // one client, the first and the second turn of a chat
	kindLength  = "length"  // one client, prompts of so many tokens
	kindLoad    = "load"    // from the start of the server to the first token
	kindMemory  = "memory"  // so many clients, whose slots are full in the end
)

// stage is servers that answered the same prompts in turn.
type stage struct {
	Kind    string   `json:"kind"`
	Clients int      `json:"clients"`
	Length  int      `json:"length,omitempty"` // tokens of a prompt, where the stage says it
	Series  []series `json:"series"`
	Bare    []bare   `json:"onnxruntime_genai,omitempty"`
	// BareError says why there are fewer rounds of onnxruntime-genai than of the servers.
	BareError string `json:"onnxruntime_genai_error,omitempty"`
}

// series is the rounds of one server. In a stage of turns there are two rounds a chat: the first turn and the second.
type series struct {
	Name    string  `json:"name"`
	Command string  `json:"command"`
	Ready   float64 `json:"ready_s"`
	Pss     int64   `json:"pss_bytes"`
	Rounds  []round `json:"rounds"`
}

// each is f of every round.
func (s *series) each(f func(*round) float64) []float64 {
	v := make([]float64, len(s.Rounds))
	for i := range s.Rounds {
		v[i] = f(&s.Rounds[i])
	}
	return v
}

// answers is f of every answer of all rounds.
func (s *series) answers(f func(*answer) float64) []float64 {
	var v []float64
	for i := range s.Rounds {
		for j := range s.Rounds[i].Answers {
			v = append(v, f(&s.Rounds[i].Answers[j]))
		}
	}
	return v
}

// perRound is the median of f over the answers of each round.
func (s *series) perRound(f func(*answer) float64) []float64 {
	return s.each(func(r *round) float64 {
		v := make([]float64, len(r.Answers))
		for i := range r.Answers {
			v[i] = f(&r.Answers[i])
		}
		return median(v)
	})
}

// prefill is tokens of the prompt a second of the time to the first token, of each round.
func (s *series) prefill() []float64 {
	return s.perRound(func(a *answer) float64 { return float64(a.Prompt) / a.firstToken() })
}

// others is the most that other programs used in a round of the stage, in processors.
func (s *stage) others() float64 {
	most := 0.0
	for i := range s.Series {
		most = max(most, slices.Max(append(s.Series[i].each(func(r *round) float64 { return r.Others }), 0)))
	}
	for _, b := range s.Bare {
		most = max(most, b.Others)
	}
	return most
}

// ratios are a over b, round by round.
func ratios(a, b []float64) []float64 {
	v := make([]float64, min(len(a), len(b)))
	for i := range v {
		v[i] = a[i] / b[i]
	}
	return v
}

// median is the mean of the middle two where there is no middle one.
func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// percentile is the smallest value that at least p of 100 values do not exceed.
func percentile(v []float64, p float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(v))
	return s[max(0, int(math.Ceil(p/100*float64(len(s))))-1)]
}
