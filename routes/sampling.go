package routes

import (
	"errors"
	"math"
	"math/rand/v2"
	"strconv"

	"ortserve/grammar"
	"ortserve/models"
	"ortserve/sample"
)

// sampling is what a request says of how its tokens are drawn; nil is "not said".
type sampling struct {
	temperature, topP, minP                          *float64
	repeatPenalty, presencePenalty, frequencyPenalty *float64
	topK, repeatLastN, seed                          *int64
	renamed                                          map[string]string // parameters that were sent under a second name, by their first
	stop                                             []string
	grammar                                          *grammar.Grammar // what the answer must be; nil is anything
	grammarField                                     string           // where that was said

	topNSigma, typicalP, xtcProbability, xtcThreshold *float64
	dryMultiplier, dryBase                            *float64
	dryAllowedLength, dryLastN, minTokens             *int64
	dryBreakers                                       []string
	dryBreakersSaid                                   bool
	ignoreEOS                                         bool
	stopTokens                                        []int32
	bias                                              map[int32]float32
	chain                                             *chain // nil is the dialect's
}

// named returns an error of a parameter under the name that the request gave it.
func (s *sampling) named(err error) error {
	if p := new(sample.ParamError); errors.As(err, &p) && s.renamed[p.Param] != "" {
		return &sample.ParamError{Param: s.renamed[p.Param], Text: p.Text}
	}
	return err
}

// aliasField is the row of a second name of a number. A request may send one of the two.
func aliasField[T any](name, first string, of func(*T) *sampling, number func(*sampling) **float64) field[T] {
	f := numberField(name, func(r *T) **float64 { return number(of(r)) })
	read := f.read
	f.read = func(d *decoder, at string, v value, r *T) error {
		if of(r).renamed == nil {
			of(r).renamed = map[string]string{}
		}
		of(r).renamed[first] = name
		return read(d, at, v, r)
	}
	return f
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
		numberField("typical_p", func(r *T) **float64 { return &of(r).typicalP }),
		numberField("top_n_sigma", func(r *T) **float64 { return &of(r).topNSigma }),
		numberField("xtc_probability", func(r *T) **float64 { return &of(r).xtcProbability }),
		numberField("xtc_threshold", func(r *T) **float64 { return &of(r).xtcThreshold }),
		numberField("dry_multiplier", func(r *T) **float64 { return &of(r).dryMultiplier }),
		numberField("dry_base", func(r *T) **float64 { return &of(r).dryBase }),
		integerField("dry_allowed_length", 1, math.MaxInt32, func(r *T) **int64 { return &of(r).dryAllowedLength }),
		integerField("dry_penalty_last_n", -1, math.MaxInt32, func(r *T) **int64 { return &of(r).dryLastN }),
		{name: "dry_sequence_breakers", schema: stopSchema, read: func(_ *decoder, at string, v value, dst *T) (err error) {
			of(dst).dryBreakersSaid = true
			of(dst).dryBreakers, err = readStops(at, v)
			return err
		}},
		{name: "logit_bias", schema: biasSchema, read: func(_ *decoder, at string, v value, dst *T) (err error) {
			of(dst).bias, err = readBias(at, v)
			return err
		}},
		integerField("min_tokens", 0, math.MaxInt32, func(r *T) **int64 { return &of(r).minTokens }),
		boolField("ignore_eos", func(r *T) *bool { return &of(r).ignoreEOS }),
		{name: "stop_token_ids", schema: tokensSchema, read: func(_ *decoder, at string, v value, dst *T) (err error) {
			of(dst).stopTokens, err = readTokens(at, v)
			return err
		}},
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
	overlay(&p.TypicalP, s.typicalP)
	if overlay(&p.XTCProbability, s.xtcProbability); p.XTCProbability != 0 {
		p.XTCThreshold = defaultXTCThreshold
		overlay(&p.XTCThreshold, s.xtcThreshold)
	}
	overlay(&p.TopNSigma, s.topNSigma)
	p.TopNSigma = max(p.TopNSigma, 0) // -1 is "off" for llama.cpp
	p.DRY = s.dry()
	p.LogitBias = s.bias
	if s.minTokens != nil {
		p.MinTokens = int(*s.minTokens)
	}
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
	s.chain.apply(&p)
	p.Seed = rand.Uint64()
	if s.seed != nil && *s.seed != -1 {
		p.Seed = uint64(*s.seed)
	}
	return p
}

// llama.cpp's defaults.
const (
	defaultXTCThreshold = 0.1
	defaultDRYBase      = 1.75
	defaultDRYLength    = 2
)

var defaultDRYBreakers = []string{"\n", ":", "\"", "*"}

// dry returns what the request says of repetitions.
func (s *sampling) dry() sample.DRY {
	var d sample.DRY
	if overlay(&d.Multiplier, s.dryMultiplier); d.Multiplier == 0 {
		return d
	}
	d.Base, d.AllowedLength, d.LastN, d.Breakers = defaultDRYBase, defaultDRYLength, -1, defaultDRYBreakers
	overlay(&d.Base, s.dryBase)
	if s.dryAllowedLength != nil {
		d.AllowedLength = int(*s.dryAllowedLength)
	}
	if s.dryLastN != nil {
		d.LastN = int(*s.dryLastN)
	}
	if s.dryBreakersSaid {
		d.Breakers = s.dryBreakers
	}
	return d
}

// params returns the parameters of a request with what they need of the model, and the tokens that end its answers.
func (g *generation) params(s *sampling, d sample.Params) (sample.Params, []int32, error) {
	p := s.params(g.Model.Generation, d)
	vocab := g.Engine.Info().Vocab
	for id := range s.bias {
		if int(id) >= vocab {
			return p, nil, invalid("logit_bias", "logit_bias names the token %d, and the vocabulary has %d", id, vocab)
		}
	}
	for _, id := range s.stopTokens {
		if int(id) >= vocab {
			return p, nil, invalid("stop_token_ids", "stop_token_ids names the token %d, and the vocabulary has %d", id, vocab)
		}
	}
	if s.grammar != nil { // such an answer ends where its form does
		form := s.grammarField
		if form == "" {
			form = "tool_choice"
		}
		switch {
		case s.ignoreEOS:
			return p, nil, invalid("ignore_eos", "ignore_eos and %s do not go together: the answer ends where its form does", form)
		case p.MinTokens > 0:
			return p, nil, invalid("min_tokens", "min_tokens and %s do not go together: the answer ends where its form does", form)
		}
	}
	ends := append(g.StopTokens[:len(g.StopTokens):len(g.StopTokens)], s.stopTokens...)
	if p.MinTokens > 0 {
		p.EndTokens = ends
	}
	if s.ignoreEOS {
		p.NeverEnd = g.StopTokens
	}
	if len(p.DRY.Breakers) > 0 {
		p.DRY.Bytes = g.Tokenizer.Bytes
	}
	return p, ends, nil
}

// biasSchema is an object of numbers by token id, or llama.cpp's list of pairs.
var biasSchema = schema{"anyOf": []schema{{"type": "object"}, listOf(schema{"type": "array", "items": schema{"type": []string{"number", "boolean"}}})}}

// The limits of logit_bias: OpenAI's largest number that it may add or take away, and how many tokens it may name.
const (
	maxBias       = 100
	maxBiasTokens = 1024
)

// readBias reads logit_bias: {"15": -2.5}, or llama.cpp's [[15, -2.5], [16, false]], where false takes the token out.
func readBias(at string, v value) (map[int32]float32, error) {
	bias := map[int32]float32{}
	add := func(at, id string, by value) error {
		n, err := strconv.ParseInt(id, 10, 32)
		if err != nil || n < 0 {
			return invalid(at, "%s: %s is no token id", at, quote(id))
		}
		f, err := strconv.ParseFloat(by.text, 64)
		switch {
		case by.kind == kindBool && by.text == "false":
			f = math.Inf(-1)
		case by.kind != kindNumber || err != nil || math.Abs(f) > maxBias:
			return invalid(at, "%s must be a number between -%d and %d, or false", at, maxBias, maxBias)
		}
		bias[int32(n)] = float32(f)
		return nil
	}
	if n := len(v.members) + len(v.list); n > maxBiasTokens {
		return nil, invalid(at, "%s names %d tokens, at most %d are allowed", at, n, maxBiasTokens)
	}
	switch v.kind {
	case kindObject:
		for _, m := range v.members {
			if err := add(join(at, m.name), m.name, m.value); err != nil {
				return nil, err
			}
		}
	case kindList:
		for i, pair := range v.list {
			at := at + "[" + strconv.Itoa(i) + "]"
			if pair.kind != kindList || len(pair.list) != 2 {
				return nil, invalid(at, "%s must be a pair of a token id and a number or false", at)
			}
			if pair.list[0].kind == kindText {
				return nil, notSupported(at, "%s: a text in the place of a token id is not supported", at)
			}
			if err := add(at, pair.list[0].text, pair.list[1]); err != nil {
				return nil, err
			}
		}
	default:
		return nil, wrongType(at, "an object or a list of pairs", v)
	}
	return bias, nil
}

// overlay sets dst to the last of values that is said.
func overlay[T any](dst *T, values ...*T) {
	for _, v := range values {
		if v != nil {
			*dst = *v
		}
	}
}
