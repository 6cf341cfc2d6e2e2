package routes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/valyala/fasthttp"

	"ortserve/grammar"
)

// server is what the handlers share.
type server struct {
	Options
	watcher  watcher
	quotas   quotas
	ignored  ignored
	shares   shares
	guesses  guesses
	grammars *grammar.Cache
	arrivals sync.Map        // *fasthttp.RequestHeader -> *arrival
	routes   map[string]bool // the paths that are served
	prefixes []string        // those that paths with a model's name begin with
	// now and newID are replaced in tests, so that answers can be compared byte for byte.
	now   func() time.Time
	newID func() (string, error)
}

// newServer returns a server with the defaults of o filled in.
func newServer(o Options) *server {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Ready == nil {
		o.Ready = func() bool { return true }
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(o.Version, o.Pool)
	}
	defaultTo(&o.BodyLimit, 16<<20)
	defaultTo(&o.ReadTimeout, 15*time.Second)
	defaultTo(&o.IdleTimeout, 2*time.Minute)
	defaultTo(&o.Heartbeat, 10*time.Second)
	return &server{Options: o, watcher: watcher{log: o.Logger}, grammars: grammar.NewCache(keptGrammars), now: time.Now, newID: randomID}
}

func defaultTo[T comparable](dst *T, v T) {
	if *dst == *new(T) {
		*dst = v
	}
}

// randomID returns 32 hexadecimal digits.
func randomID() (string, error) {
	id, err := uuid.NewRandom()
	return strings.ReplaceAll(id.String(), "-", ""), err
}

// around is what every request passes: it gets an id, a fence against panics, it must be allowed, its errors are told in its dialect, and
// it is logged.
func (s *server) around(c *fiber.Ctx) error {
	x, err := s.newExchange(c)
	if err == nil {
		err = s.fenced(c, x)
	}
	if err != nil {
		err = s.fail(c, x, err)
	}
	if !x.streaming {
		s.setWriteDeadline(c)
		x.log(c.Response().StatusCode())
	}
	return err
}

// fenced runs the request's handlers. A panic in them is an error of this request alone.
func (s *server) fenced(c *fiber.Ctx, x *exchange) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.Logger.Error("panic in a handler", "request", x.id, "panic", r, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	s.cors(c)
	if a := s.arrivalOf(c); a != nil && a.err != nil {
		c.Context().SetConnectionClose()
		x.key = a.key
		return s.guess(c, a.key, a.err)
	}
	x.key, err = s.admit(&c.Request().Header, c.Path())
	if err = s.guess(c, x.key, err); err != nil {
		return err
	}
	if c.Method() == fiber.MethodOptions {
		return s.options(c)
	}
	return c.Next()
}

// fail answers with err.
func (s *server) fail(c *fiber.Ctx, x *exchange, err error) error {
	x.streaming = false
	x.err = explain(err)
	switch x.err.kind {
	case kindNoRoute:
		x.err.message = fmt.Sprintf("there is no route %s %s", x.method, quote(x.path))
	case kindMethod:
		x.err.message = fmt.Sprintf("%s is not allowed on %s", clip(x.method), quote(x.path))
		if allow := c.GetRespHeader(fiber.HeaderAllow); allow != "" {
			x.err.message += ", " + allow + " is"
		}
	case kindTooLarge:
		x.err.message = fmt.Sprintf("the body is larger than %d bytes", s.BodyLimit)
	}
	return sendError(c, x.path, x.err)
}

// rejected answers a request that fasthttp could not read, which no handler has seen.
func (s *server) rejected(c *fiber.Ctx, err error) error {
	x, idErr := s.newExchange(c)
	if idErr != nil {
		err = idErr
	}
	if a := s.arrivalOf(c); a != nil {
		x.method, x.path, x.key = a.method, a.path, a.key
		if a.err != nil {
			err = fmt.Errorf("%w: %w", s.guess(c, a.key, a.err), err)
		}
	}
	s.cors(c)
	if large := new(fiber.Error); errors.As(err, &large) && !errors.Is(err, errNotSent) &&
		(large.Code == fiber.StatusRequestEntityTooLarge || large.Code == fiber.StatusRequestHeaderFieldsTooLarge) {
		discard(c.Context().Conn())
	}
	err = s.fail(c, x, err)
	s.setWriteDeadline(c)
	x.log(c.Response().StatusCode())
	return err
}

// known passes requests on whose method Fiber knows. It answers others itself, in plain text.
func (s *server) known(app *fiber.App) fasthttp.RequestHandler {
	handle := app.Handler()
	return func(ctx *fasthttp.RequestCtx) {
		if slices.Contains(fiber.DefaultMethods, string(ctx.Method())) {
			handle(ctx)
			return
		}
		c := app.AcquireCtx(ctx)
		defer app.ReleaseCtx(c)
		key, err := s.admit(&ctx.Request.Header, c.Path())
		if err = s.guess(c, key, err); err == nil {
			err = notAllowed(app, c)
		}
		if err := s.rejected(c, err); err != nil {
			ctx.SetStatusCode(fasthttp.StatusMethodNotAllowed)
		}
	}
}

// notAllowed is the error of a method that no route has: the path's methods are told, if it has any.
func notAllowed(app *fiber.App, c *fiber.Ctx) error {
	methods := methodsOf(app, c.Path())
	if methods == nil {
		return fiber.ErrNotFound
	}
	c.Set(fiber.HeaderAllow, strings.Join(methods, ", "))
	return fiber.ErrMethodNotAllowed
}

// methodsOf returns the methods that a path is served with.
func methodsOf(app *fiber.App, path string) []string {
	var methods []string
	for _, r := range app.GetRoutes(true) {
		if below, ok := strings.CutSuffix(r.Path, "+"); r.Path == path || ok && strings.HasPrefix(path, below) {
			methods = append(methods, r.Method)
		}
	}
	return methods
}

// errNotSent is the error of a body that is too large and that the client has not begun to send.
var errNotSent = fmt.Errorf("announced: %w", fiber.ErrRequestEntityTooLarge)

// expect answers a client that asks, before it sends a body, whether it may (Expect: 100-continue).
func (s *server) expect(app *fiber.App) func(*fasthttp.RequestCtx) int {
	return func(ctx *fasthttp.RequestCtx) int {
		a, ok := s.arrivals.Load(&ctx.Request.Header)
		if refused := ok && a.(*arrival).err != nil; !refused && ctx.Request.Header.ContentLength() <= s.BodyLimit {
			return fasthttp.StatusContinue
		}
		c := app.AcquireCtx(ctx)
		defer app.ReleaseCtx(c)
		if err := s.rejected(c, errNotSent); err != nil {
			return fasthttp.StatusInternalServerError
		}
		return ctx.Response.StatusCode()
	}
}

// discard reads what a client still sends of a request that nobody wants, until it pauses, within bounds. A connection that is closed
// while bytes arrive is reset, and the client would see that in place of the answer.
func discard(conn net.Conn) {
	const (
		pause   = 250 * time.Millisecond
		longest = 5 * time.Second
		most    = 64 << 20
	)
	buf := make([]byte, 64<<10)
	end := time.Now().Add(longest)
	for total := 0; total < most && time.Now().Before(end); {
		if err := conn.SetReadDeadline(time.Now().Add(pause)); err != nil {
			return
		}
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		total += n
	}
}

// sendBuffer is how much of an answer the kernel keeps for a client that does not read, 64 KiB; Linux takes twice that for its own books.
// Unbounded it grows to megabytes, more than most answers, and such a client would hold its slot however long --stall-timeout is.
const sendBuffer = 64 << 10

// boundSendBuffer is told of each connection.
func boundSendBuffer(conn net.Conn, state fasthttp.ConnState) {
	if state != fasthttp.StateNew {
		return
	}
	if tcp, ok := conn.(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = tcp.SetWriteBuffer(sendBuffer) // fails where the connection is closed already
	}
}

// setWriteDeadline bounds the next write to the connection: a client that does not read ends after StallTimeout.
func (s *server) setWriteDeadline(c *fiber.Ctx) {
	_ = c.Context().SetWriteDeadline(time.Now().Add(s.StallTimeout)) // fails where the connection is closed: the write tells
}

// The content types of answers.
const (
	openaiJSON  = "application/json"
	ollamaJSON  = "application/json; charset=utf-8"
	eventStream = "text/event-stream"
	jsonLines   = "application/x-ndjson"
)

// sendJSON answers with v.
func sendJSON(c *fiber.Ctx, contentType string, v any) error {
	b, err := marshal(v)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, contentType)
	return c.Send(b)
}

// marshal returns v as JSON on one line, with <, > and & as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode an answer: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
