package sample

import (
	"fmt"
	"math"
	"reflect"
)

// Params are the sampling parameters of one request. The zero value of a field means "off", so Params{} is greedy decoding.
type Params struct {
	// Temperature divides the logits; 0 takes the largest logit (the lowest id at a tie).
	Temperature float64
	// TopK keeps the K largest logits; 0 keeps all.
	TopK int
	// TopP keeps the smallest set of tokens whose probabilities sum to at least TopP; 0 and 1 keep all.
	TopP float64
	// MinP drops tokens less probable than MinP times the most probable one; 0 keeps all.
	MinP float64
	// RepeatPenalty divides positive and multiplies negative logits of tokens in the last RepeatLastN; 0 and 1 are off.
	RepeatPenalty float64
	// PresencePenalty is subtracted once from the logit of each token in the last RepeatLastN generated or, with
	// PenalizePrompt, prompt tokens.
	PresencePenalty float64
	// FrequencyPenalty is subtracted as often as the token occurs there.
	FrequencyPenalty float64
	// RepeatLastN is how many of the sequence's last tokens the penalties look at; 0 is none, negative is all.
	RepeatLastN int
	// PenalizePrompt makes the presence and frequency penalties count prompt tokens too (Ollama's and llama.cpp's rule;
	// OpenAI's counts generated tokens alone). The repeat penalty always counts both.
	PenalizePrompt bool
	// TopNSigma keeps logits within that many standard deviations, of all logits, of the largest (Tang et al. 2024); 0 keeps all.
	TopNSigma float64
	// TypicalP keeps the most typical tokens, see typical; 0 and 1 keep all.
	TypicalP float64
	// XTCProbability is how often the tokens of at least XTCThreshold are dropped, but the least probable of them; 0 is never.
	XTCProbability, XTCThreshold float64
	// TemperatureLast measures TypicalP, TopP, MinP and XTCThreshold at the temperature 1, and applies Temperature to what they leave.
	TemperatureLast bool
	// LogitBias is added to the logits of single tokens. Minus infinity takes a token out.
	LogitBias map[int32]float32
	// EndTokens cannot be drawn before MinTokens tokens, and those of NeverEnd not at all.
	EndTokens []int32
	MinTokens int
	NeverEnd  []int32
	// DRY lowers tokens that go on with a repetition, after the penalties or, with DRYFirst, before them.
	DRY      DRY
	DRYFirst bool
	// Seed keys the random stream. Two requests of equal seed, parameters and logits draw the same tokens.
	Seed uint64
}

// Separable says whether the law of one token, given that it is of some set, does not depend on the tokens outside of the set: nothing is left out by
// rank or by share. A parameter that this does not know of makes it false.
func (p Params) Separable() bool {
	if p.Temperature == 0 || p.TopK == 1 {
		return true // the largest of a set
	}
	if p.TopP == 1 {
		p.TopP = 0
	}
	p.Temperature, p.Seed = 0, 0
	p.RepeatPenalty, p.PresencePenalty, p.FrequencyPenalty, p.RepeatLastN, p.PenalizePrompt = 0, 0, 0, 0, false
	return reflect.ValueOf(p).IsZero()
}

// bans says whether LogitBias takes a token out.
func (p Params) bans() bool {
	for _, b := range p.LogitBias {
		if math.IsInf(float64(b), -1) {
			return true
		}
	}
	return false
}

// ParamError says which parameter of a request cannot be used and why.
type ParamError struct {
	Param string // the name as the OpenAI dialect spells it
	Text  string // value and limit, lower case
}

// Error implements error.
func (e *ParamError) Error() string { return e.Param + " " + e.Text }

// Validate returns a *ParamError for the first parameter that is outside its range.
func (p Params) Validate() error {
	for _, c := range []struct {
		name     string
		v        float64
		min, max float64
	}{
		{"temperature", p.Temperature, 0, 100},
		{"top_k", float64(p.TopK), 0, math.MaxInt32},
		{"top_p", p.TopP, 0, 1},
		{"min_p", p.MinP, 0, 1},
		{"repeat_penalty", p.RepeatPenalty, 0, 100},
		{"presence_penalty", p.PresencePenalty, -100, 100},
		{"frequency_penalty", p.FrequencyPenalty, -100, 100},
		{"top_n_sigma", p.TopNSigma, 0, 100},
		{"typical_p", p.TypicalP, 0, 1},
		{"xtc_probability", p.XTCProbability, 0, 1},
		{"xtc_threshold", p.XTCThreshold, 0, 1},
		{"min_tokens", float64(p.MinTokens), 0, math.MaxInt32},
		{"dry_multiplier", p.DRY.Multiplier, 0, 100},
		{"dry_base", p.DRY.Base, least(p.DRY, 1), 100},
		{"dry_allowed_length", float64(p.DRY.AllowedLength), least(p.DRY, 1), math.MaxInt32},
	} {
		if math.IsNaN(c.v) || c.v < c.min || c.v > c.max {
			return &ParamError{Param: c.name, Text: fmt.Sprintf("is %v, must be between %v and %v", c.v, c.min, c.max)}
		}
	}
	return nil
}

// least is the lower limit of a parameter of d: low, where d is on.
func least(d DRY, low float64) float64 {
	if d.Multiplier == 0 {
		return 0
	}
	return low
}
