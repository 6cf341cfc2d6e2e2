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
	g, err := s.begin(c, req.model)
	if err != nil {
		return err
	}
	defer g.done()
	f := &chatLines{g: g}
	if len(req.conversation.messages) == 0 {
		return sendJSON(c, ollamaJSON, f.last(loadReason(req.keepAlive), "", engine.Usage{}))
	}
	var prompt []int32
	if req.truncate {
		prompt, f.cut, err = g.fit(req.conversation, req.options.limits())
	} else {
		prompt, err = g.chatPrompt(req.conversation)
	}
	if err != nil {
		return err
	}
	g.reportWindow(c, &req.options)
	scope, err := s.scopeOf(c, "")
	if err != nil {
		return err
	}
	if err := g.submit(order{
		prompts: [][]int32{prompt}, sampling: &req.options.sampling, defaults: ollamaDefaults, limits: req.options.limits(), scope: scope,
	}); err != nil {
		return ollamaParam(err)
	}
	if req.stream {
		return g.stream(c, jsonLines, f)
	}
	a, err := g.collect()
	if err != nil {
		return err
	}
	return sendJSON(c, ollamaJSON, f.last(string(a[0].finish), a[0].text, g.total))
}

// chatLines streams /api/chat.
type chatLines struct {
	g   *generation
	cut cut
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
