package routes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"ortserve/engine"
)

// frames writes a generation's events as one dialect streams them.
type frames interface {
	// event writes an event of one of the answers: its text, if it has any, and that answer's end, if it is its last.
	event(w *frameWriter, choice int, ev engine.Event)
	// end follows the last event of the last answer, with what all took.
	end(w *frameWriter, u engine.Usage)
	// fail writes an error that ends the stream.
	fail(w *frameWriter, err *apiError)
}

// frameWriter collects the frames of one write.
type frameWriter struct {
	buf bytes.Buffer
	err error
}

// sse writes v as a server-sent event: WHATWG HTML, section 9.2.
func (w *frameWriter) sse(v any) { w.json("data: ", v, "\n") }

// sseText writes a server-sent event that is not JSON.
func (w *frameWriter) sseText(s string) { w.buf.WriteString("data: " + s + "\n\n") }

// named writes v as a server-sent event of that name.
func (w *frameWriter) named(event string, v any) {
	w.buf.WriteString("event: " + event + "\n")
	w.sse(v)
}

// line writes v as a line of JSON.
func (w *frameWriter) line(v any) { w.json("", v, "") }

// json writes v on a line of its own between before and after.
func (w *frameWriter) json(before string, v any, after string) {
	w.buf.WriteString(before)
	e := json.NewEncoder(&w.buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil { // Encode ends the line
		w.err = fmt.Errorf("encode an event: %w", err)
	}
	w.buf.WriteString(after)
}

// comment is what an event stream sends while it has nothing to say. Lines of JSON have no such thing.
const comment = ": ping\n\n"

// stream answers with the generation's events in that form. It takes the generation over.
func (g *generation) stream(c *fiber.Ctx, contentType string, f frames) error {
	c.Set(fiber.HeaderContentType, contentType)
	c.Set(fiber.HeaderCacheControl, "no-cache")
	c.Set("X-Accel-Buffering", "no") // nginx sends what it gets at once
	b := &streamBody{g: g, frames: f, conn: c.Context(), comments: contentType == eventStream}
	b.deadline()
	g.streaming, g.x.streaming = true, true
	if !c.Request().Header.IsHTTP11() {
		b.unframed(c)
		return nil
	}
	c.Response().ImmediateHeaderFlush = true
	c.Context().SetBodyStream(b, -1)
	return nil
}

// unframed sends b to a client of HTTP/1.0, which knows no chunks: the body goes on until the connection is closed (RFC 9112, section
// 6.3). fasthttp cannot, so it hands the connection over.
func (b *streamBody) unframed(c *fiber.Ctx) {
	h := &c.Response().Header
	h.SetConnectionClose()
	h.SetContentLength(-2) // neither a length nor chunks
	head := bytes.Clone(h.Header())
	c.Context().HijackSetNoResponse(true)
	c.Context().Hijack(func(conn net.Conn) {
		defer b.Close()
		if _, err := conn.Write(head); err == nil {
			_, _ = io.Copy(conn, b) // what fails here is logged by Close
		}
	})
}

// streamBody is the body of a streamed answer. fasthttp reads it in the connection's goroutine after the handler has returned, writes
// and flushes what each Read returns, and closes it: at the end, or when a write failed.
type streamBody struct {
	g        *generation
	frames   frames
	conn     *fasthttp.RequestCtx // for its deadline alone
	comments bool

	w     frameWriter
	ended bool  // what w holds is the last
	err   error // to return when w is empty
	sent  bool  // all of it has been written
}

// Read implements io.Reader: it waits for the next event and returns its frames. An error other than io.EOF closes the connection.
func (b *streamBody) Read(p []byte) (int, error) {
	for b.w.buf.Len() == 0 {
		if b.ended {
			b.deadline() // of the body's last chunk
			b.sent = true
			return 0, b.err
		}
		b.fill()
	}
	b.deadline()
	return b.w.buf.Read(p)
}

// Close implements io.Closer.
func (b *streamBody) Close() error {
	x := b.g.x
	if !b.sent { // a write failed
		x.finish, x.err = engine.FinishError, explain(errClientGone)
	}
	if !b.g.closed {
		x.log(fasthttp.StatusOK)
	}
	b.g.close()
	return nil
}

// deadline gives the next write StallTimeout to succeed.
func (b *streamBody) deadline() {
	_ = b.conn.SetWriteDeadline(time.Now().Add(b.g.server.StallTimeout)) // fails where the connection is closed: the write tells
}

// fill waits for the next event and writes its frames, or a comment if none comes for a while.
func (b *streamBody) fill() {
	defer func() {
		if r := recover(); r != nil {
			b.g.server.Logger.Error("panic in a stream", "request", b.g.x.id, "panic", r, "stack", string(debug.Stack()))
			b.fail(fmt.Errorf("panic: %v", r))
		}
	}()
	wait, cancel := b.g.ctx, context.CancelFunc(func() {})
	if b.comments {
		wait, cancel = context.WithTimeout(b.g.ctx, b.g.server.Heartbeat)
	}
	choice, ev, err := b.g.next(wait)
	cancel()
	switch {
	case err != nil && b.g.x.finish == "":
		b.w.buf.WriteString(comment)
	case err != nil:
		b.fail(err)
	default:
		b.frames.event(&b.w, choice, ev)
		if b.g.open == 0 {
			b.frames.end(&b.w, b.g.total)
			b.ended, b.err = true, io.EOF
		}
		if b.w.err != nil {
			b.fail(b.w.err)
		}
	}
}

// fail ends the stream with err, which a client that has gone is not told.
func (b *streamBody) fail(err error) {
	x := b.g.x
	x.finish, x.err = engine.FinishError, explain(err)
	b.ended, b.err = true, io.EOF
	b.w.buf.Reset()
	if errors.Is(err, errClientGone) {
		b.err = err
		return
	}
	b.frames.fail(&b.w, x.err)
}
