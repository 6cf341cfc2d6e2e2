// Package test holds black-box tests: they start the real program, built with the race detector, and speak HTTP to it.
package test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"ortserve/internal/testenv"
	"ortserve/internal/testmodel"
)

// binary is the program.
var binary string

func TestMain(m *testing.M) { os.Exit(testenv.Main(m, &binary)) }

// window is the tiny model's.
const window = 200_000

// endless are the flags with which an answer takes minutes to fill the window.
var endless = []string{"--max-len", strconv.Itoa(window)}

// startTiny serves a tiny model under the name "tiny". Greedy answers of it never end by themselves.
func startTiny(t *testing.T, args ...string) *testenv.Server {
	t.Helper()
	dir := t.TempDir()
	if err := testmodel.Write(dir, testmodel.Config{Positions: window + 1}); err != nil {
		t.Fatal(err)
	}
	return testenv.Start(t, binary, append([]string{"--model", "tiny=" + dir}, args...)...)
}

// answer is the whole of an answer.
type answer struct {
	status int
	header http.Header
	body   string
}

// call sends a request with a body, if there is one, and reads the whole answer.
func call(t *testing.T, method, url, body string) answer {
	t.Helper()
	resp := open(t, t.Context(), method, url, body)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v after %q", method, url, err, b)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

func post(t *testing.T, url, body string) answer {
	t.Helper()
	return call(t, http.MethodPost, url, body)
}

func get(t *testing.T, url string) answer {
	t.Helper()
	return call(t, http.MethodGet, url, "")
}

// open sends a request and returns the answer's head. The caller closes the body.
func open(t *testing.T, ctx context.Context, method, url, body string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// decode reads an answer of status 200 as JSON.
func decode[T any](t *testing.T, a answer) T {
	t.Helper()
	var v T
	if a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	return v
}

// marshal writes v as JSON.
func marshal(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// firstLine reads the first line that holds want, which shows that the model works on the request.
func firstLine(t *testing.T, r *bufio.Reader, want string) string {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("%v before a line with %q", err, want)
		}
		if strings.Contains(line, want) {
			return line
		}
	}
}
