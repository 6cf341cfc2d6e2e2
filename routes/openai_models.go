package routes

import (
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
}

func openaiModelOf(m *models.Model) openaiModel {
	return openaiModel{ID: m.Name, Object: "model", Created: m.Modified.Unix(), OwnedBy: "library"}
}

// listModels serves GET /v1/models.
func (s *server) listModels(c *fiber.Ctx) error {
	list := modelList{Object: "list", Data: []openaiModel{}}
	for _, m := range s.Pool.List() {
		list.Data = append(list.Data, openaiModelOf(m))
	}
	return sendJSON(c, openaiJSON, list)
}

// getModel serves GET /v1/models/{id}; the id may hold slashes.
func (s *server) getModel(c *fiber.Ctx) error {
	m, err := s.findModel(c.Params("+"))
	if err != nil {
		return err
	}
	return sendJSON(c, openaiJSON, openaiModelOf(m))
}

// findModel returns the description of a model that is served, without waiting for it.
func (s *server) findModel(name string) (*models.Model, error) {
	for _, m := range s.Pool.List() {
		if m.Name == name || m.Name == name+":latest" {
			return m, nil
		}
	}
	return nil, s.modelNotFound(name)
}
