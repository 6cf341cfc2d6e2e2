package load

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// fault is what goes wrong on the way between a client and the server.
type fault int

const (
	none       fault = iota
	delay            // each piece of the answer comes late
	throttle         // the answer comes a few bytes at a time
	cut              // the connection is closed in the middle of the answer
	reset            // it is reset there
	halfClose        // the client's half of it is closed there
	cutRequest       // it is closed in the middle of the request
	faults           // how many there are
)

func (f fault) String() string {
	return [...]string{"none", "delay", "throttle", "cut", "reset", "half-close", "cut request"}[f]
}

// breaks says whether the answer may not come to its end.
func (f fault) breaks() bool { return f >= cut }

// proxy leads connections to a server, each with a fault.
type proxy struct {
	server string
	ln     net.Listener
	mu     sync.Mutex // from a dial to its accept
	pumps  sync.WaitGroup
}

func newProxy(t testing.TB, server string) *proxy {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return &proxy{server: server, ln: ln}
}

// close waits until all connections have ended.
func (p *proxy) close() error {
	err := p.ln.Close()
	p.pumps.Wait()
	return err
}

// dial connects to the server. The fault comes after that many bytes, of the answer or of the request.
func (p *proxy) dial(t testing.TB, f fault, after int) *net.TCPConn {
	t.Helper()
	p.mu.Lock()
	client := dial(t, p.ln.Addr().String())
	accepted, err := p.ln.Accept()
	p.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	near, far := accepted.(*net.TCPConn), dial(t, p.server)
	end := sync.OnceFunc(func() { _, _ = near.Close(), far.Close() })
	p.pumps.Go(func() {
		limit := -1
		if f == cutRequest {
			limit = after
		}
		if err := pump(far, near, limit, nil); errors.Is(err, io.EOF) {
			_ = far.CloseWrite()
			return
		}
		end()
	})
	p.pumps.Go(func() {
		defer end()
		var wait func(n int)
		limit := -1
		switch f {
		case delay:
			wait = func(int) { time.Sleep(10 * time.Millisecond) }
		case throttle:
			wait = func(n int) { time.Sleep(time.Duration(n) * 20 * time.Microsecond) } // 50 kB/s
		case cut, reset, halfClose:
			limit = after
		}
		if err := pump(near, far, limit, wait); !errors.Is(err, errLimit) {
			return
		}
		switch f {
		case reset:
			_, _ = near.SetLinger(0), far.SetLinger(0)
		case halfClose:
			_ = far.CloseWrite()
			_ = pump(near, far, -1, nil)
		}
	})
	return client
}

// errLimit is the error of a pump that has moved all it should.
var errLimit = errors.New("the fault's place")

// pump moves bytes from src to dst until one fails or, if limit is not negative, until it has moved limit bytes. wait is called before
// each write with its size.
func pump(dst, src net.Conn, limit int, wait func(n int)) error {
	buf := make([]byte, 512)
	for limit != 0 {
		part := buf
		if limit > 0 {
			part = buf[:min(limit, len(buf))]
		}
		n, err := src.Read(part)
		if wait != nil {
			wait(n)
		}
		if _, werr := dst.Write(part[:n]); werr != nil {
			return werr
		}
		if err != nil {
			return err
		}
		if limit > 0 {
			limit -= n
		}
	}
	return errLimit
}
