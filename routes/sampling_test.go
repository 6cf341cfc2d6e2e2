package routes

import (
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
