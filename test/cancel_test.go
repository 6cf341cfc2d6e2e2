package test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"ortserve/internal/testenv"
)

const (
	endlessGenerate = `{"model":"tiny","prompt":"Go on.","options":{"temperature":0}}`
	endlessChat     = `{"messages":[{"role":"user","content":"Go on."}],"temperature":0,"stream":true}`
)

// shortly asks for a few tokens and fails unless they come long before an endless answer would end.
func shortly(t *testing.T, s *testenv.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/api/generate",
		strings.NewReader(`{"model":"tiny","prompt":"Short.","stream":false,"options":{"num_predict":3}}`))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("the slot is not free: %v; log:\n%s", err, s.Log())
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	var g generated
	if err != nil || json.Unmarshal(body, &g) != nil || g.EvalCount != 3 {
		t.Fatalf("a short answer: %s, %v", body, err)
	}
}

var cancelled = regexp.MustCompile(`finish=cancelled`)

// TestClientGone: a client that goes away frees its slot, however it asked and however it goes.
func TestClientGone(t *testing.T) {
	f := func(name string, leave func(t *testing.T, s *testenv.Server)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			s := startTiny(t, append(endless, "--slots", "1")...)
			leave(t, s)
			shortly(t, s)
			s.WaitLog(t, cancelled)
		})
	}
	f("in an event stream", func(t *testing.T, s *testenv.Server) {
		resp := open(t, t.Context(), http.MethodPost, s.URL+"/v1/chat/completions", endlessChat)
		firstLine(t, bufio.NewReader(resp.Body), `"content":"`)
		resp.Body.Close()
	})
	f("in lines of JSON", func(t *testing.T, s *testenv.Server) {
		resp := open(t, t.Context(), http.MethodPost, s.URL+"/api/generate", endlessGenerate)
		firstLine(t, bufio.NewReader(resp.Body), `"response"`)
		resp.Body.Close()
	})
	f("waiting for a whole answer", func(t *testing.T, s *testenv.Server) {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/v1/chat/completions",
			strings.NewReader(strings.Replace(endlessChat, `,"stream":true`, "", 1)))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("an endless answer ended: %v", err)
		}
	})
	f("by a reset", func(t *testing.T, s *testenv.Server) {
		conn := raw(t, s, endlessGenerate)
		firstLine(t, bufio.NewReader(conn), `"response"`)
		if err := conn.SetLinger(0); err != nil { // close then sends RST
			t.Fatal(err)
		}
		conn.Close()
	})
	f("by a reset, with the answer unread", func(t *testing.T, s *testenv.Server) {
		conn := raw(t, s, endlessGenerate)
		time.Sleep(300 * time.Millisecond)
		if err := conn.SetLinger(0); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	})
	f("with bytes of a next request unread", func(t *testing.T, s *testenv.Server) {
		conn := raw(t, s, strings.Replace(endlessGenerate, `{`, `{"stream":false,`, 1))
		time.Sleep(300 * time.Millisecond)
		if _, err := io.WriteString(conn, "G"); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	})
}

// raw sends a request for /api/generate on a connection of its own.
func raw(t *testing.T, s *testenv.Server, body string) *net.TCPConn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/generate", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if err := req.Write(conn); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// TestQueuedClientGone: one that waits for a slot and goes away never gets it, and the one that has it is not disturbed.
func TestQueuedClientGone(t *testing.T) {
	s := startTiny(t, append(endless, "--slots", "1")...)
	running := open(t, t.Context(), http.MethodPost, s.URL+"/api/generate", endlessGenerate)
	defer running.Body.Close()
	lines := bufio.NewReader(running.Body)
	firstLine(t, lines, `"response"`)

	conn := raw(t, s, strings.Replace(endlessGenerate, `{`, `{"stream":false,`, 1))
	time.Sleep(200 * time.Millisecond)
	conn.Close()
	s.WaitLog(t, regexp.MustCompile(`finish=cancelled .*completion_tokens=0`))
	firstLine(t, lines, `"done":false`)

	running.Body.Close()
	shortly(t, s)
}

// TestNoQueue: a queue of none is none, not the default.
func TestNoQueue(t *testing.T) {
	s := startTiny(t, append(endless, "--slots", "1", "--queue", "0")...)
	running := open(t, t.Context(), http.MethodPost, s.URL+"/api/generate", endlessGenerate)
	defer running.Body.Close()
	firstLine(t, bufio.NewReader(running.Body), `"response"`)
	a := post(t, s.URL+"/v1/completions", `{"prompt":"Hi","max_tokens":1}`)
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "--queue") {
		t.Errorf("without a free slot: %d %s", a.status, a.body)
	}
	running.Body.Close()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if a = post(t, s.URL+"/v1/completions", `{"prompt":"Hi","max_tokens":1}`); a.status == http.StatusOK {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("its slot is not free: %d %s", a.status, a.body)
		}
	}
}

// TestQueueFull: what neither runs nor may wait is refused at once, with the time to try again.
func TestQueueFull(t *testing.T) {
	s := startTiny(t, append(endless, "--slots", "1", "--queue", "1")...)
	running := open(t, t.Context(), http.MethodPost, s.URL+"/api/generate", endlessGenerate)
	defer running.Body.Close()
	firstLine(t, bufio.NewReader(running.Body), `"response"`)

	// Of any number more one waits and the rest are refused.
	const more = 5
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	refused := make(chan *http.Response, more)
	for range more {
		go func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/v1/chat/completions",
				strings.NewReader(strings.Replace(endlessChat, `,"stream":true`, "", 1)))
			if err != nil {
				t.Error(err)
				return
			}
			if resp, err := http.DefaultClient.Do(req); err == nil {
				resp.Body.Close()
				refused <- resp
			}
		}()
	}
	for range more - 1 {
		select {
		case resp := <-refused:
			if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
				t.Errorf("status %d, Retry-After %q; want 503 and a time", resp.StatusCode, resp.Header.Get("Retry-After"))
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("a request over the queue's bound was not refused; log:\n%s", s.Log())
		}
	}
	for _, path := range []string{"/livez", "/readyz", "/health"} { // no slot and no place in the queue is needed
		if a := get(t, s.URL+path); a.status != http.StatusOK {
			t.Errorf("%s of a full server is %d", path, a.status)
		}
	}
	select {
	case resp := <-refused:
		t.Errorf("the one that may wait got %d", resp.StatusCode)
	case <-time.After(200 * time.Millisecond):
	}
}
