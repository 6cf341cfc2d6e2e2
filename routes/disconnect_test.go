package routes

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ortserve/engine"
)

// leaving are the ways in which a client goes.
var leaving = []struct {
	name  string
	leave func(*net.TCPConn) error
}{
	{"FIN", func(c *net.TCPConn) error { return c.Close() }},
	{"RST", func(c *net.TCPConn) error { return errors.Join(c.SetLinger(0), c.Close()) }},
	{"half-close", func(c *net.TCPConn) error { return c.CloseWrite() }},
	{"FIN behind unread bytes", func(c *net.TCPConn) error {
		_, err := c.Write([]byte("POST /next"))
		return errors.Join(err, c.Close())
	}},
	{"RST behind unread bytes", func(c *net.TCPConn) error {
		_, err := c.Write([]byte("POST /next"))
		return errors.Join(err, c.SetLinger(0), c.Close())
	}},
}

// seesThroughBytes is whether the system tells of a FIN that bytes nobody has read come before.
const seesThroughBytes = runtime.GOOS == "linux"

// endless is a world whose model never ends within a test, at a token each few milliseconds.
func endless(t *testing.T) *world {
	return newWorld(t, "", func(w *world, _ *Options) {
		w.model.info.MaxLen = 1 << 20
		w.model.answer = strings.Repeat("x", 1<<19)
		w.model.before = func(*engine.Batch) error { time.Sleep(5 * time.Millisecond); return nil }
	})
}

// TestClientGone: however a client asked and however it goes, its sequence ends.
func TestClientGone(t *testing.T) {
	requests := []struct{ name, path, body string }{
		{"event stream", "/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}],"stream":true}`},
		{"whole completion", "/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}]}`},
		{"lines of JSON", "/api/generate", `{"model":"tiny:1b","prompt":"hi"}`},
		{"whole answer", "/api/chat", `{"model":"tiny:1b","messages":[{"role":"user","content":"hi"}],"stream":false}`},
	}
	for _, r := range requests {
		for _, l := range leaving {
			if !seesThroughBytes && strings.HasPrefix(l.name, "FIN behind") {
				t.Logf("%s after %s: %s does not tell of it", l.name, r.name, runtime.GOOS)
				continue
			}
			t.Run(r.name+"/"+l.name, func(t *testing.T) {
				t.Parallel()
				w := endless(t)
				conn := w.dial()
				send(t, conn, r.path, r.body)
				eventually(t, "the sequence runs", func() bool { return w.engine().Snapshot().Running == 1 })
				if err := l.leave(conn); err != nil {
					t.Fatal(err)
				}
				eventually(t, "the sequence has ended", w.idle)
				line := w.logLine(r.path)
				if line["finish"] != "cancelled" || line["prompt_tokens"] != 18.0 || line["level"] != "INFO" {
					t.Errorf("log: %v", line)
				}
			})
		}
	}
}

// A request that waits for a slot leaves the queue with its client.
func TestClientGoneWhileQueued(t *testing.T) {
	w := endless(t)
	for range 2 {
		send(t, w.dial(), "/api/generate", `{"model":"tiny:1b","prompt":"hi"}`)
	}
	eventually(t, "both slots are taken", func() bool { return w.engine().Snapshot().Running == 2 })
	conn := w.dial()
	send(t, conn, "/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}]}`)
	eventually(t, "the third request waits", func() bool { return w.engine().Snapshot().Waiting == 1 })
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has left", func() bool { return w.engine().Snapshot().Waiting == 0 })
	if n := w.engine().Snapshot().Running; n != 2 {
		t.Errorf("%d sequences run, want the 2 whose clients are there", n)
	}
}

// A client that waits quietly, or has sent part of its next request already, is not gone.
func TestClientStays(t *testing.T) {
	w := newWorld(t, "Hi", func(w *world, _ *Options) {
		w.model.before = func(*engine.Batch) error { time.Sleep(3 * watchInterval); return nil }
	})
	conn := w.dial()
	send(t, conn, "/api/generate", `{"model":"tiny:1b","prompt":"hi","stream":false}`)
	if _, err := io.WriteString(conn, "GET /livez HTT"); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	read := func() string {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if got := read(); !strings.Contains(got, `"response":"Hi"`) {
		t.Errorf("answered %q", got)
	}
	if _, err := io.WriteString(conn, "P/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if got := read(); got != `{"status":"ok"}` {
		t.Errorf("then %q", got)
	}
}

// pair returns both ends of a connection.
func pair(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

func TestWatcher(t *testing.T) {
	w := &watcher{log: slog.New(slog.DiscardHandler)}
	f := func(name string, wrap func(net.Conn) net.Conn, leave func(client, server *net.TCPConn) error) {
		t.Helper()
		client, server := pair(t)
		var gone atomic.Int32
		stop := w.watch(wrap(server), func() { gone.Add(1) })
		defer stop()
		time.Sleep(2 * watchInterval)
		if n := gone.Load(); n != 0 {
			t.Errorf("%s: gone before it left", name)
		}
		if err := leave(client, server); err != nil {
			t.Fatal(err)
		}
		eventually(t, name, func() bool { return gone.Load() == 1 })
		time.Sleep(2 * watchInterval)
		if n := gone.Load(); n != 1 {
			t.Errorf("%s: told %d times", name, n)
		}
	}
	plain := func(c net.Conn) net.Conn { return c }
	for _, l := range leaving {
		if seesThroughBytes || !strings.HasPrefix(l.name, "FIN behind") {
			f(l.name, plain, func(client, _ *net.TCPConn) error { return l.leave(client) })
		}
	}
	f("through TLS", func(c net.Conn) net.Conn { return tls.Server(c, &tls.Config{}) },
		func(client, _ *net.TCPConn) error { return client.Close() })
	f("our own end closed", plain, func(_, server *net.TCPConn) error { return server.Close() })
}

// After stop nothing is told, and the watcher rests when there is nothing to watch.
func TestWatcherStops(t *testing.T) {
	w := &watcher{log: slog.New(slog.DiscardHandler)}
	client, server := pair(t)
	stop := w.watch(server, func() { t.Error("told after stop") })
	stop()
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the watcher's goroutine ends", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return !w.running
	})
	var gone atomic.Bool
	defer w.watch(server, func() { gone.Store(true) })()
	eventually(t, "it starts again", gone.Load)

	pipe, other := net.Pipe()
	defer pipe.Close()
	defer other.Close()
	w.watch(pipe, func() { t.Error("a pipe has no socket") })()
}

// A panic in what it calls does not end the watcher.
func TestWatcherSurvives(t *testing.T) {
	w := &watcher{log: slog.New(slog.DiscardHandler)}
	first, one := pair(t)
	second, two := pair(t)
	defer w.watch(one, func() { panic("oh") })()
	var gone atomic.Bool
	defer w.watch(two, func() { gone.Store(true) })()
	if err := errors.Join(first.Close(), second.Close()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second is told", gone.Load)
}
