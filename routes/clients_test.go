package routes

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestStops: a string or up to 32 of them, none longer than 256 bytes; empty ones mean nothing.
func TestStops(t *testing.T) {
	w := newWorld(t, "abcdef")
	f := func(stop, text, failure string) {
		t.Helper()
		for path, field := range map[string]string{"/v1/chat/completions": `"stop":`, "/api/chat": `"model":"tiny:1b","stream":false,"options":{"stop":`} {
			end := strings.Repeat("}", strings.Count(field, "{"))
			r := w.post(path, `{"messages":[{"role":"user","content":"hi"}],`+field+stop+end+`}`)
			if failure != "" && (r.status != http.StatusBadRequest || !strings.Contains(r.body, failure)) || failure == "" && !strings.Contains(r.body, `"content":"`+text+`"`) {
				t.Errorf("%s %.60s: %d %s, want %s%s", path, stop, r.status, r.body, text, failure)
			}
		}
	}
	list := func(n int, last string) string { return "[" + strings.Repeat(`"zz",`, n-1) + last + "]" }
	f(`null`, "abcdef", "")
	f(`""`, "abcdef", "")
	f(`[]`, "abcdef", "")
	f(`["",""]`, "abcdef", "")
	f(`"d"`, "abc", "")
	f(list(32, `"c"`), "ab", "")
	f(list(33, `"c"`), "", "stop holds 33 strings, at most 32 are allowed")
	f(`["`+strings.Repeat("x", 256)+`"]`, "abcdef", "")
	f(`["`+strings.Repeat("x", 257)+`"]`, "", "stop[0] has 257 bytes, at most 256 are allowed")
	f(`[1]`, "", "stop[0] must be a string, not a number")
	f(`{}`, "", "stop must be a string or a list of strings, not an object")
}

// TestAmbiguousFraming: what two servers could read as different requests is refused, and the connection ends.
func TestAmbiguousFraming(t *testing.T) {
	w := newWorld(t, "Hi")
	const body = "\r\n0\r\n\r\n"
	for name, lines := range map[string]string{
		"two lengths":             "Content-Length: 5\r\nContent-Length: 6\r\n",
		"length and chunks":       "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
		"chunks and length":       "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
		"two transfer encodings":  "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"two hosts":               "Host: localhost\r\nContent-Length: 0\r\n",
		"a space before a colon":  "Content-Length : 5\r\n",
		"a length that is signed": "Content-Length: +5\r\n",
		"an unknown encoding":     "Transfer-Encoding: gzip, chunked\r\n",
	} {
		conn := w.dial()
		if _, err := fmt.Fprintf(conn, "POST /api/show HTTP/1.1\r\nHost: localhost\r\n%s%sGET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", lines, body); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 0, 4096)
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			b = append(b, buf[:n]...)
			if err != nil {
				break // the end, or a reset behind the answer
			}
		}
		if !strings.HasPrefix(string(b), "HTTP/1.1 400 ") || strings.Count(string(b), "HTTP/1.1 ") != 1 {
			t.Errorf("%s: %q", name, b)
		}
	}
}
