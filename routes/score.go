package routes

import (
	"strconv"

	"github.com/gofiber/fiber/v2"

	"ortserve/engine"
)

// scoreRequest is the body of POST /v1/score: how probable the model finds given continuations of a prompt.
type scoreRequest struct {
	model         string
	prompt        *rawText
	continuations []rawText
	top           *int64
	cacheSalt     string
}

var scoreFields = newTable([]field[scoreRequest]{
	textField("model", func(r *scoreRequest) *string { return &r.model }),
	{name: "prompt", schema: schema{"anyOf": []schema{textSchema, tokensSchema}}, read: func(_ *decoder, at string, v value, r *scoreRequest) error {
		prompts, err := readPrompts(at, v)
		switch {
		case err != nil:
			return err
		case len(prompts) > 1:
			return invalid(at, "%s holds %d prompts, one is allowed", at, len(prompts))
		case len(prompts) == 1:
			r.prompt = &prompts[0]
		}
		return nil
	}},
	{name: "continuations", schema: schema{"anyOf": []schema{listOf(textSchema), listOf(tokensSchema)}}, read: func(_ *decoder, at string, v value, r *scoreRequest) (err error) {
		if v.kind != kindList || len(v.list) > 0 && v.list[0].kind == kindNumber {
			return wrongType(at, "a list of strings or of lists of token ids", v)
		}
		r.continuations, err = readPrompts(at, v)
		return err
	}},
	integerField("top_logprobs", 0, maxTopLogprobs, func(r *scoreRequest) **int64 { return &r.top }),
	textField("cache_salt", func(r *scoreRequest) *string { return &r.cacheSalt }),
})

// scoreAnswer is the answer of POST /v1/score.
type scoreAnswer struct {
	Object string      `json:"object"`
	Model  string      `json:"model"`
	Data   []scored    `json:"data"`
	Usage  openaiUsage `json:"usage"`
}

// scored is one continuation.
type scored struct {
	Index    int            `json:"index"`
	Logprob  float64        `json:"logprob"`   // of all its tokens: the sum
	IsGreedy bool           `json:"is_greedy"` // greedy decoding gives it
	Tokens   []tokenLogprob `json:"tokens"`
}

// score serves POST /v1/score. Nothing is generated. A text is scored from the first token on that the prompt alone would not have: the last
// characters of a prompt may be one token with the first of its continuation.
func (s *server) score(c *fiber.Ctx) error {
	var req scoreRequest
	if err := decodeBody(s, c, scoreFields, &req); err != nil {
		return err
	}
	switch {
	case req.prompt == nil:
		return invalid("prompt", "prompt is missing; it is a string or token ids")
	case len(req.continuations) == 0:
		return invalid("continuations", "continuations is missing; it is a list of strings or of lists of token ids")
	}
	return s.answer(c, work{model: req.model, salt: req.cacheSalt, order: func(g *generation) (order, form, error) {
		o := order{sampling: &sampling{}, noAnswer: true}
		top := 0
		if req.top != nil {
			top = int(*req.top)
		}
		prompt := g.encode(*req.prompt)
		for i, continuation := range req.continuations {
			at := "continuations[" + strconv.Itoa(i) + "]"
			if (continuation.tokens != nil) != (req.prompt.tokens != nil) {
				return order{}, nil, invalid(at, "%s and prompt must both be text or both be token ids", at)
			}
			all, from := append(prompt[:len(prompt):len(prompt)], continuation.tokens...), len(prompt)
			if continuation.tokens == nil {
				all = g.rawPrompt(req.prompt.text + continuation.text)
				for from = 0; from < min(len(all), len(prompt)) && all[from] == prompt[from]; {
					from++
				}
			}
			switch {
			case from == 0:
				return order{}, nil, invalid("prompt", "prompt has no token before %s, so that nothing tells how probable that is", at)
			case from >= len(all):
				return order{}, nil, invalid(at, "%s adds no token to the prompt", at)
			}
			o.prompts = append(o.prompts, all)
			o.scores = append(o.scores, &engine.Score{From: from, Top: top})
		}
		return o, &scoreForm{spelling: spelling{g.Loaded}, model: g.name}, nil
	}})
}

// scoreForm writes the answer of POST /v1/score, which is never streamed.
type scoreForm struct {
	spelling
	frames
	model string
}

func (f *scoreForm) whole(answers []answer, u engine.Usage) any {
	a := scoreAnswer{Object: "list", Model: f.model, Usage: usageOf(u)}
	for i, of := range answers {
		one := scored{Index: i, IsGreedy: true, Tokens: f.tokens(of.prompt)}
		for _, l := range of.prompt {
			one.Logprob += finite(l.Logprob.Logprob)
			one.IsGreedy = one.IsGreedy && l.Rank == 1
		}
		a.Data = append(a.Data, one)
	}
	return a
}
