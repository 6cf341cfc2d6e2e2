package routes

import (
	"time"

	"github.com/gofiber/fiber/v2"

	"ortserve/engine"
)

// chatAnswer is a line of /api/chat's stream, and the answer that is not streamed.
type chatAnswer struct {
	Model      string        `json:"model"`
	CreatedAt  time.Time     `json:"created_at"`
	Message    ollamaMessage `json:"message"`
	Done       bool          `json:"done"`
	DoneReason string        `json:"done_reason,omitempty"`
	cut
	*statistics
}

// ollamaMessage is the message of an answer.
type ollamaMessage struct {
	Role    string `json:"role"`
	Content string `json:"content"`
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
	if len(req.conversation.messages) == 0 {
		return s.loadOnly(c, req.model, func(g *generation) any { return (&chatLines{g: g}).last(loadReason(req.keepAlive), "", engine.Usage{}) })
	}
	return ollamaParam(s.answer(c, work{model: req.model, stream: req.stream, lines: true, order: func(g *generation) (order, form, error) {
		prompt, gone, err := g.ollamaPrompt(&req)
		g.reportWindow(c, &req.options)
		return order{
			prompts: [][]int32{prompt}, sampling: &req.options.sampling, defaults: ollamaDefaults, limits: req.options.limits(),
		}, &chatLines{g: g, cut: gone}, err
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
	g   *generation
	cut cut
}

func (f *chatLines) whole(answers []answer, u engine.Usage) any {
	return f.last(string(answers[0].finish), answers[0].text, u)
}

func (f *chatLines) event(w *frameWriter, _ int, ev engine.Event) {
	if ev.Text != "" {
		w.line(chatAnswer{
			Model: f.g.name, CreatedAt: f.g.createdAt(),
			Message: ollamaMessage{Role: "assistant", Content: ev.Text},
		})
	}
	if ev.Finish != "" {
		w.line(f.last(string(ev.Finish), "", ev.Usage))
	}
}

func (f *chatLines) end(*frameWriter, engine.Usage) {}

func (f *chatLines) fail(w *frameWriter, err *apiError) { w.line(err.ollamaBody()) }

// last is the answer's last line, or all of it.
func (f *chatLines) last(reason, text string, u engine.Usage) chatAnswer {
	return chatAnswer{
		Model: f.g.name, CreatedAt: f.g.createdAt(), Message: ollamaMessage{Role: "assistant", Content: text},
		Done: true, DoneReason: reason, cut: f.cut, statistics: f.g.statistics(u),
	}
}
