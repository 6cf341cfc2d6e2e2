package routes

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zstandard(t *testing.T, text string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return string(w.EncodeAll([]byte(text), nil))
}

// TestPackedBodies: bodies may be packed, and the limit is of what they hold.
func TestPackedBodies(t *testing.T) {
	w := newWorld(t, "Hi", func(_ *world, o *Options) { o.BodyLimit = 64 << 10 })
	f := func(encoding, body string, status int, want string) {
		t.Helper()
		for path, in := range map[string]string{"/v1/completions": `{"error":{"message":"`, "/api/generate": `{"error":"`} {
			r := w.do(http.MethodPost, path, body, "Content-Encoding", encoding)
			if r.status != status || want != "" && !strings.HasPrefix(r.body, in+want) {
				t.Errorf("%s %s, %d bytes: %d %s, want %d %s", path, encoding, len(body), r.status, r.body, status, want)
			}
		}
	}
	const body = `{"model":"tiny:1b","prompt":"hi","stream":false}`
	f("gzip", gzipped(t, body), 200, "")
	f("GZIP", gzipped(t, body), 200, "")
	f("zstd", zstandard(t, body), 200, "")
	f("gzip", gzipped(t, body+strings.Repeat(" ", 64<<10-len(body))), 200, "")
	const large = "the body is larger than 65536 bytes"
	f("gzip", gzipped(t, body+strings.Repeat(" ", 64<<10-len(body)+1)), 413, large)
	f("gzip", gzipped(t, strings.Repeat(" ", 32<<20)), 413, large) // 32 KiB that hold 32 MiB
	f("zstd", zstandard(t, strings.Repeat(" ", 64<<20)), 413, large)
	const damaged = "the body is not what its content encoding says: "
	f("gzip", body, 400, damaged)
	f("gzip", gzipped(t, body)[:20], 400, damaged)
	f("zstd", body, 400, damaged)
	f("zstd", gzipped(t, body), 400, damaged)
	f("gzip", gzipped(t, ""), 400, "missing request body")
	f("gzip", gzipped(t, gzipped(t, body)), 400, "the body is not valid")
}

// A body may take longer than a header does, at its minimum rate.
func TestBodyRate(t *testing.T) {
	w := newWorld(t, "Hi", func(_ *world, o *Options) { o.ReadTimeout = 100 * time.Millisecond })
	body := `{"model":"tiny:1b","messages":[],"stream":false` + strings.Repeat(" ", minBodyRate) + `}` // a second at that rate
	conn := w.dial()
	if _, err := fmt.Fprintf(conn, "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:1000]); err != nil {
		t.Fatal(err)
	}
	time.Sleep(400 * time.Millisecond)
	if _, err := io.WriteString(conn, body[1000:]); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(conn); err != nil || !strings.Contains(b.String(), `"done_reason":"load"`) {
		t.Errorf("%v %q", err, b.String())
	}
}
