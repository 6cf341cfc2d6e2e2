package routes

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"ortserve/web"
)

// TestPages: a browser gets the page at /, everybody else what Ollama's clients expect, and all that a page names is there.
func TestPages(t *testing.T) {
	w := newWorld(t, "", withKeys(t))
	f := func(accept, contentType, begin string) {
		t.Helper()
		r := w.do(http.MethodGet, "/", "", "Accept", accept)
		if r.status != http.StatusOK || r.header.Get("Content-Type") != contentType || !strings.HasPrefix(r.body, begin) || r.header.Get("Vary") != "Accept" {
			t.Errorf("Accept %q: %d %v %.40q", accept, r.status, r.header, r.body)
		}
	}
	const text, html = "text/plain; charset=utf-8", "text/html; charset=utf-8"
	f("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", html, "<!doctype html>") // Chromium, Firefox
	f("text/html", html, "<!doctype html>")
	f("*/*", text, "Ollama is running") // curl, Go, Python
	f("application/json", text, "Ollama is running")
	f("text/plain,text/html;q=0.5", text, "Ollama is running")

	named := regexp.MustCompile(`(?:src|href)="(/[^"]*)"|from '([^']+)'`)
	seen := map[string]bool{}
	var visit func(path string)
	visit = func(path string) {
		if seen[path] || path == "/metrics" {
			return
		}
		seen[path] = true
		r := w.do(http.MethodGet, path, "", "Accept", "text/html")
		h := r.header
		if r.status != http.StatusOK || h.Get("Content-Security-Policy") != web.Policy || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d %v", path, r.status, h)
		}
		if again := w.do(http.MethodGet, path, "", "Accept", "text/html", "If-None-Match", h.Get("Etag")); again.status != http.StatusNotModified || again.body != "" {
			t.Errorf("%s: %d, %d bytes, though it has not changed", path, again.status, len(again.body))
		}
		if strings.Contains(path, "/vendor/") {
			return
		}
		for _, m := range named.FindAllStringSubmatch(r.body, -1) {
			to := m[1] + m[2]
			if name, ok := strings.CutPrefix(to, "./"); ok {
				to = path[:strings.LastIndexByte(path, '/')+1] + name
			}
			visit(to)
		}
	}
	visit("/")
	for path := range pages {
		if !seen[path] && !strings.HasSuffix(path, ".LICENSE") {
			t.Errorf("%s is served, and no page names it", path)
		}
		if strings.HasPrefix(path, "/web/vendor/") && strings.HasSuffix(path, ".js") && pages[strings.TrimSuffix(path, "js")+"LICENSE"].Body == nil {
			t.Errorf("%s has no licence beside it", path)
		}
	}
	if r := w.do(http.MethodGet, "/web/js/none.js", ""); r.status != http.StatusUnauthorized {
		t.Errorf("a file that is not there: %d, want 401 where keys are required", r.status)
	}
}
