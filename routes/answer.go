package routes

import (
	"github.com/gofiber/fiber/v2"

	"ortserve/engine"
)

// work is a request that a model answers, as its dialect's handler has read it.
type work struct {
	model  string // as the client calls it
	salt   string // chosen by the client: requests with unlike ones share nothing that was computed
	stream bool
	lines  bool // streamed as lines of JSON, not as server-sent events
	// order says what the engine is asked for, and how its answers are written.
	order func(g *generation) (order, form, error)
}

// form writes answers in one dialect.
type form interface {
	frames
	// whole is the body of the answer that is not streamed. u is what all answers took.
	whole(answers []answer, u engine.Usage) any
}

// answer is the life of a request that a model works for: the model is found, the prompt made and submitted, and what comes of it is
// streamed or sent as a whole.
func (s *server) answer(c *fiber.Ctx, w work) error {
	g, err := s.begin(c, w.model)
	if err != nil {
		return err
	}
	defer g.done()
	o, f, err := w.order(g)
	if err != nil {
		return err
	}
	if o.scope, err = s.scopeOf(c, w.salt); err != nil {
		return err
	}
	if err := g.submit(o); err != nil {
		return err
	}
	whole, streamed := openaiJSON, eventStream
	if w.lines {
		whole, streamed = ollamaJSON, jsonLines
	}
	if w.stream {
		return g.stream(c, streamed, f)
	}
	answers, err := g.collect()
	if err != nil {
		return err
	}
	c.Set("Server-Timing", serverTiming(g.total))
	return sendJSON(c, whole, f.whole(answers, g.total))
}
