package routes

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ortserve/models"
	"ortserve/sample"
)

func TestParams(t *testing.T) {
	of := func(v float64) *float64 { return &v }
	ten := 10
	model := models.Generation{Temperature: of(0.6), TopK: &ten, TopP: of(0.95), RepetitionPenalty: of(1.1)}

	f := func(options string, g models.Generation, defaults, want sample.Params) {
		t.Helper()
		o, _, err := decode(optionFields, options)
		if err != nil {
			t.Fatal(err)
		}
		got := o.sampling.params(g, defaults)
		if o.sampling.seed == nil {
			got.Seed = 0 // random
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", options, diff)
		}
	}
	// Nothing said: the dialect's own.
	f(`{}`, models.Generation{}, openaiDefaults, sample.Params{Temperature: 1, TopP: 1, RepeatPenalty: 1, RepeatLastN: -1})
	f(`{}`, models.Generation{}, ollamaDefaults,
		sample.Params{Temperature: 0.8, TopK: 40, TopP: 0.9, RepeatPenalty: 1, RepeatLastN: 64, PenalizePrompt: true})
	// The model's before the dialect's.
	f(`{}`, model, openaiDefaults, sample.Params{Temperature: 0.6, TopK: 10, TopP: 0.95, RepeatPenalty: 1.1, RepeatLastN: -1})
	// The request's before both, zero included.
	f(`{"temperature":0,"top_k":0,"top_p":1,"repeat_penalty":1,"min_p":0.1,"presence_penalty":-1,"frequency_penalty":2,"repeat_last_n":0,"seed":7}`,
		model, ollamaDefaults, sample.Params{
			TopP: 1, MinP: 0.1, RepeatPenalty: 1, PresencePenalty: -1, FrequencyPenalty: 2, PenalizePrompt: true, Seed: 7,
		})
	f(`{"top_k":-1,"seed":-2}`, model, openaiDefaults,
		sample.Params{Temperature: 0.6, TopP: 0.95, RepeatPenalty: 1.1, RepeatLastN: -1, Seed: 1<<64 - 2})
	// A nucleus of nothing is the likeliest token alone, not all of them.
	f(`{"top_p":0,"seed":0}`, models.Generation{}, openaiDefaults,
		sample.Params{Temperature: 1, TopP: greedyTopP, RepeatPenalty: 1, RepeatLastN: -1})
}

func TestSeedIsRandomUnlessSaid(t *testing.T) {
	seed := func(options string) uint64 {
		o, _, err := decode(optionFields, options)
		if err != nil {
			t.Fatal(err)
		}
		return o.sampling.params(models.Generation{}, ollamaDefaults).Seed
	}
	for _, options := range []string{`{}`, `{"seed":-1}`, `{"seed":null}`} {
		if a, b := seed(options), seed(options); a == b {
			t.Errorf("%s: the seed is %d twice", options, a)
		}
	}
	if a, b := seed(`{"seed":42}`), seed(`{"seed":42.0}`); a != 42 || b != 42 {
		t.Errorf("seeds %d and %d, want 42", a, b)
	}
}

func TestTopPZeroIsGreedy(t *testing.T) {
	s := sample.NewSampler(sample.Params{Temperature: 1, TopP: greedyTopP, Seed: 1}, nil)
	for range 100 {
		id, err := s.Sample([]float32{1, 1.01, 1, 0.5})
		if err != nil || id != 1 {
			t.Fatalf("token %d, %v; want 1", id, err)
		}
	}
}

// TestTokenFields bans, favours and ends with single tokens, in each dialect. The scripted model gives its token 100 and every other one 0, so
// that without it the lowest id comes.
func TestTokenFields(t *testing.T) {
	w := newWorld(t, "Hi")
	f := func(path, fields, text, finish string) {
		t.Helper()
		body, content := `{"prompt":"##","max_tokens":4,"temperature":0,`+fields+`}`, `"text":"`+text+`"`
		switch path {
		case "/completion":
			body, content = `{"prompt":"##","n_predict":4,"temperature":0,`+fields+`}`, `"content":"`+text+`"`
		case "/api/generate":
			body, content = `{"model":"tiny:1b","raw":true,"stream":false,"prompt":"##","options":{"num_predict":4,"temperature":0,`+fields+`}}`, `"response":"`+text+`"`
		}
		r := w.post(path, body)
		if r.status != 200 || !strings.Contains(r.body, content) || !strings.Contains(r.body, `:"`+finish+`"`) {
			t.Errorf("%s %s: %d %s\nwant %s and %s", path, fields, r.status, r.body, content, finish)
		}
	}
	for path, end := range map[string][2]string{"/v1/completions": {"stop", "length"}, "/completion": {"eos", "limit"}, "/api/generate": {"stop", "length"}} {
		f(path, `"seed":1`, "Hi", end[0])
		f(path, `"logit_bias":{"72":-100,"65":1}`, "Ai", end[0])
		f(path, `"logit_bias":[[72,false],[65,0.5]]`, "Ai", end[0])
		f(path, `"stop_token_ids":[105]`, "H", end[0])
		f(path, `"ignore_eos":true,"logit_bias":{"65":1}`, "HiAA", end[1])
		f(path, `"min_tokens":3,"logit_bias":{"65":1}`, "HiA", end[0])
		f(path, `"typical_p":0.9,"top_n_sigma":1,"xtc_probability":1,"xtc_threshold":0.1,"dry_multiplier":1`, "Hi", end[0])
	}
	g := func(fields, want string) {
		t.Helper()
		r := w.post("/v1/completions", `{"prompt":"##",`+fields+`}`)
		if r.status != 400 || !strings.Contains(r.body, want) {
			t.Errorf("%s: %d %s, want %s", fields, r.status, r.body, want)
		}
	}
	g(`"logit_bias":{"512":1}`, "logit_bias names the token 512, and the vocabulary has 512")
	g(`"logit_bias":{"a":1}`, "is no token id")
	g(`"logit_bias":`+list(1025, `[1,1]`), "logit_bias names 1025 tokens, at most 1024 are allowed")
	g(`"logit_bias":{"1":1e400}`, "logit_bias.1 must be a number")
	g(`"logit_bias":{"1":101}`, "logit_bias.1 must be a number between -100 and 100, or false")
	g(`"logit_bias":{"1":true}`, "must be a number between -100 and 100, or false")
	g(`"logit_bias":[["text",1]]`, "a text in the place of a token id is not supported")
	g(`"logit_bias":[1]`, "logit_bias[0] must be a pair")
	g(`"stop_token_ids":[512]`, "stop_token_ids names the token 512")
	g(`"xtc_threshold":2,"xtc_probability":1`, "xtc_threshold is 2, must be between 0 and 1")
	g(`"mirostat":2`, "mirostat is not supported")
}
