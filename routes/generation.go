package routes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"ortserve/engine"
	"ortserve/grammar"
	"ortserve/pool"
	"ortserve/sample"
	"ortserve/template/thinking"
)

// generation is a request for which a model works: from begin, through submit, to close. One goroutine, the connection's, uses it.
type generation struct {
	*pool.Loaded
	server *server
	x      *exchange
	name   string // the model as the client called it

	ctx     context.Context //nolint:containedctx // the generation is the request
	release []func()        // in the order of calls

	loading   time.Duration // spent waiting for the model
	prompts   [][]int32
	perPrompt int               // answers to each prompt
	events    []*engine.Stream  // the answers to the first prompt, then those to the second, and so on
	merged    chan arrivedEvent // nil where there is one answer
	open      int               // answers that have not ended
	total     engine.Usage      // of those that have
	place     thinking.Place    // where the answers begin

	streaming bool // close is streamBody's
	closed    bool
}

// user says for whom a model is used.
func (s *server) user(x *exchange) pool.User {
	return pool.User{Group: x.key.Group, Admin: x.key.Admin || s.Keys == nil && s.OpenAdmin, KeepAlive: x.keepAlive}
}

// begin finds the model and watches the client. After it, every path must reach close.
func (s *server) begin(c *fiber.Ctx, name string) (*generation, error) {
	if err := s.take(exchangeOf(c).key); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	stop := s.watcher.watch(c.Context().Conn(), func() { cancel(errClientGone) })
	cancelTimeout := func() {}
	if s.RequestTimeout > 0 {
		ctx, cancelTimeout = context.WithTimeoutCause(ctx, s.RequestTimeout,
			fmt.Errorf("%w: more than %s (--request-timeout)", errTimeout, s.RequestTimeout))
	}
	g := &generation{
		server: s, x: exchangeOf(c), name: name, ctx: ctx,
		release: []func(){stop, cancelTimeout, func() { cancel(context.Canceled) }},
	}
	before := s.now()
	model, release, err := s.Pool.Get(ctx, s.resolve(name), s.user(g.x))
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
	g.x.model, g.x.served, g.x.loading = g.name, model.Model.Name, g.loading
	return g, nil
}

// modelNotFound says which models there are instead.
func (s *server) modelNotFound(name string) *apiError {
	return &apiError{
		kind: kindModelNotFound, param: "model",
		message: fmt.Sprintf("model '%s' not found; this server has %s", clip(name), listed(s.Pool.Served())),
	}
}

// listed writes names for an error.
func listed(names []string) string {
	const most = 8
	switch n := len(names); {
	case n == 0:
		return "none"
	case n > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), n-most)
	}
	return strings.Join(names, ", ")
}

// limits are the bounds that a request sets.
type limits struct {
	maxTokens int // 0 is none
	window    int // prompt and answer together; 0 is none
	name      string
}

// order is what a request wants of the engine: n answers to each prompt.
type order struct {
	prompts  [][]int32
	n        int // 0 is 1
	sampling *sampling
	defaults sample.Params
	limits   limits
	logprobs *engine.Logprobs // of the answers' tokens; nil where they are not wanted
	scores   []*engine.Score  // of each prompt's tokens, likewise
	noAnswer bool             // the prompts alone are wanted
	scope    string           // what was computed for other requests is used where they had the same
	fresh    bool             // nothing that is cached is used
	progress bool             // events say how far the prompt is
	priority int              // of the key's requests that wait, lower ones come first
}

// submit hands the prompts to the engine. All answers to one prompt share what is computed of it: the engine reads one prompt at a time,
// so each finds the rows of the one before.
func (g *generation) submit(o order) error {
	g.perPrompt = max(o.n, 1)
	release, err := g.server.hold(g.Engine, g.x.key, g.perPrompt*len(o.prompts))
	if err != nil {
		return err
	}
	g.release = append(g.release, release)
	params, ends, err := g.params(o.sampling, o.defaults)
	if err != nil {
		return err
	}
	stop := o.sampling.stop
	if stop == nil {
		stop = g.Model.Custom.Stop
	}
	for i, prompt := range o.prompts {
		var score *engine.Score
		if o.scores != nil {
			score = o.scores[i]
		}
		l := o.limits
		if w := l.window; w > 0 && w < g.Engine.Info().MaxLen {
			room := w - len(prompt)
			if room <= 0 {
				return contextLength(len(prompt), w, fmt.Sprintf("%s; this server allows %d", l.name, g.Engine.Info().MaxLen))
			}
			if l.maxTokens == 0 || l.maxTokens > room {
				l.maxTokens = room
			}
		}
		for choice := range g.perPrompt {
			p := params
			p.Seed = sample.Stream(params.Seed, choice)
			events, err := g.Engine.Submit(g.ctx, engine.Request{
				Prompt:      prompt,
				MaxTokens:   l.maxTokens,
				Params:      p,
				StopTokens:  ends,
				Constraint:  g.matcher(o.sampling.grammar),
				Logprobs:    o.logprobs,
				Score:       score,
				NoAnswer:    o.noAnswer,
				Stop:        stop,
				Detokenizer: g.Tokenizer.NewStream(true),
				Group:       g.x.key.Group,
				Priority:    o.priority,
				Scope:       o.scope,
				Fresh:       o.fresh,
				Progress:    o.progress && choice == 0,
			})
			if full := new(engine.OverloadedError); errors.As(err, &full) {
				g.server.found(g.x.key, false)
			}
			if err != nil {
				return causeOf(g.ctx, o.sampling.named(err))
			}
			g.events = append(g.events, events)
		}
		g.x.usage.PromptTokens += len(prompt)
		g.server.spend(g.x.key, len(prompt))
	}
	g.server.found(g.x.key, true)
	g.prompts, g.open = o.prompts, len(g.events)
	if len(g.events) > 1 {
		g.merge()
	}
	return nil
}

// matcher returns what follows one answer by f; nil where there is no f.
func (g *generation) matcher(f *grammar.Grammar) *grammar.Matcher {
	if f == nil {
		return nil
	}
	return f.Matcher(g.Vocabulary())
}

// arrivedEvent is an event of one of several answers.
type arrivedEvent struct {
	choice int
	event  engine.Event
	err    error
}

// merge brings the events of all answers to one channel. Its goroutines end with the answers, or with the generation's context.
func (g *generation) merge() {
	g.merged = make(chan arrivedEvent)
	for i, events := range g.events {
		go func() {
			send := func(a arrivedEvent) {
				select {
				case g.merged <- a:
				case <-g.ctx.Done():
				}
			}
			defer func() {
				if r := recover(); r != nil {
					send(arrivedEvent{choice: i, err: fmt.Errorf("panic: %v", r)})
				}
			}()
			for {
				ev, err := events.Next(g.ctx)
				send(arrivedEvent{i, ev, err})
				if err != nil || ev.Finish != "" {
					return
				}
			}
		}()
	}
}

// receive waits for the next event of any answer.
func (g *generation) receive(ctx context.Context) (arrivedEvent, error) {
	if g.merged == nil {
		ev, err := g.events[0].Next(ctx)
		return arrivedEvent{event: ev}, err
	}
	select {
	case a := <-g.merged:
		return a, a.err
	case <-ctx.Done():
		return arrivedEvent{}, ctx.Err()
	}
}

// next waits for the next event, until ctx ends, and says of which answer it is. The error is ctx's, or why the generation failed.
func (g *generation) next(ctx context.Context) (int, engine.Event, error) {
	a, err := g.receive(ctx)
	ev := a.event
	g.x.usage.CompletionTokens += len(ev.Tokens)
	g.server.spend(g.x.key, len(ev.Tokens))
	g.server.Metrics.Generated(g.Model.Name, len(ev.Tokens))
	switch {
	case err != nil && g.ctx.Err() != nil:
		err = context.Cause(g.ctx)
		g.x.finish = engine.FinishError
	case err != nil && ctx.Err() == nil: // a panic
		g.x.finish = engine.FinishError
	case err != nil:
		return a.choice, ev, err
	case ev.Finish == engine.FinishError:
		err = causeOf(g.ctx, ev.Err)
		g.account(a.choice, ev.Usage)
		g.x.finish, g.x.usage = ev.Finish, g.total
	case ev.Finish != "":
		g.account(a.choice, ev.Usage)
		if g.open--; g.open == 0 {
			g.x.finish, g.x.usage = ev.Finish, g.total
		}
	}
	return a.choice, ev, err
}

// account adds what an answer took. A prompt counts once, however many answers it has.
func (g *generation) account(choice int, u engine.Usage) {
	t := &g.total
	if choice%g.perPrompt == 0 {
		t.PromptTokens += u.PromptTokens
		t.CachedTokens += u.CachedTokens
	}
	t.CompletionTokens += u.CompletionTokens
	t.DraftTokens += u.DraftTokens
	t.AcceptedTokens += u.AcceptedTokens
	if choice == 0 {
		t.Queue, t.Prefill = u.Queue, u.Prefill
	}
	t.Decode = max(t.Decode, u.Decode)
}

// answer is a whole answer.
type answer struct {
	text   string
	tokens []int32
	finish engine.FinishReason

	logprobs, prompt []sample.Logprobs // of the answer's tokens and of the prompt's, where they are wanted
}

// collect waits for all answers.
func (g *generation) collect() ([]answer, error) {
	answers := make([]answer, len(g.events))
	texts := make([]strings.Builder, len(g.events))
	for g.open > 0 {
		i, ev, err := g.next(g.ctx)
		if err != nil {
			return nil, err
		}
		texts[i].WriteString(ev.Text)
		answers[i].tokens = append(answers[i].tokens, ev.Tokens...)
		answers[i].logprobs = append(answers[i].logprobs, ev.Logprobs...)
		answers[i].prompt = append(answers[i].prompt, ev.Prompt...)
		if ev.Finish != "" {
			answers[i].text, answers[i].finish = texts[i].String(), ev.Finish
		}
	}
	return answers, nil
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
