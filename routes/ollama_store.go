package routes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gofiber/fiber/v2"

	"ortserve/models"
	"ortserve/models/hub"
)

// storeFor returns the store that requests may change.
func (s *server) storeFor() (*models.Store, error) {
	if s.Store == nil || len(s.Pool.Models) > 0 {
		return nil, notSupported("", "%s", errFixed.Error())
	}
	return s.Store, nil
}

// storeError says what a change to the store met. name is the model's as the client called it.
func (s *server) storeError(name string, err error) error {
	switch {
	case errors.Is(err, models.ErrNotFound):
		return s.modelNotFound(name)
	case errors.Is(err, models.ErrName):
		return invalid("model", "%s", err.Error())
	case errors.Is(err, models.ErrBusy):
		return &apiError{kind: kindOverloaded, message: err.Error(), retryAfter: 10 * time.Second}
	}
	return err
}

// nameFields are the rows of a model's name. Clients of old say name.
func nameFields[T any](model, name func(*T) *string) []field[T] {
	return []field[T]{textField("model", model), textField("name", name)}
}

// deleteRequest is the body of DELETE /api/delete.
type deleteRequest struct{ model, name string }

var deleteFields = newTable(nameFields(
	func(r *deleteRequest) *string { return &r.model }, func(r *deleteRequest) *string { return &r.name }))

// deleteModel serves DELETE /api/delete.
func (s *server) deleteModel(c *fiber.Ctx) error {
	var req deleteRequest
	if err := decodeBody(s, c, deleteFields, &req); err != nil {
		return err
	}
	name := req.model
	if name == "" {
		name = req.name
	}
	store, err := s.storeFor()
	if err != nil {
		return err
	}
	if err := store.Remove(name); err != nil {
		return s.storeError(name, err)
	}
	s.Pool.Removed(name)
	return empty(c)
}

// empty answers with nothing, as Ollama does: the status says it all.
func empty(c *fiber.Ctx) error {
	c.Set(fiber.HeaderContentType, fiber.MIMETextPlainCharsetUTF8)
	return c.Send(nil)
}

// copyRequest is the body of POST /api/copy.
type copyRequest struct{ source, destination string }

var copyFields = newTable([]field[copyRequest]{
	textField("source", func(r *copyRequest) *string { return &r.source }),
	textField("destination", func(r *copyRequest) *string { return &r.destination }),
})

// copyModel serves POST /api/copy.
func (s *server) copyModel(c *fiber.Ctx) error {
	var req copyRequest
	if err := decodeBody(s, c, copyFields, &req); err != nil {
		return err
	}
	store, err := s.storeFor()
	if err != nil {
		return err
	}
	if err := store.Copy(req.source, req.destination); err != nil {
		return s.storeError(req.source, err)
	}
	return empty(c)
}

// pullRequest is the body of POST /api/pull.
type pullRequest struct {
	model, name, revision string
	stream                bool
}

var pullFields = newTable(
	nameFields(func(r *pullRequest) *string { return &r.model }, func(r *pullRequest) *string { return &r.name }),
	[]field[pullRequest]{
		boolField("stream", func(r *pullRequest) *bool { return &r.stream }),
		textField("revision", func(r *pullRequest) *string { return &r.revision }),
		refusedField[pullRequest]("insecure", "HF_ENDPOINT says how the hub is reached"),
		refusedField[pullRequest]("username", "the server's HF_TOKEN is used"),
		refusedField[pullRequest]("password", "the server's HF_TOKEN is used"),
	},
)

// pullModel serves POST /api/pull.
func (s *server) pullModel(c *fiber.Ctx) error {
	req := pullRequest{stream: true}
	if err := decodeBody(s, c, pullFields, &req); err != nil {
		return err
	}
	name := req.model
	if name == "" {
		name = req.name
	}
	store, err := s.storeFor()
	if err != nil {
		return err
	}
	if s.Hub == nil {
		return notSupported("", "this server knows no hub")
	}
	ref, err := hub.ParseRef(name)
	if err != nil {
		return s.storeError(name, err)
	}
	return s.runJob(c, req.stream, func(ctx context.Context, say func(any, bool)) error {
		said := ""
		_, err := s.Hub.Pull(ctx, store, hub.Request{Ref: ref, Revision: req.revision, Progress: func(p hub.Progress) {
			line := pullLine(p)
			say(line, line.Status == said && p.Done < p.Size)
			said = line.Status
		}})
		if err != nil && ctx.Err() == nil {
			return s.pullError(name, err)
		}
		return err
	})
}

// pullLine says how far a pull is, in Ollama's words.
func pullLine(p hub.Progress) jobStatus {
	digest := ""
	switch len(p.Digest) {
	case 64:
		digest = "sha256:" + p.Digest
	case 40:
		digest = "sha1:" + p.Digest
	}
	switch p.Stage {
	case hub.StageListing:
		return jobStatus{Status: "pulling manifest"}
	case hub.StageDownloading:
		return jobStatus{Status: "pulling " + p.Digest[:min(12, len(p.Digest))], Digest: digest, Total: p.Size, Completed: p.Done}
	case hub.StageVerifying:
		return jobStatus{Status: "verifying digest", Digest: digest}
	case hub.StageImporting:
		return jobStatus{Status: "importing", Total: p.Size, Completed: p.Done}
	}
	return jobStatus{Status: "writing manifest"}
}

// pullError tells a client why a pull failed: its errors name what the hub, the disk or the model's files are, nothing of other users.
func (s *server) pullError(name string, err error) error {
	if e := s.storeError(name, err); errors.As(e, new(*apiError)) {
		return e
	}
	return &apiError{kind: kindUpstream, message: fmt.Sprintf("pull %s: %s", quote(name), err.Error())}
}
