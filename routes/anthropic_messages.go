package routes

import (
	"encoding/json"
	"strings"

	"github.com/gofiber/fiber/v2"

	"ortserve/engine"
	"ortserve/template/thinking"
	"ortserve/template/toolcall"
)

// anthropicMessage is the answer of POST /v1/messages.
type anthropicMessage struct {
	ID           string           `json:"id"`
	Type         string           `json:"type"`
	Role         string           `json:"role"`
	Model        string           `json:"model"`
	Content      []anthropicBlock `json:"content"`
	StopReason   *string          `json:"stop_reason"`
	StopSequence *string          `json:"stop_sequence"`
	Usage        anthropicUsage   `json:"usage"`
}

// anthropicBlock is a block of content, or what a stream adds to one: thoughts, text, or a call of a tool.
type anthropicBlock struct {
	Type        string  `json:"type"`
	Text        *string `json:"text,omitempty"`
	Thinking    *string `json:"thinking,omitempty"`
	Signature   *string `json:"signature,omitempty"` // of thoughts: there is none, and clients need the field
	ID          string  `json:"id,omitempty"`
	Name        string  `json:"name,omitempty"`
	Input       any     `json:"input,omitempty"` // of a call: an object
	PartialJSON *string `json:"partial_json,omitempty"`
}

func textBlock(text string) anthropicBlock { return anthropicBlock{Type: "text", Text: &text} }

func thoughtBlock(text string) anthropicBlock {
	return anthropicBlock{Type: "thinking", Thinking: &text, Signature: new(string)}
}

func callBlock(c toolCall) anthropicBlock {
	return anthropicBlock{Type: "tool_use", ID: c.id, Name: c.name, Input: json.RawMessage(c.arguments)}
}

// anthropicUsage counts prompt tokens that were cached apart from the others.
type anthropicUsage struct {
	InputTokens              int `json:"input_tokens"`
	CacheCreationInputTokens int `json:"cache_creation_input_tokens"`
	CacheReadInputTokens     int `json:"cache_read_input_tokens"`
	OutputTokens             int `json:"output_tokens"`
}

func anthropicUsageOf(u engine.Usage) anthropicUsage {
	return anthropicUsage{InputTokens: u.PromptTokens - u.CachedTokens, CacheReadInputTokens: u.CachedTokens, OutputTokens: u.CompletionTokens}
}

// The events of a stream.
type (
	messageStart struct {
		Type    string           `json:"type"`
		Message anthropicMessage `json:"message"`
	}
	blockStart struct {
		Type  string         `json:"type"`
		Index int            `json:"index"`
		Block anthropicBlock `json:"content_block"`
	}
	blockDelta struct {
		Type  string         `json:"type"`
		Index int            `json:"index"`
		Delta anthropicBlock `json:"delta"`
	}
	blockStop struct {
		Type  string `json:"type"`
		Index int    `json:"index"`
	}
	messageDelta struct {
		Type  string          `json:"type"`
		Delta anthropicStop   `json:"delta"`
		Usage *anthropicUsage `json:"usage"`
	}
	messageStop struct {
		Type string `json:"type"`
	}
	anthropicStop struct {
		StopReason   *string `json:"stop_reason"`
		StopSequence *string `json:"stop_sequence"`
	}
)

// anthropicError is the body of an error on Anthropic's routes, and the event of one inside a stream.
type anthropicError struct {
	Type      string             `json:"type"`
	Error     anthropicErrorBody `json:"error"`
	RequestID string             `json:"request_id,omitempty"`
}

type anthropicErrorBody struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

// anthropicBody returns e in Anthropic's shape. Its types are OpenAI's but for these.
func (e *apiError) anthropicBody(requestID string) anthropicError {
	typ := errorTable[e.kind].typ
	switch e.kind {
	case kindInternal, kindTimeout, kindClientGone:
		typ = "api_error"
	case kindContextLength:
		typ = "invalid_request_error"
	case kindOverloaded, kindClosing:
		typ = "overloaded_error"
	case kindTooLarge:
		typ = "request_too_large"
	}
	return anthropicError{Type: "error", Error: anthropicErrorBody{Type: typ, Message: e.message}, RequestID: requestID}
}

// isAnthropic says whether errors of that path are told in Anthropic's shape.
func isAnthropic(path string) bool {
	return path == "/v1/messages" || strings.HasPrefix(path, "/v1/messages/")
}

// messages serves POST /v1/messages.
func (s *server) messages(c *fiber.Ctx) error {
	var req messagesRequest
	if err := decodeBody(s, c, messagesFields, &req); err != nil {
		return err
	}
	if req.maxTokens == nil {
		return invalid("max_tokens", "max_tokens: Field required")
	}
	conv, err := req.talk()
	if err != nil {
		return err
	}
	return s.answer(c, work{model: req.model, stream: req.stream, order: func(g *generation) (order, form, error) {
		prompt, err := g.chatPrompt(conv)
		if err != nil {
			return order{}, nil, err
		}
		if err := g.constrainAnswer(&conv.tools, &req.sampling); err != nil {
			return order{}, nil, err
		}
		id, err := s.newID()
		f := &messageFrames{g: g, calls: g.reader(&conv.tools, &conv.think, "toolu_", id), stops: req.sampling.stop, message: anthropicMessage{
			ID: "msg_" + id, Type: "message", Role: "assistant", Model: g.name, Content: []anthropicBlock{},
		}}
		return order{
			prompts: [][]int32{prompt}, sampling: &req.sampling, defaults: openaiDefaults, limits: limits{maxTokens: int(*req.maxTokens)},
		}, f, err
	}})
}

// countTokens serves POST /v1/messages/count_tokens.
func (s *server) countTokens(c *fiber.Ctx) error {
	var req messagesRequest
	if err := decodeBody(s, c, messagesFields, &req); err != nil {
		return err
	}
	conv, err := req.talk()
	if err != nil {
		return err
	}
	return s.countChat(c, req.model, conv)
}

// stopReason says why an answer ended, and which stop sequence ended it.
func (f *messageFrames) stopReason(a answer) (reason, sequence *string) {
	text := func(s string) *string { return &s }
	switch {
	case a.finish == engine.FinishLength:
		return text("max_tokens"), nil
	case f.calls.finish(0, a.finish) == "tool_calls":
		return text("tool_use"), nil
	}
	if stop, ok := f.g.stoppedBy(a, f.stops); ok {
		return text("stop_sequence"), &stop
	}
	return text("end_turn"), nil
}

// stoppedBy returns the stop string that ended an answer: the one that its tokens have where its text ends.
func (g *generation) stoppedBy(a answer, stops []string) (string, bool) {
	if a.finish != engine.FinishStop || len(g.withoutEnd(a.tokens)) < len(a.tokens) {
		return "", false
	}
	rest, _ := strings.CutPrefix(g.Tokenizer.Decode(a.tokens, true), a.text)
	for _, s := range stops {
		if strings.HasPrefix(rest, s) {
			return s, true
		}
	}
	return "", false
}

// messageFrames writes a message.
type messageFrames struct {
	g       *generation
	calls   *callReader
	stops   []string
	message anthropicMessage
	begun   bool
	blocks  int    // begun so far
	last    string // the type of the last of them
	answer  answer
	said    strings.Builder
}

func (f *messageFrames) whole(answers []answer, u engine.Usage) any {
	m := f.message
	thoughts, text, calls := f.calls.read(0, answers[0])
	if thoughts != "" {
		m.Content = append(m.Content, thoughtBlock(thoughts))
	}
	if text != "" || len(calls) == 0 {
		m.Content = append(m.Content, textBlock(text))
	}
	for _, c := range calls {
		if c.whole { // input is an object, which cannot be cut
			m.Content = append(m.Content, callBlock(c))
		}
	}
	m.StopReason, m.StopSequence = f.stopReason(answers[0])
	m.Usage = anthropicUsageOf(u)
	return m
}

func (f *messageFrames) event(w *frameWriter, _ int, ev engine.Event) {
	if !f.begun {
		f.begun = true
		f.message.Usage.InputTokens = len(f.g.prompts[0]) // what of it was cached is known at the end
		w.named("message_start", messageStart{"message_start", f.message})
		if len(f.calls.names) == 0 && f.calls.place == thinking.Answer { // it will be text
			f.open(w, textBlock(""))
		}
	}
	f.answer.tokens = append(f.answer.tokens, ev.Tokens...)
	f.said.WriteString(ev.Text)
	for _, p := range f.calls.pieces(0, ev) {
		switch p.Kind {
		case toolcall.Thought:
			if f.last != "thinking" {
				f.open(w, thoughtBlock(""))
			}
			f.delta(w, anthropicBlock{Type: "thinking_delta", Thinking: &p.Text})
		case toolcall.Text:
			if f.last != "text" {
				f.open(w, textBlock(""))
			}
			f.delta(w, anthropicBlock{Type: "text_delta", Text: &p.Text})
		case toolcall.Begin:
			f.open(w, callBlock(toolCall{id: f.calls.callID(0, p.Call), name: p.Text, arguments: "{}"}))
		case toolcall.Arguments:
			f.delta(w, anthropicBlock{Type: "input_json_delta", PartialJSON: &p.Text})
		}
	}
	f.answer.finish = ev.Finish
}

// open begins a block, and ends the one before.
func (f *messageFrames) open(w *frameWriter, b anthropicBlock) {
	f.shut(w)
	w.named("content_block_start", blockStart{"content_block_start", f.blocks, b})
	f.blocks++
	f.last = b.Type
}

// shut ends the last block.
func (f *messageFrames) shut(w *frameWriter) {
	if f.blocks > 0 {
		w.named("content_block_stop", blockStop{"content_block_stop", f.blocks - 1})
	}
}

func (f *messageFrames) delta(w *frameWriter, b anthropicBlock) {
	w.named("content_block_delta", blockDelta{"content_block_delta", f.blocks - 1, b})
}

func (f *messageFrames) end(w *frameWriter, u engine.Usage) {
	f.answer.text = f.said.String()
	var stop anthropicStop
	stop.StopReason, stop.StopSequence = f.stopReason(f.answer)
	usage := anthropicUsageOf(u)
	if f.blocks == 0 || f.last == "thinking" {
		f.open(w, textBlock(""))
	}
	f.shut(w)
	w.named("message_delta", messageDelta{"message_delta", stop, &usage})
	w.named("message_stop", messageStop{"message_stop"})
}

func (f *messageFrames) fail(w *frameWriter, err *apiError) {
	w.named("error", err.anthropicBody(f.g.x.id))
}
