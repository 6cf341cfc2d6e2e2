package routes

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
)

// withKeys is an option of newWorld: keys are required.
func withKeys(t *testing.T) func(*world, *Options) {
	t.Helper()
	keys, err := LoadKeys("sesame", "open-up", "")
	if err != nil {
		t.Fatal(err)
	}
	return func(_ *world, o *Options) { o.Keys = keys }
}

// routed are the routes that the router has, each with an example of its path.
func (w *world) routed() []fiber.Route {
	var all []fiber.Route
	for _, r := range newServer(w.Options).app().GetRoutes(true) {
		r.Path = strings.NewReplacer("+", "x", "*", "x").Replace(r.Path)
		all = append(all, r)
	}
	return all
}

// open are the routes that need no key.
var open = []string{
	"GET /", "HEAD /", "GET /livez", "HEAD /livez", "GET /readyz", "HEAD /readyz", "GET /health", "HEAD /health",
}

// isOpen says whether a route needs no key: those, and the files of the pages.
func isOpen(r fiber.Route) bool {
	return slices.Contains(open, r.Method+" "+r.Path) || slices.Contains(pagePaths, r.Path)
}

// status sends a request with these header lines and returns the answer's status.
func (w *world) status(method, path string, lines ...string) int {
	w.t.Helper()
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "Host:") }) {
		lines = append(lines, "Host: localhost")
	}
	conn := w.dial()
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\n%s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", method, path, strings.Join(lines, "\r\n")); err != nil {
		w.t.Fatal(err)
	}
	b, err := io.ReadAll(conn)
	if err != nil || len(b) < 12 {
		w.t.Fatalf("%s %s %q: %v, %q", method, path, lines, err, b)
	}
	var status int
	if _, err := fmt.Sscanf(string(b), "HTTP/1.1 %d", &status); err != nil {
		w.t.Fatal(err)
	}
	return status
}

// TestEveryRouteNeedsAKey: a route is behind the key unless it is listed here, however its path is written.
func TestEveryRouteNeedsAKey(t *testing.T) {
	w := newWorld(t, "Hi", withKeys(t))
	seen := map[string]bool{}
	for _, r := range w.routed() {
		isOpen := isOpen(r)
		seen[r.Method+" "+r.Path] = true
		f := func(path string, lines ...string) {
			t.Helper()
			w.forgive()
			got := w.status(r.Method, path, lines...)
			if isOpen && path == r.Path {
				if got != http.StatusOK {
					t.Errorf("%s %s %q: %d, is open", r.Method, path, lines, got)
				}
				return
			}
			if got != http.StatusUnauthorized && !isOpen {
				t.Errorf("%s %s %q: %d, want 401", r.Method, path, lines, got)
			}
		}
		f(r.Path)
		f(r.Path, "Authorization: Bearer wrong")
		f(r.Path, "Authorization: Bearer ")
		f(r.Path, "Authorization: Basic c2VzYW1l")
		f(r.Path, "Authorization: sesame")
		f(r.Path, "X-Api-Key: Sesame")
		if got := w.status(r.Method, r.Path, "Host: x/health?"); got != http.StatusBadRequest {
			t.Errorf("%s %s: %d with a host that is none, want 400", r.Method, r.Path, got)
		}
		f(r.Path, "Host: health")
		f(r.Path, "X-Original-URL: /health", "X-Rewrite-URL: /health", "X-HTTP-Method-Override: OPTIONS")
		f(strings.ToUpper(r.Path))
		f("/" + r.Path)
		f(r.Path + "/")
		f("/%2e" + r.Path)
		f("/livez/.." + r.Path)
		f(r.Path + "?/health")
		f(r.Path + "%3f/health")
		admin := accessOf(r.Method, r.Path) == accessAdmin
		if got := w.status(r.Method, r.Path, "Authorization: bearer sesame"); got == http.StatusUnauthorized || (got == http.StatusForbidden) != admin {
			t.Errorf("%s %s: %d with the key", r.Method, r.Path, got)
		}
		if got := w.status(r.Method, r.Path, "Authorization: bearer open-up"); got == http.StatusUnauthorized || got == http.StatusForbidden {
			t.Errorf("%s %s: %d with the admin's key", r.Method, r.Path, got)
		}
	}
	for _, r := range open {
		if !seen[r] {
			t.Errorf("%s is listed as open, and is no route", r)
		}
	}
	for _, path := range []string{"/v1/models", "/nothing"} {
		if got := w.status("BREW", path); got != http.StatusUnauthorized {
			t.Errorf("BREW %s: %d, want 401", path, got)
		}
	}
	for _, path := range []string{"/nothing", "/api/nothing", "/v1/", "/.git/config"} {
		if got := w.status(http.MethodGet, path); got != http.StatusUnauthorized {
			t.Errorf("%s: %d, want 401 where there is no route", path, got)
		}
	}
}

func TestKeyErrors(t *testing.T) {
	w := newWorld(t, "Hi", withKeys(t))
	f := func(method, path, key string, status int, want string) {
		t.Helper()
		r := w.do(method, path, "{}", "X-Api-Key", key)
		if r.status != status || !strings.Contains(r.body, want) {
			t.Errorf("%s with %q: %d %s, want %d %s", path, key, r.status, r.body, status, want)
		}
		if status == http.StatusUnauthorized && r.header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: WWW-Authenticate is %q", path, r.header.Get("WWW-Authenticate"))
		}
	}
	f("POST", "/v1/chat/completions", "x", 401, `{"error":{"message":"Invalid API Key","type":"authentication_error","param":null,"code":"invalid_api_key"}}`)
	f("POST", "/v1/chat/completions", "", 401, `{"error":{"message":"no API key was given: send it as Authorization: Bearer KEY or as x-api-key","type":"authentication_error"`)
	f("POST", "/api/chat", "x", 401, `{"error":"Invalid API Key"}`)
	f("POST", "/api/chat", "sesame", 400, `{"error":"model is required"}`)
	f("POST", "/api/pull", "", 401, `no API key`)
	f("POST", "/api/pull", "sesame", 403, `{"error":"this route needs a key of the scope admin"}`)
	f("DELETE", "/API/delete/", "sesame", 403, `scope admin`)
	f("POST", "/api/blobs/sha256:00", "sesame", 403, `scope admin`)
	f("POST", "/api/pullx", "open-up", 404, `no route`)
	f("POST", "/api/chat", "open-up", 400, `{"error":"model is required"}`)
	if line := w.logLine("/API/delete/"); line["key"] != "default" {
		t.Errorf("log: %v", line)
	}
	for _, s := range []string{"sesame", "open-up"} {
		if strings.Contains(w.logs.String(), s) {
			t.Errorf("the log holds the key %s", s)
		}
	}
}

// A client without a key is refused before its body is read, whatever its size.
func TestKeyBeforeBody(t *testing.T) {
	w := newWorld(t, "Hi", withKeys(t))
	f := func(head, want string) {
		t.Helper()
		if r := w.raw(head); r.status != http.StatusUnauthorized || !strings.HasPrefix(r.body, want) {
			t.Errorf("%q: %d %s", head, r.status, r.body)
		}
	}
	f("POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n{", `{"error":"no API key`)
	f("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: x\r\nContent-Length: 100\r\n\r\n", `{"error":{"message":"Invalid API Key"`)
	f("POST /api/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n"+strings.Repeat("x", 0x1000), `{"error":"no API key`)
	f("POST /api/chat HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n", `{"error":"no API key`)
}

func TestPublicDiscovery(t *testing.T) {
	w := newWorld(t, "Hi", withKeys(t), func(_ *world, o *Options) { o.PublicDiscovery = true })
	for _, r := range w.routed() {
		want := http.StatusUnauthorized
		switch r.Method + " " + r.Path {
		case "POST /api/show":
			want = http.StatusBadRequest // without a body
		case "GET /api/version", "HEAD /api/version", "GET /api/tags", "HEAD /api/tags", "GET /v1/models", "HEAD /v1/models":
			want = http.StatusOK
		default:
			if isOpen(r) {
				want = http.StatusOK
			}
		}
		if got := w.status(r.Method, r.Path); got != want {
			t.Errorf("%s %s: %d, want %d", r.Method, r.Path, got, want)
		}
	}
}

// Both lengths at once are an attempt to smuggle a request.
func TestContradictingLengths(t *testing.T) {
	w := newWorld(t, "Hi")
	conn := w.dial()
	const two = "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
	if _, err := io.WriteString(conn, two); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 400 ") || strings.Count(string(b), "HTTP/1.1") != 1 ||
		!strings.HasSuffix(string(b), `{"error":"Content-Length and Transfer-Encoding contradict each other"}`) {
		t.Errorf("%v %q", err, b)
	}
}
