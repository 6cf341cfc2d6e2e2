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
	steady := func(what string, running, waiting int) {
		t.Helper()
		eventually(t, what, func() bool { s := w.engine().Snapshot(); return s.Running == running && s.Waiting == waiting })
	}
	begin := func(key string, running, waiting int) (leave func()) {
		t.Helper()
		conn := w.dial()
		if _, err := fmt.Fprintf(conn, "POST /api/generate HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: %s\r\nContent-Length: %d\r\n\r\n%s", key, len(body), body); err != nil {
			t.Fatal(err)
		}
		steady("the request of "+key+" is in", running, waiting)
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
	given := func(key string, held int) {
		t.Helper()
		eventually(t, "what was held is given back", func() bool {
			w.shares.mu.Lock()
			defer w.shares.mu.Unlock()
			return w.shares.held[w.engine()][key] == held
		})
	}
	first, second, third := begin("a", 1, 0), begin("a", 2, 0), begin("a", 2, 1)
	refused("b", http.StatusServiceUnavailable, "the server is busy")
	first()
	eventually(t, "it has ended", func() bool { return w.engine().Snapshot().Finished[engine.FinishError] == 1 })
	given("a", 2)
	steady("the one that waited runs", 2, 0)
	refused("a", http.StatusTooManyRequests, `{"error":"others wait, and this key has 2 requests: while they do it may have half of --slots and --queue, 1"}`)
	fourth := begin("b", 2, 1)
	refused("a", http.StatusTooManyRequests, "others wait")
	second()
	third()
	fourth()
	eventually(t, "all have ended", func() bool { return w.engine().Snapshot().Finished[engine.FinishError] == 4 })
	given("a", 0)
	given("b", 0)
	begin("a", 1, 0)()
	eventually(t, "the last has ended", func() bool { return w.engine().Snapshot().Finished[engine.FinishError] == 5 })
}
