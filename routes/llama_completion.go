package routes

import (
	"math"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"ortserve/engine"
	"ortserve/sample"
)

// llamaDefaults are the ones that llama.cpp's server documents.
var llamaDefaults = sample.Params{
	Temperature: 0.8, TopK: 40, TopP: 0.95, MinP: 0.05, RepeatPenalty: 1, RepeatLastN: 64, PenalizePrompt: true,
	TemperatureLast: true,
}

// llamaRequest is the body of POST /completion.
type llamaRequest struct {
	model        string
	prompt       *rawText
	stream       bool
	returnTokens bool
	nPredict     *int64
	cacheSalt    string
	fresh        bool // cache_prompt is false
	progress     bool
	sampling     sampling
	report       reporting
}

// llamaFields are the fields of llama.cpp's own route for completions.
var llamaFields = newTable(
	[]field[llamaRequest]{
		textField("model", func(r *llamaRequest) *string { return &r.model }),
		{name: "prompt", schema: promptSchema, read: func(_ *decoder, at string, v value, r *llamaRequest) error {
			prompts, err := readPrompts(at, v)
			switch {
			case err != nil:
				return err
			case len(prompts) > 1:
				return notSupported(at, "%s holds %d prompts; POST /v1/completions takes more than one", at, len(prompts))
			case len(prompts) == 1:
				r.prompt = &prompts[0]
			}
			return nil
		}},
		boolField("stream", func(r *llamaRequest) *bool { return &r.stream }),
		boolField("return_tokens", func(r *llamaRequest) *bool { return &r.returnTokens }),
		integerField("n_predict", -2, math.MaxInt32, func(r *llamaRequest) **int64 { return &r.nPredict }),
		countedField("n_probs", func(r *llamaRequest) *reporting { return &r.report }),
		textField("cache_salt", func(r *llamaRequest) *string { return &r.cacheSalt }),
		withoutField("cache_prompt", func(r *llamaRequest) *bool { return &r.fresh }),
		boolField("return_progress", func(r *llamaRequest) *bool { return &r.progress }),
		onlyField[llamaRequest]("n", "POST /v1/completions takes more than one", isNumber(1)),
		refusedField[llamaRequest]("image_data", "image input is not supported"),
		refusedField[llamaRequest]("t_max_predict_ms", "use n_predict"),
	},
	samplingFields(func(r *llamaRequest) *sampling { return &r.sampling }),
	chainFields(func(r *llamaRequest) *sampling { return &r.sampling }),
	llamaGrammarFields(func(r *llamaRequest) *sampling { return &r.sampling }),
	refusedFields[llamaRequest](
		"dynatemp_range", "lora", "n_discard", "n_indent",
		"post_sampling_probs", "response_fields",
	),
	inertFields[llamaRequest](
		"id_slot",
		"min_keep", "mirostat_eta", "mirostat_tau", "n_keep", "t_max_prompt_ms", "timings_per_token",
	),
)

// llamaPiece is an event of a stream.
type llamaPiece struct {
	Index           int                `json:"index"`
	Content         string             `json:"content"`
	Tokens          []int32            `json:"tokens"`
	Stop            bool               `json:"stop"`
	IDSlot          int                `json:"id_slot"`
	TokensPredicted int                `json:"tokens_predicted"`
	TokensEvaluated int                `json:"tokens_evaluated"`
	Probabilities   []llamaProbability `json:"completion_probabilities,omitempty"`
	Progress        *promptProgress    `json:"prompt_progress,omitempty"`
}

// llamaAnswer is the last event of a stream, and the answer that is not streamed.
type llamaAnswer struct {
	Index              int                `json:"index"`
	Content            string             `json:"content"`
	Tokens             []int32            `json:"tokens"`
	IDSlot             int                `json:"id_slot"`
	Stop               bool               `json:"stop"`
	Model              string             `json:"model"`
	TokensPredicted    int                `json:"tokens_predicted"`
	TokensEvaluated    int                `json:"tokens_evaluated"`
	GenerationSettings map[string]any     `json:"generation_settings"`
	Prompt             string             `json:"prompt"`
	HasNewLine         bool               `json:"has_new_line"`
	Truncated          bool               `json:"truncated"`
	StopType           string             `json:"stop_type"`
	StoppingWord       string             `json:"stopping_word"`
	TokensCached       int                `json:"tokens_cached"`
	Timings            llamaTimings       `json:"timings"`
	Probabilities      []llamaProbability `json:"completion_probabilities,omitempty"`
}

// llamaTimings says where the time went; times in milliseconds.
type llamaTimings struct {
	CacheN              int     `json:"cache_n"`
	PromptN             int     `json:"prompt_n"`
	PromptMS            float64 `json:"prompt_ms"`
	PromptPerTokenMS    float64 `json:"prompt_per_token_ms"`
	PromptPerSecond     float64 `json:"prompt_per_second"`
	PredictedN          int     `json:"predicted_n"`
	PredictedMS         float64 `json:"predicted_ms"`
	PredictedPerTokenMS float64 `json:"predicted_per_token_ms"`
	PredictedPerSecond  float64 `json:"predicted_per_second"`
}

func llamaTimingsOf(u engine.Usage) llamaTimings {
	ratio := func(a, b float64) float64 {
		if b == 0 {
			return 0
		}
		return a / b
	}
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	prompt, predicted := ms(u.Prefill), ms(u.Decode)
	n, m := float64(u.PromptTokens-u.CachedTokens), float64(u.CompletionTokens)
	return llamaTimings{
		CacheN: u.CachedTokens, PromptN: u.PromptTokens - u.CachedTokens,
		PromptMS: prompt, PromptPerTokenMS: ratio(prompt, n), PromptPerSecond: 1000 * ratio(n, prompt),
		PredictedN: u.CompletionTokens, PredictedMS: predicted, PredictedPerTokenMS: ratio(predicted, m), PredictedPerSecond: 1000 * ratio(m, predicted),
	}
}

// llamaCompletion serves POST /completion.
func (s *server) llamaCompletion(c *fiber.Ctx) error {
	var req llamaRequest
	if err := decodeBody(s, c, llamaFields, &req); err != nil {
		return err
	}
	if req.prompt == nil {
		return invalid("prompt", "prompt is missing; it is a string or token ids")
	}
	return s.answer(c, work{model: req.model, salt: req.cacheSalt, stream: req.stream, order: func(g *generation) (order, form, error) {
		if top := req.report.top; top != nil && *top == 0 {
			req.report.on = false // llama.cpp's default
		}
		o := order{logprobs: req.report.order(), prompts: [][]int32{g.encode(*req.prompt)}, sampling: &req.sampling, defaults: llamaDefaults, fresh: req.fresh, progress: req.progress}
		settings := map[string]any{
			"n_ctx": g.Engine.Info().MaxLen, "n_predict": -1, "stop": append([]string{}, req.sampling.stop...), "stream": req.stream,
		}
		if req.nPredict != nil {
			o.limits.maxTokens = int(max(*req.nPredict, 0))
			settings["n_predict"] = *req.nPredict
		}
		return o, &llamaFrames{
			held: heldLogprobs{}, g: g, prompt: g.Tokenizer.Decode(o.prompts[0], false), tokens: req.returnTokens, stops: req.sampling.stop,
			settings: settingsOf(settings, req.sampling.params(g.Model.Generation, llamaDefaults)),
		}, nil
	}})
}

// settingsOf adds the sampling parameters, by llama.cpp's names.
func settingsOf(into map[string]any, p sample.Params) map[string]any {
	into["temperature"], into["top_k"], into["top_p"], into["min_p"] = p.Temperature, p.TopK, p.TopP, p.MinP
	into["repeat_penalty"], into["repeat_last_n"] = p.RepeatPenalty, p.RepeatLastN
	into["presence_penalty"], into["frequency_penalty"] = p.PresencePenalty, p.FrequencyPenalty
	return into
}

// llamaFrames writes the answers of POST /completion.
type llamaFrames struct {
	g        *generation
	prompt   string
	tokens   bool // the ids are wanted in the answer that is not streamed
	stops    []string
	settings map[string]any
	all      []int32 // sampled so far
	text     strings.Builder
	held     heldLogprobs
}

func (f *llamaFrames) whole(answers []answer, u engine.Usage) any {
	f.all = answers[0].tokens
	f.held.add(0, answers[0].logprobs)
	return f.last(answers[0].text, answers[0].text, answers[0].finish, u)
}

func (f *llamaFrames) event(w *frameWriter, _ int, ev engine.Event) {
	if p := progressOf(ev); p != nil {
		w.sse(llamaPiece{Tokens: []int32{}, IDSlot: -1, TokensEvaluated: len(f.g.prompts[0]), Progress: p})
	}
	f.all = append(f.all, ev.Tokens...)
	f.text.WriteString(ev.Text)
	f.held.add(0, ev.Logprobs)
	if ev.Text != "" {
		w.sse(llamaPiece{
			Content: ev.Text, Tokens: ev.Tokens, IDSlot: -1,
			TokensPredicted: len(f.all), TokensEvaluated: len(f.g.prompts[0]), Probabilities: spelling{f.g.Loaded}.llama(f.held.take(0)),
		})
	}
	if ev.Finish != "" {
		w.sse(f.last("", f.text.String(), ev.Finish, ev.Usage))
	}
}

func (f *llamaFrames) end(*frameWriter, engine.Usage) {}

func (f *llamaFrames) fail(w *frameWriter, err *apiError) { w.sse(err.openaiBody()) }

// wanted returns ids where the request wants them.
func (f *llamaFrames) wanted(tokens []int32) []int32 {
	if !f.tokens || len(tokens) == 0 {
		return []int32{}
	}
	return tokens
}

// last is the answer's last event, or all of it.
func (f *llamaFrames) last(content, text string, finish engine.FinishReason, u engine.Usage) llamaAnswer {
	a := llamaAnswer{
		Content: content, Tokens: []int32{}, IDSlot: -1, Stop: true, Model: f.g.name,
		TokensPredicted: u.CompletionTokens, TokensEvaluated: u.PromptTokens,
		GenerationSettings: f.settings, Prompt: f.prompt, HasNewLine: strings.Contains(text, "\n"),
		Probabilities: spelling{f.g.Loaded}.llama(f.held.take(0)), StopType: "limit", TokensCached: u.PromptTokens + u.CompletionTokens - 1, Timings: llamaTimingsOf(u),
	}
	if content != "" {
		a.Tokens = f.wanted(f.all)
	}
	if finish == engine.FinishStop {
		a.StopType = "eos"
		if stop, ok := f.g.stoppedBy(answer{text: text, tokens: f.all, finish: finish}, f.stops); ok {
			a.StopType, a.StoppingWord = "word", stop
		}
	}
	return a
}
