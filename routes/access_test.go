package routes

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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
		isOpen := slices.Contains(open, r.Method+" "+r.Path)
		seen[r.Method+" "+r.Path] = true
		f := func(path string, lines ...string) {
			t.Helper()
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
		if got := w.status(r.Method, r.Path, "Authorization: bearer sesame"); got == http.StatusUnauthorized || got == http.StatusForbidden {
			t.Errorf("%s %s: %d with the key", r.Method, r.Path, got)
		}
	}
	for _, r := range open {
		if !seen[r] {
			t.Errorf("%s is listed as open, and is no route", r)
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
			if slices.Contains(open, r.Method+" "+r.Path) {
				want = http.StatusOK
			}
		}
		if got := w.status(r.Method, r.Path); got != want {
			t.Errorf("%s %s: %d, want %d", r.Method, r.Path, got, want)
		}
	}
}

// TestHostAndOrigin: where no key is required, what a foreign page could have sent is refused on every route.
func TestHostAndOrigin(t *testing.T) {
	w := newWorld(t, "Hi", func(_ *world, o *Options) {
		o.AllowHosts = []string{"llm.example.com", "*.lan.example"}
		o.AllowOrigins = []string{"https://chat.example.com", "https://*.web.example:8443"}
	})
	for _, r := range w.routed() {
		for _, line := range []string{"Host: evil.test", "Origin: http://evil.test", "Origin: null"} {
			if got := w.status(r.Method, r.Path, line); got != http.StatusForbidden {
				t.Errorf("%s %s, %s: %d, want 403", r.Method, r.Path, line, got)
			}
		}
	}
	f := func(want int, lines ...string) {
		t.Helper()
		if got := w.status(http.MethodPost, "/api/chat", lines...); got != want {
			t.Errorf("%q: %d, want %d", lines, got, want)
		}
	}
	const ok, no = http.StatusBadRequest, http.StatusForbidden // there is no body
	for _, host := range []string{
		"localhost", "LOCALHOST:9112", "localhost.", "127.0.0.1:9112", "[::1]:9112", "192.168.1.7", "ollama:11434", "a.localhost", "x.internal",
		"llm.default.svc", "llm.default.svc.cluster.local:80", "llm.example.com", "LLM.example.com:443", "a.b.lan.example", hostname,
	} {
		f(ok, "Host: "+host)
	}
	for _, host := range []string{
		"evil.test", "127.0.0.1.nip.io", "localhost.evil.test", "xllm.example.com", "llm.example.com.evil.test", "lan.example", "evil.test:80", "a.svc.evil", "1.2.3.4.5",
		"localhost:80@evil.test",
	} {
		f(no, "Host: "+host)
	}
	f(no, "Host: evil.test", "X-Forwarded-Host: localhost")
	for _, origin := range []string{
		"http://localhost", "https://localhost:3000", "http://127.0.0.1:8080", "http://[::1]", "http://0.0.0.0:1", "app://obsidian.md", "file://", "tauri://localhost",
		"vscode-webview://abc", "vscode-file://vscode-app", "chrome-extension://abc", "moz-extension://abc", "http://x.internal", "https://chat.example.com",
		"https://a.web.example:8443", "http://a.localhost:5173",
	} {
		f(ok, "Origin: "+origin)
	}
	for _, origin := range []string{
		"null", "http://evil.test", "http://192.168.1.7", "http://intranet", "http://localhost.evil.test", "https://chat.example.com.evil.test", "http://chat.example.com",
		"https://a/b.web.example:8443", "javascript:alert(1)", "http://localhost@evil.test", "ftp://localhost",
	} {
		f(no, "Origin: "+origin)
	}
	f(ok, "Host: 192.168.1.7:9112", "Origin: http://192.168.1.7:9112") // the server's own page
	f(no, "Host: 192.168.1.7:9112", "Origin: http://192.168.1.7:80")
	// Programs that send form data and no origin are no pages.
	f(ok, "Content-Type: application/x-www-form-urlencoded")
	f(no, "Content-Type: text/plain", "Origin: http://evil.test")

	// Who has a key is not asked where it comes from.
	k := newWorld(t, "Hi", withKeys(t))
	if got := k.status(http.MethodPost, "/api/chat", "Host: evil.test", "Origin: http://evil.test", "X-Api-Key: sesame"); got != ok {
		t.Errorf("with a key: %d", got)
	}
}

func TestCORS(t *testing.T) {
	w := newWorld(t, "Hi")
	preflight := func(w *world, origin string) reply {
		return w.do(http.MethodOptions, "/v1/chat/completions", "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization")
	}
	r := preflight(w, "http://localhost:3000")
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "http://localhost:3000", "Access-Control-Allow-Methods": corsMethods, "Access-Control-Max-Age": "43200",
		"Vary": "Origin", "Access-Control-Allow-Credentials": "",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("preflight: %s is %q, want %q", name, got, want)
		}
	}
	if r.status != http.StatusNoContent || r.body != "" {
		t.Errorf("preflight: %d %q", r.status, r.body)
	}
	for _, h := range []string{"Authorization", "x-api-key", "anthropic-version", "x-stainless-retry-count", "OpenAI-Beta", "x-request-id"} {
		if !slices.Contains(strings.Split(r.header.Get("Access-Control-Allow-Headers"), ", "), h) {
			t.Errorf("preflight allows %q, not %s", r.header.Get("Access-Control-Allow-Headers"), h)
		}
	}
	if r := w.do(http.MethodOptions, "/api/chat", ""); r.status != http.StatusNoContent || r.header.Get("Allow") != corsMethods {
		t.Errorf("OPTIONS: %d %v", r.status, r.header)
	}
	for _, origin := range []string{"http://evil.test", "null"} {
		if r := preflight(w, origin); r.status != http.StatusForbidden || r.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("preflight from %s: %d %v", origin, r.status, r.header)
		}
	}
	// Answers and errors can be read too.
	for _, body := range []string{`{"messages":[{"role":"user","content":"hi"}]}`, `{}`} {
		r := w.do(http.MethodPost, "/v1/chat/completions", body, "Origin", "app://x")
		if r.header.Get("Access-Control-Allow-Origin") != "app://x" || r.header.Get("Access-Control-Expose-Headers") != corsExposed {
			t.Errorf("%s: %v", body, r.header)
		}
	}
	// With keys a preflight needs none, and only allowed origins are told that they may.
	k := newWorld(t, "Hi", withKeys(t), func(_ *world, o *Options) { o.AllowOrigins = []string{"https://chat.example.com"} })
	if r := preflight(k, "https://chat.example.com"); r.status != http.StatusNoContent || r.header.Get("Access-Control-Allow-Origin") != "https://chat.example.com" {
		t.Errorf("preflight with keys: %d %v", r.status, r.header)
	}
	if r := preflight(k, "https://evil.test"); r.status != http.StatusNoContent || r.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("preflight from elsewhere: %d %v", r.status, r.header)
	}
}

// Without keys the store can be changed from this machine alone.
func TestAdminWithoutKeys(t *testing.T) {
	f := func(openAdmin bool, want int) {
		t.Helper()
		w := newWorld(t, "Hi", func(_ *world, o *Options) { o.OpenAdmin = openAdmin })
		if got := w.status(http.MethodPost, "/api/pull"); got != want {
			t.Errorf("open %v: %d, want %d", openAdmin, got, want)
		}
	}
	f(true, http.StatusNotFound) // no such route yet
	f(false, http.StatusForbidden)
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hash := sha256.Sum256([]byte("hashed"))
	write("# comment\n\nalice:staff:inference:a:b:c\nbob::proxy:sha256:" + hex.EncodeToString(hash[:]) + "\r\nroot:ops:admin:toor")
	keys, err := LoadKeys("", "", path)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	f := func(text, want string) {
		t.Helper()
		key, ok := keys.find(text, now, newServer(Options{}).Logger)
		got := ""
		if ok {
			got = fmt.Sprint(key.Name, key.Group, key.Admin, key.Proxy)
		}
		if got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	f("a:b:c", "alicestafffalse false")
	f("hashed", "bobbobfalse true")
	f("toor", "rootopstrue true")
	f("a:b", "")
	f("", "")
	f(hex.EncodeToString(hash[:]), "")

	now = now.Add(2 * keyInterval)
	write("carol:staff:inference:new key\n")
	f("new key", "carolstafffalse false")
	f("toor", "")
	now = now.Add(2 * keyInterval)
	write("this is no key file, and longer")
	f("new key", "carolstafffalse false") // the keys stay
	now = now.Add(2 * keyInterval)
	write("")
	f("new key", "") // all are taken back

	for text, want := range map[string]string{
		"":                         "lists no key",
		"# only words":             "lists no key",
		"a:b:inference":            "line 1: must be name:group:scope:key",
		"a:b:inference:":           "line 1: must be",
		"a:b:inference:k\na:b:x:k": "line 2: the scope must be inference, proxy or admin",
		"a b:b:inference:k":        "line 1: name and group must be",
		":b:inference:k":           "line 1: name and group",
		"a:b:inference:sha256:00":  "64 hexadecimal digits",
		"a:b:admin:k\nc:d:admin:k": "line 2: the key stands in the file twice",
		strings.Repeat("#", 2<<20): "larger than 1048576 bytes",
	} {
		write(text)
		if _, err := LoadKeys("", "", path); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "--api-key-file: ") {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
	if _, err := LoadKeys("", "", path+"x"); err == nil {
		t.Error("a file that is not there is accepted")
	}
	if keys, err := LoadKeys("", "", ""); keys != nil || err != nil {
		t.Errorf("no keys are %v, %v", keys, err)
	}
}

// fileWorld is a world whose keys are those lines.
func fileWorld(t *testing.T, lines string, set ...func(*world, *Options)) *world {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := LoadKeys("", "", path)
	if err != nil {
		t.Fatal(err)
	}
	return newWorld(t, "Hi", append([]func(*world, *Options){func(_ *world, o *Options) { o.Keys, o.ScopeHeader = keys, "X-User" }}, set...)...)
}

// What a prompt leaves in the cache serves its own group, user and salt alone.
func TestCacheScope(t *testing.T) {
	w := fileWorld(t, "a:g:inference:a\nb:g:proxy:b\nc:h:proxy:c")
	f := func(key, user, salt string, cached int) {
		t.Helper()
		r := w.do(http.MethodPost, "/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}],"cache_salt":"`+salt+`"}`, "X-Api-Key", key, "X-User", user)
		if want := fmt.Sprintf(`"cached_tokens":%d}`, cached); r.status != http.StatusOK || !strings.Contains(r.body, want) {
			t.Errorf("%s, %q, %q: %d %s, want %s", key, user, salt, r.status, r.body, want)
		}
	}
	f("a", "", "", 0)
	f("b", "", "", 16) // the same group
	f("c", "", "", 0)  // another
	f("b", "u1", "", 0)
	f("b", "u1", "", 16)
	f("b", "u2", "", 0)
	f("b", "u2", "s", 0)
	r := w.do(http.MethodPost, "/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}]}`, "X-Api-Key", "a", "X-User", "u1")
	if r.status != http.StatusForbidden || !strings.Contains(r.body, "may not name a user in X-User") {
		t.Errorf("a key that is not believed: %d %s", r.status, r.body)
	}
	r = w.do(http.MethodPost, "/api/chat", `{"model":"tiny:1b","stream":false,"messages":[{"role":"user","content":"hi"}]}`, "X-Api-Key", "b", "X-User", "u3")
	if !strings.Contains(r.body, `"prompt_eval_cached_count":0`) {
		t.Errorf("Ollama's, the first time: %s", r.body)
	}
}

func TestQuotas(t *testing.T) {
	w := fileWorld(t, "a:g:inference:a\nb:g:inference:b", func(_ *world, o *Options) { o.KeyRequests, o.KeyTokens = 4, 60 })
	now := fixedTime
	w.now = func() time.Time { return now }
	f := func(key string, status int, want string) {
		t.Helper()
		r := w.do(http.MethodPost, "/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}]}`, "X-Api-Key", key)
		if r.status != status || !strings.Contains(r.body, want) {
			t.Errorf("%s: %d %s, want %d %s", key, r.status, r.body, status, want)
		}
		if status == http.StatusTooManyRequests && !retry.MatchString(r.header.Get("Retry-After")) {
			t.Errorf("%s: Retry-After is %q", key, r.header.Get("Retry-After"))
		}
	}
	// A request takes 18 tokens of prompt and 3 of answer.
	f("a", 200, "Hi")
	f("a", 200, "Hi")
	f("a", 200, "Hi")
	f("a", 429, `{"error":{"message":"this key may have 60 tokens a minute (--key-tokens-per-minute)","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}`)
	f("b", 200, "Hi") // another key of the group
	now = now.Add(10 * time.Second)
	f("a", 200, "Hi") // 3 below zero, and 10 more since
	f("a", 429, "requests a minute")
	now = now.Add(time.Hour)
	f("a", 200, "Hi")
	r := w.do(http.MethodGet, "/v1/models", "", "X-Api-Key", "a")
	if r.status != http.StatusOK {
		t.Errorf("a list counts for nothing, but %d", r.status)
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
