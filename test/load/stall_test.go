package load

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestSlowReader: a client that does not read its stream, or hardly, is cut off after --stall-timeout, and those beside it get what
// they get alone.
func TestSlowReader(t *testing.T) {
	const stall = time.Second
	s := start(t, "--slots", "4", "--stall-timeout", stall.String(), "--deterministic")
	addr := strings.TrimPrefix(s.URL, "http://")
	f := func(name string, dial func(*testing.T, string) *net.TCPConn, q question, sip func(net.Conn) error) {
		t.Helper()
		neighbours := make([]question, 3)
		alone := make([]answer, len(neighbours))
		for i := range neighbours {
			neighbours[i] = question{api: api(i % 2), streaming: true, id: fmt.Sprintf("beside-%s-%d", q.id, i), prompt: letters(i, 30), tokens: 200}
			alone[i] = ask(t, addr, neighbours[i])
		}

		conn := dial(t, addr)
		defer conn.Close()
		q.streaming, q.prompt = true, letters(9, 30)
		if _, err := sendOn(t, conn, q); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		stop := make(chan struct{})
		var sips sync.WaitGroup
		sips.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Millisecond):
				}
				if sip(conn) != nil {
					return
				}
			}
		})
		beside := make([]answer, len(neighbours))
		var all sync.WaitGroup
		for i, q := range neighbours {
			all.Go(func() { beside[i] = ask(t, addr, q) })
		}
		line := s.WaitLog(t, regexp.MustCompile(`request=`+q.id+` .*finish=cancelled .*decode_ms=\d+`))
		took := time.Since(begin)
		close(stop)
		sips.Wait()
		all.Wait()
		for i, a := range beside {
			if err := a.complete(neighbours[i]); err != nil || a.text != alone[i].text {
				t.Errorf("%s: beside it: %v, %q, alone %q", name, err, a.text, alone[i].text)
			}
		}
		if took < stall {
			t.Errorf("%s: cut off %s after it began, the timeout is %s", name, took, stall)
		}
		t.Logf("%s: cut off %s after it began: %s", name, took.Round(time.Millisecond), line[0][strings.Index(line[0], "finish="):])
	}
	nothing := func(net.Conn) error { return nil }
	f("reads nothing, openai", dialSmall, question{api: openai, id: "none-openai", tokens: endless}, nothing)
	f("reads nothing, ollama", dialSmall, question{api: ollama, id: "none-ollama", tokens: endless}, nothing)
	// An answer of a megabyte does not fit the buffers of a connection as it comes.
	f("reads nothing, ordinary buffers", dialPlain, question{api: openai, id: "none-plain", tokens: 4000}, nothing)
	f("ten bytes a second", dialSmall, question{api: openai, id: "sips", tokens: endless}, func(c net.Conn) error {
		_, err := c.Read(make([]byte, 1))
		return err
	})
	after := question{id: "after", prompt: "Short.", tokens: 3}
	if a := ask(t, addr, after); a.complete(after) != nil {
		t.Errorf("after it: %v", a.complete(after))
	}
}

// dialPlain connects as clients do.
func dialPlain(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// dialSmall connects such that few events fill the buffers on the way: the receive buffer and the segments are small.
func dialSmall(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		return errors.Join(c.Control(func(fd uintptr) {
			err = errors.Join(
				syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10),
				syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 536))
		}), err)
	}}
	conn, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}
