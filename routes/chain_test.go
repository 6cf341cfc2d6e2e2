package routes

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ortserve/models"
	"ortserve/sample"
)

// TestChain: samplers that have this server's order are taken, and what is not in them is off; every other order is refused by name.
func TestChain(t *testing.T) {
	const all = `"temperature":0.5,"top_k":7,"top_p":0.6,"min_p":0.1,"typical_p":0.4,"top_n_sigma":2,"xtc_probability":0.5,"repeat_penalty":1.2,"presence_penalty":1`
	full := sample.Params{
		Temperature: 0.5, TopK: 7, TopP: 0.6, MinP: 0.1, TypicalP: 0.4, TopNSigma: 2, XTCProbability: 0.5, XTCThreshold: 0.1,
		RepeatPenalty: 1.2, PresencePenalty: 1, RepeatLastN: 64, PenalizePrompt: true, TemperatureLast: true,
	}
	f := func(samplers string, change func(*sample.Params)) {
		t.Helper()
		r, ignored, err := decode(llamaFields, `{`+all+`,"seed":0,"samplers":`+samplers+`}`)
		if err != nil || ignored != nil {
			t.Errorf("%s: %v, ignored %q", samplers, err, ignored)
			return
		}
		want := full
		change(&want)
		got := r.sampling.params(models.Generation{}, llamaDefaults)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", samplers, diff)
		}
	}
	same := func(*sample.Params) {}
	f(`null`, same)
	f(`[]`, same)
	f(`""`, same)
	f(`["penalties","dry","top_n_sigma","top_k","typ_p","top_p","min_p","xtc","temperature"]`, same) // llama.cpp's default
	f(`"edskypmxt"`, same)                                                                           // the same in letters
	f(`["dry","penalties","top_n_sigma","top_k","typ_p","top_p","min_p","xtc","temperature"]`, same)
	f(`["temperature","top_n_sigma","top_k","typ_p","top_p","min_p","xtc"]`, func(p *sample.Params) {
		p.TemperatureLast, p.RepeatPenalty, p.PresencePenalty = false, 1, 0
	})
	f(`["penalties","top_k","temperature"]`, func(p *sample.Params) {
		p.TopNSigma, p.TypicalP, p.TopP, p.MinP, p.XTCProbability, p.XTCThreshold = 0, 0, 1, 0, 0, 0
	})
	order := func(samplers string, first bool) {
		t.Helper()
		r, _, err := decode(llamaFields, `{"dry_multiplier":1,"seed":0,"samplers":`+samplers+`}`)
		if err != nil || r.sampling.params(models.Generation{}, llamaDefaults).DRYFirst != first {
			t.Errorf("%s: %v; DRY first is not %v", samplers, err, first)
		}
	}
	order(`null`, false)
	order(`"ed"`, false)
	order(`"de"`, true)
	order(`["dry","penalties"]`, true)
	f(`"k"`, func(p *sample.Params) {
		*p = sample.Params{Temperature: 1, TopK: 7, TopP: 1, RepeatPenalty: 1, RepeatLastN: 64, PenalizePrompt: true, TemperatureLast: true}
	})

	g := func(samplers, want string) {
		t.Helper()
		_, _, err := decode(llamaFields, `{"samplers":`+samplers+`}`)
		if api := new(apiError); !errors.As(err, &api) || !strings.HasPrefix(api.param, "samplers") || !strings.Contains(api.message, want) {
			t.Errorf("%s: %v, want %s", samplers, err, want)
		}
	}
	g(`["top_p","top_k"]`, "samplers: top_k does not come after top_p here; the order is penalties, dry, top_n_sigma, top_k, typ_p, top_p, min_p, xtc, temperature")
	g(`["top_p","temperature","top_k"]`, "top_k does not come after top_p")
	g(`["top_k","penalties"]`, "penalties does not come after top_k")
	g(`["top_k","temperature","min_p"]`, "temperature comes before all of")
	g(`["temperature","dry"]`, "temperature comes before all of")
	g(`["top_k","top_k"]`, "samplers names top_k twice")
	g(`["top_k","infill"]`, `samplers[1] is "infill", which is no sampler of this server's`)
	g(`"kz"`, `"z" is no sampler of this server's; d, e, k, m, p, s, t, x, y are`)
	g(`[7]`, "samplers[0] must be a string, not a number")
	g(`7`, "samplers must be a string or a list of strings, not a number")

	w := newWorld(t, "Hi")
	h := func(path, fields string, status int, want string) {
		t.Helper()
		r := w.post(path, `{"prompt":"##",`+fields+`}`)
		if r.status != status || !strings.Contains(r.body, want) {
			t.Errorf("%s %s: %d %s, want %d %s", path, fields, r.status, r.body, status, want)
		}
	}
	for _, path := range []string{"/completion", "/v1/completions"} {
		h(path, `"samplers":["penalties","dry"],"dry_multiplier":1,"repeat_penalty":1.1`, 200, "Hi")
		h(path, `"samplers":["dry","penalties"],"dry_multiplier":1,"repeat_penalty":1.1`, 200, "Hi")
		h(path, `"typ_p":0.5`, 200, "Hi")
		h(path, `"typ_p":2`, 400, `typ_p is 2, must be between 0 and 1","type":"invalid_request_error","param":"typ_p"`)
		h(path, `"typ_p":0.5,"typical_p":0.5`, 400, "typical_p has two names, and both are there; send one of them")
		h(path, `"typical_p":0.5,"typ_p":0.5`, 400, "typ_p has two names, and both are there; send one of them")
	}
	h("/v1/completions", `"repetition_penalty":1.1,"repeat_penalty":1.1`, 400, "repeat_penalty has two names")
}
