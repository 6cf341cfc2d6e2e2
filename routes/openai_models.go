package routes

import (
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"ortserve/models"
)

// modelList is the answer of GET /v1/models.
type modelList struct {
	Object string        `json:"object"`
	Data   []openaiModel `json:"data"`
}

// openaiModel is a model of that list.
type openaiModel struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
	// MaxModelLen is how many tokens prompt and answer may have together: vLLM's name.
	MaxModelLen int `json:"max_model_len"`
}

func (s *server) openaiModelOf(m *models.Model) openaiModel {
	return openaiModel{ID: m.Name, Object: "model", Created: m.Modified.Unix(), OwnedBy: "library", MaxModelLen: s.windowOf(m)}
}

// listModels serves GET /v1/models.
func (s *server) listModels(c *fiber.Ctx) error {
	list := modelList{Object: "list", Data: []openaiModel{}}
	for _, m := range s.Pool.List() {
		list.Data = append(list.Data, s.openaiModelOf(m))
	}
	return sendJSON(c, openaiJSON, list)
}

// getModel serves GET /v1/models/{id}; the id may hold slashes.
func (s *server) getModel(c *fiber.Ctx) error {
	m, err := s.findModel(c.Params("+"))
	if err != nil {
		return err
	}
	return sendJSON(c, openaiJSON, s.openaiModelOf(m))
}

// findModel returns the description of a model that is served, without waiting for it.
func (s *server) findModel(name string) (*models.Model, error) {
	served := s.resolve(name)
	for i, m := range s.Pool.List() {
		if i == 0 && served == "" || m.Name == served || m.Name == served+":latest" {
			return m, nil
		}
	}
	return nil, s.modelNotFound(name)
}

// resolve returns the name that a model is served by for the name that a client sent: an alias's model, and with --any-model the default
// one, "", where nothing serves the name.
func (s *server) resolve(name string) string {
	served, ok := s.Aliases[name]
	if !ok {
		served, ok = s.Aliases[strings.TrimSuffix(name, ":latest")]
	}
	if !ok {
		served = name
	}
	if s.AnyModel && !slices.ContainsFunc(s.Pool.Served(), func(n string) bool { return n == served || n == served+":latest" }) {
		return ""
	}
	return served
}
