package routes

import (
	"strconv"

	"github.com/gofiber/fiber/v2"

	"ortserve/engine"
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
		tokenLimitField("max_tokens", func(r *completionRequest) **int64 { return &r.maxTokens }),
		refusedField[completionRequest]("suffix", "the models of this server continue a text, they do not insert into one"),
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
}

type completionChoice struct {
	Index        int       `json:"index"`
	Text         string    `json:"text"`
	Logprobs     *struct{} `json:"logprobs"`
	FinishReason *string   `json:"finish_reason"`
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
	return s.answer(c, work{model: req.model, salt: req.cacheSalt, stream: req.stream, order: func(g *generation) (order, form, error) {
		o := order{n: req.n, sampling: &req.sampling, defaults: openaiDefaults, limits: limits{maxTokens: defaultCompletion}}
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
		id, err := s.newID()
		return o, &completionFrames{usage: req.includeUsage, echo: echo, each: max(req.n, 1), begun: map[int]bool{}, head: completion{
			ID: completionIDPrefix + id, Object: textCompletionsName, Created: s.now().Unix(), Model: g.name, SystemFingerprint: g.Fingerprint,
		}}, err
	}})
}

// completionFrames writes a completion.
type completionFrames struct {
	head  completion   // what all events have in common
	usage bool         // an event with the usage is wanted
	echo  []string     // of each prompt, what comes before its answers
	each  int          // answers to a prompt
	begun map[int]bool // the answers whose echo has been sent
}

func (f *completionFrames) whole(answers []answer, u engine.Usage) any {
	head, usage := f.head, usageOf(u)
	for i, a := range answers {
		reason := string(a.finish)
		head.Choices = append(head.Choices, completionChoice{Index: i, Text: f.echo[i/f.each] + a.text, FinishReason: &reason})
	}
	head.Usage = &usage
	return head
}

func (f *completionFrames) event(w *frameWriter, choice int, ev engine.Event) {
	text := ev.Text
	if !f.begun[choice] {
		f.begun[choice] = true
		text = f.echo[choice/f.each] + text
	}
	if text != "" {
		f.send(w, completionChoice{Index: choice, Text: text})
	}
	if ev.Finish != "" {
		reason := string(ev.Finish)
		f.send(w, completionChoice{Index: choice, FinishReason: &reason})
	}
}

func (f *completionFrames) send(w *frameWriter, choice completionChoice) {
	chunk := f.head
	chunk.Choices = []completionChoice{choice}
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
