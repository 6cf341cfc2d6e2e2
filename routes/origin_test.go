package routes

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestHostAndOrigin: where no key is required, what a foreign page could have sent is refused on every route.
func TestHostAndOrigin(t *testing.T) {
	hostAndOrigin(t, "127.0.0.1:0")
	hostAndOrigin(t, "0.0.0.0:0") // where it listens makes no difference
}

func hostAndOrigin(t *testing.T, listen string) {
	t.Helper()
	w := newWorld(t, "Hi", func(w *world, o *Options) {
		w.listen = listen
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
	if r := w.do(http.MethodOptions, "/api/chat", ""); r.status != http.StatusNoContent || r.header.Get("Allow") != "POST, OPTIONS" {
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
	f(true, http.StatusBadRequest) // for want of a body
	f(false, http.StatusForbidden)
}
