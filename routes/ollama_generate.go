package routes

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"ortserve/engine"
	"ortserve/pool"
	"ortserve/template"
	"ortserve/template/thinking"
	"ortserve/template/toolcall"
)

// generateAnswer is a line of /api/generate's stream, and the answer that is not streamed.
type generateAnswer struct {
	Model      string         `json:"model"`
	CreatedAt  time.Time      `json:"created_at"`
	Response   string         `json:"response"`
	Thinking   string         `json:"thinking,omitempty"`
	Done       bool           `json:"done"`
	DoneReason string         `json:"done_reason,omitempty"`
	Context    []int32        `json:"context,omitempty"`
	Logprobs   []tokenLogprob `json:"logprobs,omitempty"`
	cut
	*statistics
}

// statistics are the numbers of an answer's last line; durations in nanoseconds. All are always there.
type statistics struct {
	TotalDuration         int64 `json:"total_duration"`
	LoadDuration          int64 `json:"load_duration"`
	PromptEvalCount       int   `json:"prompt_eval_count"`
	PromptEvalCachedCount int   `json:"prompt_eval_cached_count"`
	PromptEvalDuration    int64 `json:"prompt_eval_duration"`
	EvalCount             int   `json:"eval_count"`
	EvalDuration          int64 `json:"eval_duration"`
}

func (g *generation) statistics(u engine.Usage) *statistics {
	return &statistics{
		TotalDuration:         g.server.now().Sub(g.x.begin).Nanoseconds(),
		LoadDuration:          g.loading.Nanoseconds(),
		PromptEvalCount:       u.PromptTokens,
		PromptEvalCachedCount: u.CachedTokens,
		PromptEvalDuration:    u.Prefill.Nanoseconds(),
		EvalCount:             u.CompletionTokens,
		EvalDuration:          u.Decode.Nanoseconds(),
	}
}

// generate serves POST /api/generate.
func (s *server) generate(c *fiber.Ctx) error {
	req := generateRequest{stream: true}
	if err := decodeBody(s, c, generateFields, &req); err != nil {
		return err
	}
	if req.raw && (req.system != "" || len(req.context) > 0) {
		return invalid("raw", "raw mode does not support template, system, or context")
	}
	if req.model == "" {
		return s.modelNotFound("")
	}
	if err := req.options.report.check(); err != nil {
		return err
	}
	exchangeOf(c).keepAlive = req.keepAlive
	if req.prompt == "" {
		return s.loadOnly(c, req.model, func(g *generation, reason string) any {
			return (&generateFrames{g: g}).last(reason, "", nil, engine.Usage{})
		})
	}
	return ollamaParam(s.answer(c, work{model: req.model, stream: req.stream, lines: true, order: func(g *generation) (order, form, error) {
		prompt, gone, err := g.generatePrompt(&req)
		if err != nil {
			return order{}, nil, err
		}
		if err := g.constrainAnswer(&toolbox{}, &req.options.sampling); err != nil {
			return order{}, nil, err
		}
		g.reportWindow(c, &req.options)
		return order{
			logprobs: req.options.report.order(), prompts: [][]int32{prompt}, sampling: &req.options.sampling, defaults: ollamaDefaults, limits: req.options.limits(),
		}, &generateFrames{g: g, held: heldLogprobs{}, calls: g.reader(&toolbox{}, &req.think, "", ""), raw: req.raw, cut: gone}, nil
	}}))
}

// loadOnly answers a request that has no prompt: the model is loaded, and no more; or, where it shall not stay, unloaded.
func (s *server) loadOnly(c *fiber.Ctx, model string, answer func(g *generation, reason string) any) error {
	x := exchangeOf(c)
	if x.keepAlive != nil && *x.keepAlive == 0 {
		gone, err := s.Pool.Unload(s.resolve(model), s.user(x))
		switch {
		case errors.Is(err, pool.ErrNotFound):
			return s.modelNotFound(model)
		case err != nil:
			return err
		case gone:
			return sendJSON(c, ollamaJSON, answer(&generation{server: s, x: x, name: model}, "unload"))
		}
	}
	g, err := s.begin(c, model)
	if err != nil {
		return err
	}
	defer g.done()
	return sendJSON(c, ollamaJSON, answer(g, "load"))
}

// generatePrompt makes the prompt's ids: the text as it is, or the turn of a chat, after a context if there is one.
func (g *generation) generatePrompt(req *generateRequest) (prompt []int32, gone cut, err error) {
	var messages []template.Message
	if req.system != "" {
		messages = append(messages, template.Message{Role: "system", Content: req.system})
	}
	messages = append(messages, template.Message{Role: "user", Content: req.prompt})
	if err := g.canThink(&req.think); err != nil {
		return nil, cut{}, err
	}
	switch {
	case req.raw || g.Template == nil && len(messages) == 1 && len(req.context) == 0:
		prompt = g.rawPrompt(req.prompt)
		if req.think.on { // no template is told; but the thoughts come apart
			g.place = thinking.Begun(req.prompt)
		}
	case len(req.context) > 0:
		prompt, err = g.nextTurn(req.context, conversation{messages: messages, think: req.think})
	case req.truncate:
		return g.fit(conversation{messages: messages, think: req.think}, req.options.limits())
	default:
		prompt, err = g.chatPrompt(conversation{messages: messages, think: req.think})
	}
	if room := g.room(req.options.limits()); err == nil && req.truncate && len(prompt) > room {
		gone = cut{true, len(prompt) - room}
		prompt = prompt[gone.TruncatedTokens:]
	}
	return prompt, gone, err
}

// reportWindow tells a client that set num_ctx how many tokens its request may really have: never more than the server serves.
func (g *generation) reportWindow(c *fiber.Ctx, o *ollamaOptions) {
	window := g.Engine.Info().MaxLen
	if o.numCtx == nil {
		return
	}
	if n := o.limits().window; n > 0 {
		window = min(window, n)
	}
	c.Set("X-Context-Length", strconv.Itoa(window))
}

// ollamaParam names a sampling parameter's place in Ollama's requests.
func ollamaParam(err error) error {
	if err == nil {
		return nil
	}
	e := explain(err)
	if _, ok := optionFields.at[e.param]; ok && e.kind == kindInvalid {
		e.param, e.message = "options."+e.param, "options."+e.message
	}
	return e
}

// generateFrames writes the answers of /api/generate.
type generateFrames struct {
	g      *generation
	calls  *callReader // of thoughts and text alone
	raw    bool
	cut    cut
	tokens []int32 // sampled so far
	held   heldLogprobs
}

func (f *generateFrames) whole(answers []answer, u engine.Usage) any {
	f.held.add(0, answers[0].logprobs)
	thoughts, text, _ := f.calls.read(0, answers[0])
	a := f.last(string(answers[0].finish), text, answers[0].tokens, u)
	a.Thinking = thoughts
	return a
}

func (f *generateFrames) event(w *frameWriter, _ int, ev engine.Event) {
	f.tokens = append(f.tokens, ev.Tokens...)
	f.held.add(0, ev.Logprobs)
	for _, p := range f.calls.pieces(0, ev) {
		line := generateAnswer{Model: f.g.name, CreatedAt: f.g.createdAt(), Logprobs: spelling{f.g.Loaded}.tokens(f.held.take(0))}
		if p.Kind == toolcall.Thought {
			line.Thinking = p.Text
		} else {
			line.Response = p.Text
		}
		w.line(line)
	}
	if ev.Finish != "" {
		w.line(f.last(string(ev.Finish), "", f.tokens, ev.Usage))
	}
}

func (f *generateFrames) end(*frameWriter, engine.Usage) {}

func (f *generateFrames) fail(w *frameWriter, err *apiError) { w.line(err.ollamaBody()) }

// last is the answer's last line, or all of it. Its context is what a further turn needs; a raw prompt has no turns.
func (f *generateFrames) last(reason, text string, tokens []int32, u engine.Usage) generateAnswer {
	a := generateAnswer{
		Model: f.g.name, CreatedAt: f.g.createdAt(), Response: text,
		Done: true, DoneReason: reason, statistics: f.g.statistics(u), Logprobs: spelling{f.g.Loaded}.tokens(f.held.take(0)),
	}
	a.cut = f.cut
	if !f.raw && tokens != nil {
		a.Context = append(slices.Clip(f.g.prompts[0]), f.g.withoutEnd(tokens)...)
	}
	return a
}

// createdAt is the time of a line.
func (g *generation) createdAt() time.Time { return g.server.now().UTC() }
