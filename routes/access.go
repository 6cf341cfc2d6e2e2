package routes

import (
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// access is what a request must show to be served.
type access uint8

const (
	accessInference access = iota // a key, where keys are required
	accessAdmin                   // a key of the scope admin
	accessDiscovery               // a key, unless --public-discovery
	accessOpen                    // nothing
)

// openPaths are served to everybody, with GET and HEAD, and so are the pages' files. Everything that is not listed here or below needs a
// key, routes that do not exist included.
var openPaths = map[string]bool{"/": true, "/livez": true, "/readyz": true, "/health": true}

// discoveryPaths are the ones that --public-discovery opens, with their method: editors that know no key for these ask them.
var discoveryPaths = map[string]string{
	"/api/version": fiber.MethodGet,
	"/api/tags":    fiber.MethodGet,
	"/api/show":    fiber.MethodPost,
	"/v1/models":   fiber.MethodGet,
}

// adminPaths change what the server holds: these, and all below them.
var adminPaths = []string{"/api/pull", "/api/push", "/api/create", "/api/copy", "/api/delete", "/api/blobs"}

// accessOf says what a request to path needs.
func accessOf(method, path string) access {
	reads := method == fiber.MethodGet || method == fiber.MethodHead
	switch {
	case method == fiber.MethodOptions, reads && (openPaths[path] || isPage(path)):
		return accessOpen
	case discoveryPaths[path] == method, reads && discoveryPaths[path] == fiber.MethodGet:
		return accessDiscovery
	}
	folded := strings.ToLower(path)
	for _, p := range adminPaths {
		if rest, ok := strings.CutPrefix(folded, p); ok && (rest == "" || rest[0] == '/') {
			return accessAdmin
		}
	}
	return accessInference
}

// admit says who a request comes from, or why it is not served. It looks at the header alone, so that it can be asked before a body
// is read.
func (s *server) admit(h *fasthttp.RequestHeader, path string) (Key, error) {
	need := accessOf(string(h.Method()), path)
	if s.Keys == nil {
		if err := s.admitWeb(h); err != nil {
			return Key{}, err
		}
		if need == accessAdmin && !s.OpenAdmin {
			return Key{}, &apiError{kind: kindForbidden, message: "this route changes what the server holds; it needs an admin key " +
				"(ORTSERVE_ADMIN_KEY or --api-key-file) on a server that other machines can reach"}
		}
		return Key{Proxy: true}, nil
	}
	key, given, ok := s.keyOf(h)
	switch {
	case need == accessOpen, need == accessDiscovery && s.PublicDiscovery:
		return key, nil
	case !given:
		return Key{}, &apiError{kind: kindUnauthorized, message: "no API key was given: send it as Authorization: Bearer KEY or as x-api-key"}
	case !ok:
		return Key{}, &apiError{kind: kindUnauthorized, message: "Invalid API Key", cause: errWrongKey}
	case need == accessAdmin && !key.Admin:
		return key, &apiError{kind: kindForbidden, message: "this route needs a key of the scope admin"}
	}
	return key, nil
}

// keyOf returns the key of a request, sent either way.
func (s *server) keyOf(h *fasthttp.RequestHeader) (key Key, given, ok bool) {
	var tokens []string
	if scheme, token, found := strings.Cut(string(h.Peek(fiber.HeaderAuthorization)), " "); found && strings.EqualFold(scheme, "Bearer") {
		tokens = append(tokens, strings.TrimSpace(token))
	}
	if token := string(h.Peek("X-Api-Key")); token != "" {
		tokens = append(tokens, token)
	}
	for _, t := range tokens {
		if t == "" {
			continue
		}
		given = true
		if key, ok = s.Keys.find(t, s.now(), s.Logger); ok {
			return key, true, true
		}
	}
	return Key{}, given, false
}

// scopeOf bounds the reuse of what a request's prompt left in the cache: its group, the user that a proxy names, the salt that the
// client chose.
func (s *server) scopeOf(c *fiber.Ctx, salt string) (string, error) {
	key := exchangeOf(c).key
	user := ""
	if s.ScopeHeader != "" {
		user = c.Get(s.ScopeHeader)
		if user != "" && !key.Proxy {
			return "", &apiError{kind: kindForbidden, message: "this key may not name a user in " + s.ScopeHeader + ": its scope is neither proxy nor admin"}
		}
	}
	if key.Group == "" && user == "" && salt == "" {
		return "", nil
	}
	return strings.Join([]string{key.Group, user, salt}, "\x00"), nil
}
