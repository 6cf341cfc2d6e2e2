package routes

import (
	"errors"
	"strings"

	"github.com/gofiber/fiber/v2"

	"ortserve/models"
	"ortserve/pool"
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
	m, err := s.Pool.Find(s.resolve(name))
	if errors.Is(err, pool.ErrNotFound) {
		return nil, s.modelNotFound(name)
	}
	return m, err
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
	if s.AnyModel {
		if _, err := s.Pool.Find(served); errors.Is(err, pool.ErrNotFound) {
			return ""
		}
	}
	return served
}
