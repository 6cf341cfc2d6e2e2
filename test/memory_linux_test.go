package test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMemoryStaysFlat: bodies that are refused, again and again, leave the process as large as it was.
func TestMemoryStaysFlat(t *testing.T) {
	const (
		limit  = 16 << 20 // of a body
		growth = 32 << 20 // less than if each round left one body behind
	)
	t.Setenv("GOMEMLIMIT", "96MiB") // garbage is collected before it makes the process larger: what is larger is held
	s := startTiny(t, "--max-len", "256")
	addr := strings.TrimPrefix(s.URL, "http://")
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 4 * limit >> 20 {
		if _, err := z.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	mebibyte := strings.Repeat("x", 1<<20)
	f := func(head string, status int, parts int, part string) {
		t.Helper()
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		go func() { // what is not read any more fails; the answer tells
			_, _ = io.WriteString(conn, "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"+head+"\r\n\r\n")
			for range parts {
				if _, err := io.WriteString(conn, part); err != nil {
					return
				}
			}
		}()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", head, err)
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != status {
			t.Errorf("%s: %d, %v; want %d", head, resp.StatusCode, err, status)
		}
	}
	round := func() {
		f(fmt.Sprintf("Content-Length: %d", limit+1), 413, limit>>20, mebibyte)
		f("Transfer-Encoding: chunked", 413, limit>>20+1, fmt.Sprintf("%x\r\n%s\r\n", len(mebibyte), mebibyte))
		f(fmt.Sprintf("Content-Encoding: gzip\r\nContent-Length: %d", bomb.Len()), 413, 1, bomb.String())
		f(fmt.Sprintf("Content-Encoding: br\r\nContent-Length: %d", len(mebibyte)), 415, 1, mebibyte)
		f(fmt.Sprintf("Content-Encoding: gzip, gzip\r\nContent-Length: %d", len(mebibyte)), 415, 1, mebibyte)
		f(fmt.Sprintf("Expect: 100-continue\r\nContent-Length: %d", limit+1), 413, 0, "")
		f(fmt.Sprintf("Content-Length: %d", len(mebibyte)), 400, 1, mebibyte)
	}
	warm, rounds := 3, 40
	if testing.Short() {
		rounds = 8
	}
	// What is garbage at the moment goes up and down by bodies; what stays is seen between the most early and the least late.
	sizes := make([]int64, warm+rounds)
	for i := range sizes {
		round()
		sizes[i] = s.ResidentBytes(t)
	}
	before, after := slices.Max(sizes[warm-2:warm+2]), slices.Min(sizes[len(sizes)-2:])
	t.Logf("at most %d MiB at first, at least %d MiB after %d more rounds", before>>20, after>>20, rounds-2)
	if after-before > growth {
		t.Errorf("%d requests that are refused let the process grow from %d MiB to %d MiB", 7*rounds, before>>20, after>>20)
	}
	if a := get(t, s.URL+"/livez"); a.status != http.StatusOK {
		t.Errorf("after it /livez is %d", a.status)
	}
}
