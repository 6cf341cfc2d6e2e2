package sample

import (
	"math"
	"testing"
)

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
