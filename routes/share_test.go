package routes

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"ortserve/engine"
)

// TestShare: alone a key may have all slots and the queue; while others wait it has half.
func TestShare(t *testing.T) {
	w := fileWorld(t, "a:a:inference:a\nb:b:inference:b", func(w *world, o *Options) {
		w.model.info.MaxLen = 1 << 20
		w.model.answer = strings.Repeat("x", 1<<19)
		w.model.before = func(*engine.Batch) error { time.Sleep(5 * time.Millisecond); return nil }
		o.Queue = 1 // two slots: half is one
	})
	const body = `{"model":"tiny:1b","prompt":"hi"}`
	begin := func(key string) (leave func()) {
		t.Helper()
		s := w.engine().Snapshot()
		conn := w.dial()
		if _, err := fmt.Fprintf(conn, "POST /api/generate HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: %s\r\nContent-Length: %d\r\n\r\n%s", key, len(body), body); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the request of "+key+" is in", func() bool {
			now := w.engine().Snapshot()
			return now.Running+now.Waiting > s.Running+s.Waiting
		})
		return func() {
			t.Helper()
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	refused := func(key string, status int, want string) {
		t.Helper()
		r := w.do(http.MethodPost, "/api/generate", body, "X-Api-Key", key)
		if r.status != status || !strings.Contains(r.body, want) || !retry.MatchString(r.header.Get("Retry-After")) {
			t.Errorf("%s: %d %s, want %d %s", key, r.status, r.body, status, want)
		}
	}
	held := func() int { s := w.engine().Snapshot(); return s.Running + s.Waiting }
	first, second, third := begin("a"), begin("a"), begin("a")
	if held() != 3 {
		t.Fatalf("%d sequences, want all 3 of the only key", held())
	}
	refused("b", http.StatusServiceUnavailable, "the server is busy")
	first()
	eventually(t, "one has left", func() bool { return held() == 2 })
	eventually(t, "it is given back", func() bool {
		w.shares.mu.Lock()
		defer w.shares.mu.Unlock()
		return w.shares.held[w.engine()]["a"] == 2
	})
	refused("a", http.StatusTooManyRequests, `{"error":"others wait, and this key has 2 requests: while they do it may have half of --slots and --queue, 1"}`)
	fourth := begin("b")
	if held() != 3 {
		t.Fatalf("%d sequences, want b's too", held())
	}
	refused("a", http.StatusTooManyRequests, "others wait")
	second()
	third()
	fourth()
	eventually(t, "all have left", w.idle)
	eventually(t, "all is given back", func() bool {
		w.shares.mu.Lock()
		defer w.shares.mu.Unlock()
		return len(w.shares.held[w.engine()]) == 0
	})
	begin("a")()
	eventually(t, "all have left", w.idle)
}
