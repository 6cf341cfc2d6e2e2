package routes

import (
	"encoding/json"
	"time"

	"github.com/gofiber/fiber/v2"

	"ortserve/engine"
	"ortserve/template/toolcall"
)

// chatAnswer is a line of /api/chat's stream, and the answer that is not streamed.
type chatAnswer struct {
	Model      string         `json:"model"`
	CreatedAt  time.Time      `json:"created_at"`
	Message    ollamaMessage  `json:"message"`
	Done       bool           `json:"done"`
	DoneReason string         `json:"done_reason,omitempty"`
	Logprobs   []tokenLogprob `json:"logprobs,omitempty"`
	cut
	*statistics
}

// ollamaMessage is the message of an answer.
type ollamaMessage struct {
	Role      string       `json:"role"`
	Content   string       `json:"content"`
	Thinking  string       `json:"thinking,omitempty"`
	ToolCalls []ollamaCall `json:"tool_calls,omitempty"`
}

// ollamaCall is a call of a tool.
type ollamaCall struct {
	ID       string         `json:"id"`
	Function ollamaFunction `json:"function"`
}

type ollamaFunction struct {
	Index     int    `json:"index"`
	Name      string `json:"name"`
	Arguments any    `json:"arguments"`
}

// chat serves POST /api/chat.
func (s *server) chat(c *fiber.Ctx) error {
	req := ollamaChatRequest{stream: true}
	if err := decodeBody(s, c, ollamaChatFields, &req); err != nil {
		return err
	}
	if req.model == "" {
		return invalid("model", "model is required")
	}
	exchangeOf(c).keepAlive = req.keepAlive
	if len(req.conversation.messages) == 0 {
		return s.loadOnly(c, req.model, func(g *generation, reason string) any {
			return (&chatLines{g: g}).last(reason, "", engine.Usage{})
		})
	}
	if err := req.conversation.tools.check(); err != nil {
		return err
	}
	if err := req.options.report.check(); err != nil {
		return err
	}
	return ollamaParam(s.answer(c, work{model: req.model, stream: req.stream, lines: true, order: func(g *generation) (order, form, error) {
		prompt, gone, err := g.ollamaPrompt(&req)
		if err != nil {
			return order{}, nil, err
		}
		if err := g.constrainAnswer(&req.conversation.tools, &req.options.sampling); err != nil {
			return order{}, nil, err
		}
		g.reportWindow(c, &req.options)
		id, err := s.newID()
		return order{
			logprobs: req.options.report.order(), prompts: [][]int32{prompt}, sampling: &req.options.sampling, defaults: ollamaDefaults, limits: req.options.limits(),
		}, &chatLines{g: g, held: heldLogprobs{}, calls: g.reader(&req.conversation.tools, &req.conversation.think, "call_", id), cut: gone}, err
	}}))
}

// ollamaPrompt makes a conversation's prompt, cut where the request wants that.
func (g *generation) ollamaPrompt(req *ollamaChatRequest) (prompt []int32, gone cut, err error) {
	if req.truncate {
		return g.fit(req.conversation, req.options.limits())
	}
	prompt, err = g.chatPrompt(req.conversation)
	return prompt, cut{}, err
}

// chatLines writes the answers of /api/chat.
type chatLines struct {
	g     *generation
	calls *callReader
	held  heldLogprobs
	call  toolCall // of a stream, as far as it has come
	cut   cut
}

func (f *chatLines) whole(answers []answer, u engine.Usage) any {
	thoughts, text, calls := f.calls.read(0, answers[0])
	f.held.add(0, answers[0].logprobs)
	a := f.last(string(answers[0].finish), text, u)
	a.Message.Thinking = thoughts
	for i, c := range calls {
		if c.whole { // arguments are an object here, which cannot be cut
			a.Message.ToolCalls = append(a.Message.ToolCalls, ollamaCallOf(i, c))
		}
	}
	return a
}

func ollamaCallOf(i int, c toolCall) ollamaCall {
	return ollamaCall{ID: c.id, Function: ollamaFunction{Index: i, Name: c.name, Arguments: json.RawMessage(c.arguments)}}
}

func (f *chatLines) event(w *frameWriter, _ int, ev engine.Event) {
	f.held.add(0, ev.Logprobs)
	for _, p := range f.calls.pieces(0, ev) {
		switch p.Kind {
		case toolcall.Thought:
			f.line(w, ollamaMessage{Role: "assistant", Thinking: p.Text})
		case toolcall.Text:
			f.line(w, ollamaMessage{Role: "assistant", Content: p.Text})
		case toolcall.Begin:
			f.call = toolCall{id: f.calls.callID(0, p.Call), name: p.Text}
		case toolcall.Arguments:
			f.call.arguments += p.Text
		case toolcall.End:
			f.line(w, ollamaMessage{Role: "assistant", ToolCalls: []ollamaCall{ollamaCallOf(p.Call, f.call)}})
		}
	}
	if ev.Finish != "" {
		w.line(f.last(string(ev.Finish), "", ev.Usage))
	}
}

func (f *chatLines) line(w *frameWriter, m ollamaMessage) {
	w.line(chatAnswer{Model: f.g.name, CreatedAt: f.g.createdAt(), Message: m, Logprobs: spelling{f.g.Loaded}.tokens(f.held.take(0))})
}

func (f *chatLines) end(*frameWriter, engine.Usage) {}

func (f *chatLines) fail(w *frameWriter, err *apiError) { w.line(err.ollamaBody()) }

// last is the answer's last line, or all of it.
func (f *chatLines) last(reason, text string, u engine.Usage) chatAnswer {
	return chatAnswer{
		Model: f.g.name, CreatedAt: f.g.createdAt(), Message: ollamaMessage{Role: "assistant", Content: text},
		Done: true, DoneReason: reason, cut: f.cut, statistics: f.g.statistics(u), Logprobs: spelling{f.g.Loaded}.tokens(f.held.take(0)),
	}
}
