package routes

import "github.com/gofiber/fiber/v2"

// noEmbeddings serves the routes for embeddings. The models of this server generate text; they give no vectors.
func noEmbeddings(*fiber.Ctx) error {
	return notSupported("model", "this model does not support embeddings")
}
