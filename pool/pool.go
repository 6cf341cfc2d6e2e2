// Package pool holds the models that are served.
//
// Every model has one engine. A model that is still being loaded is known, and a request for it waits.
package pool

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"ortserve/engine"
	"ortserve/models"
	"ortserve/template"
	"ortserve/tokenize"
)

// Loaded is a model with all that a request needs of it.
type Loaded struct {
	Model        *models.Model
	Engine       *engine.Engine
	Tokenizer    *tokenize.Tokenizer
	Template     *template.Template // nil where the model has none
	StopTokens   []int32            // ids that end an answer
	Fingerprint  string             // names all that an answer's bits depend on but the request
	LoadDuration time.Duration
	Close        func(ctx context.Context) error // ends the engine as engine.Close does, then frees the model
}

// Opener loads a model. The context ends when the pool closes.
type Opener func(ctx context.Context, m *models.Model) (*Loaded, error)

// ErrNotFound is the error of Get for a name that nothing serves.
var ErrNotFound = errors.New("model not found")

// Pool is the set of models served.
type Pool struct {
	entries []*entry
	open    Opener
}

// entry is one model. After done is closed either loaded or err is set.
type entry struct {
	model  *models.Model
	done   chan struct{}
	loaded *Loaded
	err    error
}

// New returns a pool of these models, the first of which is the default. Load loads them.
func New(all []*models.Model, open Opener) *Pool {
	p := &Pool{open: open}
	for _, m := range all {
		p.entries = append(p.entries, &entry{model: m, done: make(chan struct{})})
	}
	return p
}

// Load loads every model. A model that cannot be loaded does not keep the others from being served: the error joins theirs.
func (p *Pool) Load(ctx context.Context) error {
	var errs []error
	for _, e := range p.entries {
		e.load(ctx, p.open)
		if e.err != nil {
			errs = append(errs, fmt.Errorf("model %s: %w", e.model.Name, e.err))
		}
	}
	return errors.Join(errs...)
}

// load fills the entry in.
func (e *entry) load(ctx context.Context, open Opener) {
	defer close(e.done)
	defer func() {
		if r := recover(); r != nil {
			e.err = fmt.Errorf("panic while loading: %v\n%s", r, debug.Stack())
		}
	}()
	begin := time.Now()
	e.loaded, e.err = open(ctx, e.model)
	if e.err == nil {
		e.loaded.LoadDuration = time.Since(begin)
	}
}

// Get returns the model that serves name, which may lack its tag; "" is the default model. It waits while the model is being
// loaded, until ctx ends. The caller calls the function when it needs the model no more. The errors are ErrNotFound, ctx's, and
// that of loading.
func (p *Pool) Get(ctx context.Context, name string) (*Loaded, func(), error) {
	e := p.find(name)
	if e == nil {
		return nil, nil, fmt.Errorf("%w: %q", ErrNotFound, name)
	}
	select {
	case <-e.done:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	if e.err != nil {
		return nil, nil, fmt.Errorf("model %s could not be loaded: %w", e.model.Name, e.err)
	}
	return e.loaded, func() {}, nil
}

// find returns the entry that serves name, or nil.
func (p *Pool) find(name string) *entry {
	if name == "" && len(p.entries) > 0 {
		return p.entries[0]
	}
	for _, e := range p.entries {
		if e.model.Name == name || strings.TrimSuffix(e.model.Name, ":latest") == name {
			return e
		}
	}
	return nil
}

// List returns the models in the order of New.
func (p *Pool) List() []*models.Model {
	list := make([]*models.Model, 0, len(p.entries))
	for _, e := range p.entries {
		list = append(list, e.model)
	}
	return list
}

// Served returns the names of the models.
func (p *Pool) Served() []string {
	names := make([]string, 0, len(p.entries))
	for _, e := range p.entries {
		names = append(names, e.model.Name)
	}
	return names
}

// Loaded returns the models that are loaded now, in the order of New.
func (p *Pool) Loaded() []*Loaded {
	var all []*Loaded
	for _, e := range p.entries {
		select {
		case <-e.done:
			if e.loaded != nil {
				all = append(all, e.loaded)
			}
		default:
		}
	}
	return all
}

// Ready says whether every model is loaded, or could not be.
func (p *Pool) Ready() bool {
	for _, e := range p.entries {
		select {
		case <-e.done:
		default:
			return false
		}
	}
	return true
}

// Serving says whether at least one model is loaded.
func (p *Pool) Serving() bool {
	for _, e := range p.entries {
		select {
		case <-e.done:
			if e.err == nil {
				return true
			}
		default:
		}
	}
	return false
}

// Stalled says whether the engine of a loaded model hangs.
func (p *Pool) Stalled() bool {
	for _, e := range p.entries {
		select {
		case <-e.done:
			if e.loaded != nil && e.loaded.Engine != nil && e.loaded.Engine.Stalled() {
				return true
			}
		default:
		}
	}
	return false
}

// Close ends all engines at once: each lets what runs end until ctx does. Load must have returned.
func (p *Pool) Close(ctx context.Context) error {
	errs := make(chan error)
	n := 0
	for _, e := range p.entries {
		if e.loaded == nil {
			continue
		}
		n++
		go func() {
			defer func() {
				if r := recover(); r != nil {
					errs <- fmt.Errorf("panic while closing: %v", r)
				}
			}()
			errs <- e.loaded.Close(ctx)
		}()
	}
	var all []error
	for range n {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}
