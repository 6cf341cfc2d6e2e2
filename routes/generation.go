package routes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"ortserve/engine"
	"ortserve/pool"
	"ortserve/sample"
)

// generation is a request for which a model works: from begin, through submit, to close. One goroutine, the connection's, uses it.
type generation struct {
	*pool.Loaded
	server *server
	x      *exchange
	name   string // the model as the client called it

	ctx     context.Context //nolint:containedctx // the generation is the request
	release []func()        // in the order of calls

	loading time.Duration // spent waiting for the model
	prompt  []int32
	events  *engine.Stream

	streaming bool // close is streamBody's
	closed    bool
}

// begin finds the model and watches the client. After it, every path must reach close.
func (s *server) begin(c *fiber.Ctx, name string) (*generation, error) {
	if err := s.take(exchangeOf(c).key); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	stop := s.watcher.watch(c.Context().Conn(), func() { cancel(errClientGone) })
	ctx, cancelTimeout := context.WithTimeoutCause(ctx, s.RequestTimeout,
		fmt.Errorf("%w: more than %s (--request-timeout)", errTimeout, s.RequestTimeout))
	g := &generation{
		server: s, x: exchangeOf(c), name: name, ctx: ctx,
		release: []func(){stop, cancelTimeout, func() { cancel(context.Canceled) }},
	}
	before := s.now()
	model, release, err := s.Pool.Get(ctx, name)
	if err != nil {
		defer g.close()
		if errors.Is(err, pool.ErrNotFound) {
			return nil, s.modelNotFound(name)
		}
		return nil, causeOf(ctx, err)
	}
	g.Loaded, g.loading = model, s.now().Sub(before)
	g.release = append(g.release, release)
	if g.name == "" {
		g.name = model.Model.Name
	}
	g.x.model = g.name
	return g, nil
}

// modelNotFound says which models there are instead.
func (s *server) modelNotFound(name string) *apiError {
	return &apiError{
		kind: kindModelNotFound, param: "model",
		message: fmt.Sprintf("model '%s' not found; this server has %s", clip(name), strings.Join(s.Pool.Served(), ", ")),
	}
}

// limits are the bounds that a request sets.
type limits struct {
	maxTokens int // 0 is none
	window    int // prompt and answer together; 0 is none
	name      string
}

// submit hands the prompt to the engine. What was computed for other requests is used where they had the same scope.
func (g *generation) submit(prompt []int32, s *sampling, defaults sample.Params, l limits, scope string) error {
	if w := l.window; w > 0 && w < g.Engine.Info().MaxLen {
		room := w - len(prompt)
		if room <= 0 {
			return contextLength(len(prompt), w, fmt.Sprintf("%s; this server allows %d", l.name, g.Engine.Info().MaxLen))
		}
		if l.maxTokens == 0 || l.maxTokens > room {
			l.maxTokens = room
		}
	}
	events, err := g.Engine.Submit(g.ctx, engine.Request{
		Prompt:      prompt,
		MaxTokens:   l.maxTokens,
		Params:      s.params(g.Model.Generation, defaults),
		StopTokens:  g.StopTokens,
		Stop:        s.stop,
		Detokenizer: g.Tokenizer.NewStream(true),
		Group:       g.x.key.Group,
		Scope:       scope,
	})
	if err != nil {
		return causeOf(g.ctx, err)
	}
	g.prompt, g.events = prompt, events
	g.x.usage.PromptTokens = len(prompt)
	g.server.spend(g.x.key, len(prompt))
	return nil
}

// next waits for the next event, until ctx ends. The error is ctx's, or why the generation failed.
func (g *generation) next(ctx context.Context) (engine.Event, error) {
	ev, err := g.events.Next(ctx)
	g.x.usage.CompletionTokens += len(ev.Tokens)
	g.server.spend(g.x.key, len(ev.Tokens))
	switch {
	case err != nil && g.ctx.Err() != nil:
		err = context.Cause(g.ctx)
		g.x.finish = engine.FinishError
	case err != nil:
		return ev, err
	case ev.Finish == engine.FinishError:
		err = causeOf(g.ctx, ev.Err)
		fallthrough
	case ev.Finish != "":
		g.x.finish, g.x.usage = ev.Finish, ev.Usage
	}
	return ev, err
}

// answer is a whole answer.
type answer struct {
	text   string
	tokens []int32
	finish engine.FinishReason
	usage  engine.Usage
}

// collect waits for the whole answer.
func (g *generation) collect() (answer, error) {
	var text strings.Builder
	var a answer
	for {
		ev, err := g.next(g.ctx)
		if err != nil {
			return answer{}, err
		}
		text.WriteString(ev.Text)
		a.tokens = append(a.tokens, ev.Tokens...)
		if ev.Finish != "" {
			a.text, a.finish, a.usage = text.String(), ev.Finish, ev.Usage
			return a, nil
		}
	}
}

// done is close for a handler that returns: it leaves a stream to its reader.
func (g *generation) done() {
	if !g.streaming {
		g.close()
	}
}

// close ends the generation: the sequence, if it still runs, the watching, the use of the model.
func (g *generation) close() {
	if g.closed {
		return
	}
	g.closed = true
	for _, f := range g.release {
		f()
	}
}
