package routes

import (
	"math"
	"strconv"

	"github.com/gofiber/fiber/v2"

	"ortserve/engine"
	"ortserve/sample"
)

// completionRequest is the body of POST /v1/completions.
type completionRequest struct {
	openaiRequest
	prompts   []rawText
	echo      bool
	maxTokens *int64
}

// rawText is a prompt that no template is applied to: text, or token ids.
type rawText struct {
	text   string
	tokens []int32 // nil where it is text
}

// The bounds of a completion.
const (
	maxPrompts          = 128 // prompts of one request
	defaultCompletion   = 16  // tokens of an answer where the request says nothing: OpenAI's
	completionIDPrefix  = "cmpl-"
	textCompletionsName = "text_completion"
)

// completionFields are the fields of a completion.
var completionFields = newTable(
	[]field[completionRequest]{
		{name: "prompt", schema: promptSchema, read: func(_ *decoder, at string, v value, r *completionRequest) (err error) {
			r.prompts, err = readPrompts(at, v)
			return err
		}},
		boolField("echo", func(r *completionRequest) *bool { return &r.echo }),
		{name: "max_tokens", schema: integerSchema(-1, math.MaxInt32), read: func(d *decoder, at string, v value, r *completionRequest) error {
			n, err := integer(at, v, -1, math.MaxInt32)
			r.maxTokens = &n
			return err
		}},
		countedField("logprobs", func(r *completionRequest) *reporting { return &r.report }),
		refusedField[completionRequest]("suffix", "this model does not support insert"),
		onlyField[completionRequest]("add_special_tokens", "the model's first token is always put before a text", isTrue),
	},
	openaiFields(func(r *completionRequest) *openaiRequest { return &r.openaiRequest }),
	refusedFields[completionRequest]("prompt_embeds", "truncate_prompt_tokens"),
)

// readPrompts reads a text, token ids, or a list of either.
func readPrompts(at string, v value) ([]rawText, error) {
	switch {
	case v.kind == kindText:
		return []rawText{{text: v.text}}, nil
	case v.kind != kindList:
		return nil, wrongType(at, "a string, a list of strings or token ids", v)
	case len(v.list) == 0:
		return nil, nil
	case v.list[0].kind == kindNumber:
		tokens, err := readTokens(at, v)
		return []rawText{{tokens: tokens}}, err
	case len(v.list) > maxPrompts:
		return nil, invalid(at, "%s holds %d prompts, at most %d are allowed", at, len(v.list), maxPrompts)
	}
	prompts := make([]rawText, 0, len(v.list))
	for i, of := range v.list {
		at := at + "[" + strconv.Itoa(i) + "]"
		switch of.kind {
		case kindText:
			prompts = append(prompts, rawText{text: of.text})
		case kindList:
			tokens, err := readTokens(at, of)
			if err != nil {
				return nil, err
			}
			prompts = append(prompts, rawText{tokens: tokens})
		default:
			return nil, wrongType(at, "a string or a list of token ids", of)
		}
	}
	return prompts, nil
}

// encode returns the ids of a raw prompt. Ids are taken as they are.
func (g *generation) encode(p rawText) []int32 {
	if p.tokens != nil {
		return p.tokens
	}
	return g.rawPrompt(p.text)
}

// shown returns the text of a prompt, which echo repeats.
func (g *generation) shown(p rawText) string {
	if p.tokens != nil {
		return g.Tokenizer.Decode(p.tokens, true)
	}
	return p.text
}

// completion is the answer, and with other choices an event of a stream.
type completion struct {
	ID                string             `json:"id"`
	Object            string             `json:"object"`
	Created           int64              `json:"created"`
	Model             string             `json:"model"`
	SystemFingerprint string             `json:"system_fingerprint"`
	Choices           []completionChoice `json:"choices"`
	Usage             *openaiUsage       `json:"usage,omitempty"`
	Progress          *promptProgress    `json:"prompt_progress,omitempty"`
}

type completionChoice struct {
	Index        int                 `json:"index"`
	Text         string              `json:"text"`
	Logprobs     *completionLogprobs `json:"logprobs"`
	FinishReason *string             `json:"finish_reason"`

	PromptLogprobs []any `json:"prompt_logprobs,omitempty"`
}

// completions serves POST /v1/completions.
func (s *server) completions(c *fiber.Ctx) error {
	var req completionRequest
	if err := decodeBody(s, c, completionFields, &req); err != nil {
		return err
	}
	if len(req.prompts) == 0 {
		return invalid("prompt", "prompt is missing; it is a string, token ids, or a list of either")
	}
	if err := req.check(); err != nil {
		return err
	}
	none := req.maxTokens != nil && *req.maxTokens == 0
	switch {
	case none && !req.echo:
		return invalid("max_tokens", "max_tokens is 0, must be at least 1 without echo, or -1 for as many tokens as the window holds")
	case req.echo && req.report.on && req.n > 1:
		return notSupported("n", "n is %d, which is not supported together with echo and logprobs", req.n)
	}
	return s.answer(c, work{model: req.model, salt: req.cacheSalt, stream: req.stream, order: func(g *generation) (order, form, error) {
		o := order{logprobs: req.report.order(), noAnswer: none, n: req.n, sampling: &req.sampling, defaults: openaiDefaults, limits: limits{maxTokens: defaultCompletion}, fresh: req.fresh, progress: req.progress && req.stream, priority: req.rank()}
		if req.maxTokens != nil {
			o.limits.maxTokens = int(max(*req.maxTokens, 0))
		}
		echo := make([]string, len(req.prompts))
		for i, p := range req.prompts {
			o.prompts = append(o.prompts, g.encode(p))
			if req.echo {
				echo[i] = g.shown(p)
			}
		}
		prompt := req.prompt.order()
		echoed := o.logprobs
		if !req.echo {
			echoed = nil
		}
		o.scores = scores(len(o.prompts), prompt, echoed)
		id, err := req.id(s)
		return o, &completionFrames{spelling: spelling{g.Loaded}, g: g, report: o.logprobs, prompt: prompt, echoed: echoed != nil, held: heldLogprobs{}, offsets: map[int]*textOffset{}, usage: req.includeUsage, running: req.newRunningUsage(g), echo: echo, each: max(req.n, 1), begun: map[int]bool{}, head: completion{
			ID: completionIDPrefix + id, Object: textCompletionsName, Created: s.now().Unix(), Model: g.name, SystemFingerprint: g.Fingerprint,
		}}, err
	}})
}

// completionFrames writes a completion.
type completionFrames struct {
	spelling
	g       *generation
	report  *engine.Logprobs // nil where they are not wanted
	prompt  *engine.Logprobs // likewise, of the prompt
	echoed  bool             // log-probabilities of the prompt come before those of the answer
	held    heldLogprobs
	offsets map[int]*textOffset

	head    completion // what all events have in common
	usage   bool       // an event with the usage is wanted
	running runningUsage
	echo    []string     // of each prompt, what comes before its answers
	each    int          // answers to a prompt
	begun   map[int]bool // the answers whose echo has been sent
}

func (f *completionFrames) whole(answers []answer, u engine.Usage) any {
	head, usage := f.head, usageOf(u)
	for i, a := range answers {
		reason := string(a.finish)
		c := completionChoice{Index: i, Text: f.echo[i/f.each] + a.text, FinishReason: &reason}
		if f.report != nil {
			f.hold(i, a.prompt, a.logprobs)
			c.Logprobs = f.older(f.held.take(i), f.report.Top, new(textOffset))
		}
		if f.prompt != nil {
			c.PromptLogprobs = f.spelling.prompt(a.prompt, f.prompt.Top)
		}
		head.Choices = append(head.Choices, c)
	}
	head.Usage = &usage
	return head
}

// hold keeps what came of the log-probabilities of an answer: of the prompt, where it is echoed, before the first of the answer.
func (f *completionFrames) hold(choice int, prompt, answer []sample.Logprobs) {
	if f.echoed && len(f.held[choice]) == 0 && !f.begun[choice] {
		prompt = ofPrompt(f.g.prompts[choice/f.each], prompt)
	}
	if f.echoed {
		f.held.add(choice, prompt)
	}
	f.held.add(choice, answer)
}

func (f *completionFrames) event(w *frameWriter, choice int, ev engine.Event) {
	if f.report != nil {
		f.hold(choice, ev.Prompt, ev.Logprobs)
	}
	f.running.add(choice, ev)
	if p := progressOf(ev); p != nil {
		chunk := f.head
		chunk.Choices, chunk.Progress = []completionChoice{{Index: choice}}, p
		w.sse(chunk)
	}
	if len(ev.Tokens) == 0 && ev.Finish == "" {
		return // of the prompt
	}
	text := ev.Text
	if !f.begun[choice] {
		f.begun[choice] = true
		text = f.echo[choice/f.each] + text
	}
	if text != "" {
		f.send(w, completionChoice{Index: choice, Text: text, Logprobs: f.logprobs(choice)})
	}
	if ev.Finish != "" {
		reason := string(ev.Finish)
		f.send(w, completionChoice{Index: choice, Logprobs: f.logprobs(choice), FinishReason: &reason})
	}
}

// logprobs returns those that a chunk of an answer takes along; nil where there are none.
func (f *completionFrames) logprobs(choice int) *completionLogprobs {
	if len(f.held[choice]) == 0 {
		return nil
	}
	if f.offsets[choice] == nil {
		f.offsets[choice] = new(textOffset)
	}
	return f.older(f.held.take(choice), f.report.Top, f.offsets[choice])
}

func (f *completionFrames) send(w *frameWriter, choice completionChoice) {
	chunk := f.head
	chunk.Choices, chunk.Usage = []completionChoice{choice}, f.running.of(choice.Index)
	w.sse(chunk)
}

func (f *completionFrames) end(w *frameWriter, u engine.Usage) {
	if f.usage {
		last := f.head
		usage := usageOf(u)
		last.Choices, last.Usage = []completionChoice{}, &usage
		w.sse(last)
	}
	w.sseText("[DONE]")
}

func (f *completionFrames) fail(w *frameWriter, err *apiError) {
	w.sse(err.openaiBody())
	w.sseText("[DONE]")
}

// inputTokens is the answer of routes that count a prompt without running it.
type inputTokens struct {
	InputTokens int `json:"input_tokens"`
}

// chatInputTokens serves POST /v1/chat/completions/input_tokens: how many tokens the prompt of a chat completion has.
func (s *server) chatInputTokens(c *fiber.Ctx) error {
	var req chatRequest
	if err := decodeBody(s, c, chatFields, &req); err != nil {
		return err
	}
	return s.countChat(c, req.model, req.conversation)
}

// countChat answers with how many tokens a conversation has.
func (s *server) countChat(c *fiber.Ctx, model string, conv conversation) error {
	if len(conv.messages) == 0 {
		return invalid("messages", "messages is empty; it needs at least one message")
	}
	g, err := s.begin(c, model)
	if err != nil {
		return err
	}
	defer g.done()
	prompt, err := g.chatPrompt(conv)
	if err != nil {
		return err
	}
	return sendJSON(c, openaiJSON, inputTokens{len(prompt)})
}
