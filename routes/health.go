package routes

import (
	"strings"

	"github.com/gofiber/fiber/v2"
)

// health is the answer of the probes.
type health struct {
	Status string `json:"status"`
}

// livez says that the process serves HTTP and that no engine hangs. It depends on no load and no key: who fails it is to be restarted.
func (s *server) livez(c *fiber.Ctx) error {
	if s.Pool.Stalled() {
		return &apiError{kind: kindClosing, message: "the server hangs: a run of a model takes ten times as long as any before it"}
	}
	return sendJSON(c, openaiJSON, health{Status: "ok"})
}

// readyz says whether requests should come here: not while the first model loads, and not while the server drains.
func (s *server) readyz(c *fiber.Ctx) error {
	if !s.Ready() {
		return &apiError{kind: kindClosing, message: "the server is not ready: it is loading a model or shutting down"}
	}
	return s.livez(c)
}

// ollamaVersion is the version of Ollama's API that this server speaks. Clients compare it as numbers.
const ollamaVersion = "0.33.0"

// versionAnswer tells both versions.
type versionAnswer struct {
	Version  string `json:"version"`
	Ortserve string `json:"ortserve"`
}

func (s *server) version(c *fiber.Ctx) error {
	return sendJSON(c, ollamaJSON, versionAnswer{Version: ollamaVersion, Ortserve: strings.TrimPrefix(s.Version, "v")})
}
