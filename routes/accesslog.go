package routes

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"ortserve/engine"
)

// exchange is one request and its answer, as the log tells it.
type exchange struct {
	server       *server
	id           string
	begin        time.Time
	method, path string
	parent       [2]string // the headers traceparent and tracestate
	streaming    bool      // the answer goes on after the handler has returned

	key       Key                 // who asked
	keepAlive *time.Duration      // how long the model shall stay loaded; nil is as long as usual
	model     string              // as the client called it, once it was found
	served    string              // its own name
	loading   time.Duration       // spent waiting for it
	finish    engine.FinishReason // of what a model did
	usage     engine.Usage
	err       *apiError
}

type exchangeKey struct{}

// newExchange gives the request its id: the client's, if it sent one that can stand in a header and a log, else a new one.
func (s *server) newExchange(c *fiber.Ctx) (*exchange, error) {
	x := &exchange{server: s, begin: s.now(), method: c.Method(), path: c.Path()}
	c.Locals(exchangeKey{}, x)
	if s.Tracer != nil {
		x.parent = [2]string{strings.Clone(c.Get("traceparent")), strings.Clone(c.Get("tracestate"))}
	}
	x.id = c.Get(fiber.HeaderXRequestID)
	var err error
	if !plainID(x.id) {
		if x.id, err = s.newID(); err != nil {
			return x, err
		}
	}
	c.Set(fiber.HeaderXRequestID, x.id)
	if isAnthropic(x.path) {
		c.Set("Request-Id", x.id) // where Anthropic's clients look
	}
	return x, nil
}

// exchangeOf returns the exchange of a request that passed around.
func exchangeOf(c *fiber.Ctx) *exchange {
	x, _ := c.Locals(exchangeKey{}).(*exchange)
	return x
}

// plainID says whether a client's request id is used as it is.
func plainID(id string) bool {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
	return id != "" && len(id) <= 128 && !strings.ContainsFunc(id, func(r rune) bool { return !strings.ContainsRune(plain, r) })
}

// log ends the exchange: it is counted, and its line is written. Probes and what pages load are told at debug level: there are many, and they say nothing.
func (x *exchange) log(status int) {
	x.count(status)
	level := slog.LevelInfo
	switch {
	case x.quiet():
		level = slog.LevelDebug
	case x.err != nil && x.err.kind == kindInternal:
		level = slog.LevelError
	}
	attrs := []slog.Attr{
		slog.String("request", x.id),
		slog.String("method", clean(x.method)),
		slog.String("path", clean(x.path)),
		slog.Int("status", status),
		slog.Int64("ms", x.server.now().Sub(x.begin).Milliseconds()),
	}
	if x.key.Name != "" {
		attrs = append(attrs, slog.String("key", x.key.Name))
	}
	if x.model != "" {
		attrs = append(attrs, slog.String("model", clean(x.model)))
	}
	if x.finish != "" {
		attrs = append(attrs,
			slog.String("finish", x.outcome()),
			slog.Int("prompt_tokens", x.usage.PromptTokens),
			slog.Int("cached_tokens", x.usage.CachedTokens),
			slog.Int("completion_tokens", x.usage.CompletionTokens),
			slog.Int64("queue_ms", x.usage.Queue.Milliseconds()),
			slog.Int64("prefill_ms", x.usage.Prefill.Milliseconds()),
			slog.Int64("decode_ms", x.usage.Decode.Milliseconds()),
		)
	}
	if id := x.trace(status); id != "" {
		attrs = append(attrs, slog.String("trace", id))
	}
	if x.err != nil {
		row := errorTable[x.err.kind]
		attrs = append(attrs, slog.String("error", strings.TrimPrefix(row.code+" "+row.typ, " ")))
		if x.err.cause != nil {
			attrs = append(attrs, slog.Any("cause", x.err.cause))
		}
	}
	x.server.Logger.LogAttrs(context.Background(), level, "request", attrs...)
}

// quiet says that it is a probe, or what a page loads.
func (x *exchange) quiet() bool {
	return x.path == "/livez" || x.path == "/readyz" || x.path == "/health" || isPage(x.path) && x.path != "/"
}

// outcome is how the model's work ended: stop, length, cancelled or error.
func (x *exchange) outcome() string {
	if x.finish == engine.FinishError && x.err != nil && x.err.kind == kindClientGone {
		return "cancelled"
	}
	return string(x.finish)
}

// clean bounds a client's text for the log and takes out what is not printable ASCII.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), 128)])
	return s
}
