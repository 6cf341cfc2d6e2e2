package models

import (
	"encoding/json"
	"fmt"
)

// fileCustom is what [Store.Create] writes beside a model's files.
const fileCustom = "ortserve.json"

// Custom is what a model made by [Store.Create] has of its own. What is empty is the model's that it was made from.
type Custom struct {
	From    string   `json:"from,omitempty"`    // the model that it was made from
	System  string   `json:"system,omitempty"`  // the message of the system where a conversation has none
	License string   `json:"license,omitempty"` // its text
	Stop    []string `json:"stop,omitempty"`    // texts that end an answer, for requests that name none
	NumCtx  int      `json:"num_ctx,omitempty"` // tokens that a sequence may hold
	Generation
}

// over returns c with what it does not say taken from base.
func (c Custom) over(base Custom) Custom {
	c.From = first(c.From, base.From)
	c.System = first(c.System, base.System)
	c.License = first(c.License, base.License)
	c.NumCtx = first(c.NumCtx, base.NumCtx)
	if c.Stop == nil {
		c.Stop = base.Stop
	}
	c.Generation = c.Generation.over(base.Generation)
	return c
}

// readCustom fills in what fileCustom says, if it is there.
func readCustom(f files, m *Model) error {
	ok, err := f.readJSON(fileCustom, &m.Custom)
	if err != nil || !ok {
		return err
	}
	m.Generation = m.Custom.Generation.over(m.Generation)
	switch n := m.Custom.NumCtx; {
	case n < 0:
		return f.fail(fileCustom, fmt.Errorf("says that num_ctx is %d", n))
	case n > 0:
		m.ContextLength = min(m.ContextLength, n)
	}
	return nil
}

// Create makes the model called to of the one called from, in place of the model that has the name: the files of that, shared where
// they can be, with what c says and, unless it is empty, another chat template. The errors are those of [Store.Copy].
func (s *Store) Create(from, to string, c Custom, chatTemplate string) error {
	parent, err := s.Find(from)
	if err != nil {
		return err
	}
	c.From = parent.Name
	data, err := json.MarshalIndent(c.over(parent.Custom), "", "  ")
	if err != nil {
		return err
	}
	changes := map[string][]byte{fileCustom: data}
	if chatTemplate != "" {
		if len(chatTemplate) > maxTemplateBytes {
			return fmt.Errorf("the chat template has %d bytes, at most %d are read", len(chatTemplate), maxTemplateBytes)
		}
		changes[fileTemplate] = []byte(chatTemplate)
	}
	return s.derive(from, to, changes)
}
