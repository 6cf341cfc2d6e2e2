package routes

import (
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// watchInterval is how often the watcher looks at the sockets of requests in progress.
const watchInterval = 50 * time.Millisecond

// watcher tells requests that their client has gone. fasthttp does not: while a handler computes, nothing reads the connection.
// One goroutine asks the kernel about every watched socket in turn; it runs while there is one. A client that has closed its
// half of the connection counts as gone, as in net/http.
type watcher struct {
	log *slog.Logger

	mu      sync.Mutex
	watched map[*watched]struct{}
	running bool
}

// watched is a connection whose request is in progress.
type watched struct {
	conn syscall.RawConn
	gone func()
}

// watch calls gone, once, when the peer of conn has closed it, until stop is called. A connection that has no socket, as in tests,
// is never found gone. After stop has returned, gone is not called.
func (w *watcher) watch(conn net.Conn, gone func()) (stop func()) {
	if tls, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = tls.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return func() {}
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return func() {}
	}
	e := &watched{conn: raw, gone: gone}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.watched == nil {
		w.watched = map[*watched]struct{}{}
	}
	w.watched[e] = struct{}{}
	if !w.running {
		w.running = true
		go w.run()
	}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.watched, e)
	}
}

// run looks at all watched sockets until there is none.
func (w *watcher) run() {
	for {
		time.Sleep(watchInterval)
		if !w.look() {
			return
		}
	}
}

// look asks each socket once and says whether there is one left to watch.
func (w *watcher) look() (more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() {
		if r := recover(); r != nil {
			w.log.Error("panic in the disconnect watcher", "panic", r, "stack", string(debug.Stack()))
			more = true
		}
	}()
	for e := range w.watched {
		gone := false
		err := e.conn.Control(func(fd uintptr) { gone = peerGone(fd) })
		if gone || err != nil { // an error means that our own side is closed
			delete(w.watched, e)
			e.gone()
		}
	}
	w.running = len(w.watched) > 0
	return w.running
}
