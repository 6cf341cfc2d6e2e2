package routes

import (
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// localSuffixes end names that no public name server answers for.
var localSuffixes = []string{".localhost", ".internal", ".svc", ".svc.cluster.local"}

// appSchemes are the origins of programs that show pages of their own: desktop applications, editors, extensions of browsers.
var appSchemes = []string{
	"app", "file", "tauri", "vscode-webview", "vscode-file",
	"chrome-extension", "moz-extension", "safari-web-extension",
}

// hostname is this machine's own name.
var hostname = func() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return strings.ToLower(name)
}()

// admitWeb refuses what a browser was led here to do by a page of somebody else's: a request to a name that somebody made point here
// (DNS rebinding), or one that another page sends. It is asked where no key is required; who has a key is no such page.
func (s *server) admitWeb(h *fasthttp.RequestHeader) error {
	host := string(h.Host())
	if host != "" && !s.hostAllowed(host) {
		return &apiError{kind: kindForbidden, message: "the host " + quote(host) + " is not allowed (--allow-host)"}
	}
	if origin := string(h.Peek(fiber.HeaderOrigin)); origin != "" && !s.originAllowed(origin, host) {
		return &apiError{kind: kindForbidden, message: "the origin " + quote(origin) + " is not allowed (--allow-origin)"}
	}
	return nil
}

// hostAllowed says whether a Host header names this server as its own machine or network does. An address needs no name server, so
// nobody can have made it point here.
func (s *server) hostAllowed(host string) bool {
	name, ok := hostName(host)
	if !ok {
		return false
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return !strings.Contains(name, ".") || localName(name) || matchesAny(s.AllowHosts, name)
}

// originAllowed says whether a page of that origin may use this server.
func (s *server) originAllowed(origin, host string) bool {
	if matchesAny(s.AllowOrigins, strings.ToLower(origin)) {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.User != nil {
		return false
	}
	if slices.Contains(appSchemes, u.Scheme) {
		return true
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	if host != "" && strings.EqualFold(u.Host, host) {
		return true
	}
	name, ok := hostName(u.Host)
	if !ok {
		return false
	}
	if a, err := netip.ParseAddr(name); err == nil {
		return a.IsLoopback() || a.IsUnspecified()
	}
	return localName(name)
}

// hostName returns the name or address of HOST[:PORT] in lower case, without brackets and the dot of a full name.
func hostName(host string) (string, bool) {
	name := host
	if h, port, err := net.SplitHostPort(host); err == nil {
		if strings.Trim(port, "0123456789") != "" {
			return "", false
		}
		name = h
	}
	name = strings.TrimSuffix(strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")), ".")
	return name, name != "" && !strings.ContainsAny(name, "/\\@?#% ,[]")
}

// localName says whether a name means this machine or a machine of its own network.
func localName(name string) bool {
	return name == "localhost" || name == hostname ||
		slices.ContainsFunc(localSuffixes, func(suffix string) bool { return strings.HasSuffix(name, suffix) })
}

// matchesAny says whether text is one of the patterns. A * stands for any text without a slash.
func matchesAny(patterns []string, text string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(strings.ToLower(p), text) })
}

func matches(pattern, text string) bool {
	if pattern == "*" {
		return true
	}
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, first)
	if !ok {
		return false
	}
	for i := 0; i <= len(text); i++ {
		if matches(rest, text[i:]) {
			return true
		}
		if i < len(text) && text[i] == '/' {
			return false
		}
	}
	return false
}

// The headers of cross-origin answers. Those that requests may carry are the ones that Ollama allows, which are OpenAI's clients', and
// Anthropic's.
const (
	corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
	corsExposed = "x-request-id, request-id, retry-after, x-ignored-params, server-timing"
	corsMaxAge  = "43200"
)

var corsHeaders = strings.Join([]string{
	"Authorization", "Content-Type", "User-Agent", "Accept", "X-Requested-With", "OpenAI-Beta",
	"x-stainless-arch", "x-stainless-async", "x-stainless-custom-poll-interval", "x-stainless-helper-method", "x-stainless-lang",
	"x-stainless-os", "x-stainless-package-version", "x-stainless-poll-helper", "x-stainless-retry-count", "x-stainless-runtime",
	"x-stainless-runtime-version", "x-stainless-timeout",
	"x-api-key", "anthropic-version", "anthropic-beta", "anthropic-dangerous-direct-browser-access", "x-request-id", "x-strict",
}, ", ")

// cors lets a page of an allowed origin read the answer. Credentials of the browser are never let in: a key is sent by hand.
func (s *server) cors(c *fiber.Ctx) {
	origin := c.Get(fiber.HeaderOrigin)
	if origin == "" {
		return
	}
	c.Vary(fiber.HeaderOrigin)
	if !s.originAllowed(origin, string(c.Request().Header.Host())) {
		return
	}
	c.Set(fiber.HeaderAccessControlAllowOrigin, origin)
	c.Set(fiber.HeaderAccessControlExposeHeaders, corsExposed)
	if c.Method() == fiber.MethodOptions {
		c.Set(fiber.HeaderAccessControlAllowMethods, corsMethods)
		c.Set(fiber.HeaderAccessControlAllowHeaders, corsHeaders)
		c.Set(fiber.HeaderAccessControlMaxAge, corsMaxAge)
	}
}

// options answers OPTIONS, a browser's preflight among them, on every path.
func (s *server) options(c *fiber.Ctx) error {
	c.Set(fiber.HeaderAllow, strings.Join(append(methodsOf(c.App(), c.Path()), fiber.MethodOptions), ", "))
	return c.SendStatus(fiber.StatusNoContent)
}
