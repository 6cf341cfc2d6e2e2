package routes

import (
	"errors"
	"math"
	"math/rand/v2"

	"ortserve/grammar"
	"ortserve/models"
	"ortserve/sample"
)

// sampling is what a request says of how its tokens are drawn; nil is "not said".
type sampling struct {
	temperature, topP, minP                          *float64
	repeatPenalty, presencePenalty, frequencyPenalty *float64
	topK, repeatLastN, seed                          *int64
	repetition                                       bool // repeatPenalty was sent as repetition_penalty
	stop                                             []string
	grammar                                          *grammar.Grammar // what the answer must be; nil is anything
	grammarField                                     string           // where that was said
}

// named returns an error of a parameter under the name that the request gave it.
func (s *sampling) named(err error) error {
	if p := new(sample.ParamError); s.repetition && errors.As(err, &p) && p.Param == "repeat_penalty" {
		return &sample.ParamError{Param: "repetition_penalty", Text: p.Text}
	}
	return err
}

// samplingFields are the rows that both dialects have, by the same names.
func samplingFields[T any](of func(*T) *sampling) []field[T] {
	return []field[T]{
		numberField("temperature", func(r *T) **float64 { return &of(r).temperature }),
		numberField("top_p", func(r *T) **float64 { return &of(r).topP }),
		numberField("min_p", func(r *T) **float64 { return &of(r).minP }),
		integerField("top_k", -1, math.MaxInt32, func(r *T) **int64 { return &of(r).topK }),
		numberField("repeat_penalty", func(r *T) **float64 { return &of(r).repeatPenalty }),
		numberField("presence_penalty", func(r *T) **float64 { return &of(r).presencePenalty }),
		numberField("frequency_penalty", func(r *T) **float64 { return &of(r).frequencyPenalty }),
		integerField("repeat_last_n", -1, math.MaxInt32, func(r *T) **int64 { return &of(r).repeatLastN }),
		integerField("seed", math.MinInt64, math.MaxInt64, func(r *T) **int64 { return &of(r).seed }),
		{name: "stop", schema: stopSchema, read: func(_ *decoder, at string, v value, dst *T) (err error) {
			of(dst).stop, err = readStops(at, v)
			return err
		}},
		refusedField[T]("typical_p", "use top_p or min_p", isNumber(1)),
		refusedField[T]("mirostat", "use top_p or min_p"),
	}
}

// openaiDefaults draw from the model's distribution as it is. Penalties look at the whole sequence.
var openaiDefaults = sample.Params{Temperature: 1, TopP: 1, RepeatPenalty: 1, RepeatLastN: -1}

// ollamaDefaults are the ones that Ollama documents for its options.
var ollamaDefaults = sample.Params{
	Temperature: 0.8, TopK: 40, TopP: 0.9, RepeatPenalty: 1, RepeatLastN: 64, PenalizePrompt: true,
}

// greedyTopP is a nucleus that holds one token whatever the logits are. It is what top_p 0 asks for; in sample.Params 0 is "off".
const greedyTopP = 1e-9

// params returns the parameters of a request: what it says, else what the model's generation_config.json says, else the dialect's
// default d. A seed of -1 is "any", as in Ollama and llama.cpp. do_sample is not looked at: exporters write false where nobody
// chose it.
func (s *sampling) params(g models.Generation, d sample.Params) sample.Params {
	p := d
	overlay(&p.Temperature, g.Temperature, s.temperature)
	overlay(&p.TopP, g.TopP, s.topP)
	overlay(&p.MinP, g.MinP, s.minP)
	overlay(&p.RepeatPenalty, g.RepetitionPenalty, s.repeatPenalty)
	overlay(&p.PresencePenalty, s.presencePenalty)
	overlay(&p.FrequencyPenalty, s.frequencyPenalty)
	overlay(&p.TopK, g.TopK)
	if s.topK != nil {
		p.TopK = int(*s.topK)
	}
	p.TopK = max(p.TopK, 0) // -1 is "off" for the peers
	if s.repeatLastN != nil {
		p.RepeatLastN = int(*s.repeatLastN)
	}
	if s.topP != nil && *s.topP == 0 {
		p.TopP = greedyTopP
	}
	p.Seed = rand.Uint64()
	if s.seed != nil && *s.seed != -1 {
		p.Seed = uint64(*s.seed)
	}
	return p
}

// overlay sets dst to the last of values that is said.
func overlay[T any](dst *T, values ...*T) {
	for _, v := range values {
		if v != nil {
			*dst = *v
		}
	}
}
