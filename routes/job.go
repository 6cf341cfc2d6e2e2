package routes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// job is work on the store that tells how far it is. say passes a line on; one that may be left out is, while the client is slow.
type job func(ctx context.Context, say func(line any, may bool)) error

// jobStatus is a line of a job's stream, and the answer that is not streamed.
type jobStatus struct {
	Status    string `json:"status"`
	Digest    string `json:"digest,omitempty"`
	Total     int64  `json:"total,omitempty"`
	Completed int64  `json:"completed,omitempty"`
}

// jobDone is the last line of a job that succeeded.
var jobDone = jobStatus{Status: "success"}

// runJob does the work and answers as Ollama does: with lines of JSON, or with the last alone. The work ends when the client goes.
func (s *server) runJob(c *fiber.Ctx, stream bool, work job) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	stop := s.watcher.watch(c.Context().Conn(), func() { cancel(errClientGone) })
	end := sync.OnceFunc(func() { stop(); cancel(context.Canceled) })
	if !stream || !c.Request().Header.IsHTTP11() { // of HTTP/1.0 there are no chunks
		defer end()
		if err := work(ctx, func(any, bool) {}); err != nil {
			return causeOf(ctx, err)
		}
		return sendJSON(c, ollamaJSON, jobDone)
	}
	b := &jobBody{s: s, x: exchangeOf(c), conn: c.Context(), lines: make(chan []byte, 16), end: end}
	b.x.streaming = true
	c.Set(fiber.HeaderContentType, jsonLines)
	c.Set(fiber.HeaderCacheControl, "no-cache")
	c.Set("X-Accel-Buffering", "no")
	c.Response().ImmediateHeaderFlush = true
	b.deadline()
	go b.run(ctx, work)
	c.Context().SetBodyStream(b, -1)
	return nil
}

// jobBody is the body of a job's stream. fasthttp reads it after the handler has returned, and closes it.
type jobBody struct {
	s     *server
	x     *exchange
	conn  *fasthttp.RequestCtx // for its deadline alone
	lines chan []byte
	end   func()

	rest []byte
	sent bool
}

// run does the work; its error is the last line.
func (b *jobBody) run(ctx context.Context, work job) {
	defer close(b.lines)
	say := func(line any, may bool) {
		text, err := marshal(line)
		if err != nil {
			return // the types of lines have no such values
		}
		text = append(text, '\n')
		if may {
			select {
			case b.lines <- text:
			default:
			}
			return
		}
		select {
		case b.lines <- text:
		case <-ctx.Done():
		}
	}
	err := func() (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
			}
		}()
		return work(ctx, say)
	}()
	if err == nil {
		say(jobDone, false)
		return
	}
	e := explain(causeOf(ctx, err))
	b.x.err = e
	say(e.ollamaBody(), false)
}

// Read implements io.Reader: it waits for the next line.
func (b *jobBody) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		line, ok := <-b.lines
		if !ok {
			b.deadline()
			b.sent = true
			return 0, io.EOF
		}
		b.rest = line
	}
	b.deadline()
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// Close implements io.Closer.
func (b *jobBody) Close() error {
	b.end()
	for range b.lines { // until the work has ended
	}
	if !b.sent && b.x.err == nil {
		b.x.err = explain(errClientGone)
	}
	b.x.log(fasthttp.StatusOK)
	return nil
}

func (b *jobBody) deadline() {
	_ = b.conn.SetWriteDeadline(time.Now().Add(b.s.StallTimeout)) // fails where the connection is closed: the write tells
}

// errFixed is the error of a change to the store where it is not what is served.
var errFixed = errors.New("this server serves the models that --model names, not those of a store: start it without --model")
