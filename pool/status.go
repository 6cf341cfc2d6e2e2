package pool

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"ortserve/engine"
)

// Running is a loaded model and how it stands.
type Running struct {
	*Loaded

	Bytes   int64     // what it takes, by Options.Need
	Expires time.Time // when it is unloaded if no request comes; zero is never
}

// Running returns the models that are loaded, in the order of List.
func (p *Pool) Running() []Running {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []Running
	for _, e := range p.entries {
		if e.loaded == nil {
			continue
		}
		r := Running{Loaded: e.loaded, Bytes: e.bytes, Expires: e.expires}
		if keep := e.keep.longest(p.keepAlive()); e.users > 0 && keep >= 0 {
			r.Expires = time.Now().Add(keep)
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Running) int {
		if len(p.Models) > 0 {
			return slices.Index(p.Models, a.Model) - slices.Index(p.Models, b.Model)
		}
		return strings.Compare(a.Model.Name, b.Model.Name)
	})
	return all
}

// Loaded returns the models that are loaded, in the order of List.
func (p *Pool) Loaded() []*Loaded {
	var all []*Loaded
	for _, r := range p.Running() {
		all = append(all, r.Loaded)
	}
	return all
}

// Ready says whether Load has tried every model.
func (p *Pool) Ready() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tried
}

// Serving says whether at least one model is loaded.
func (p *Pool) Serving() bool { return len(p.Loaded()) > 0 }

// Stalled says whether the engine of a loaded model hangs.
func (p *Pool) Stalled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.all() {
		if e.loaded != nil && e.loaded.Engine != nil && e.loaded.Engine.Stalled() {
			return true
		}
	}
	return false
}

// all returns every entry, ending ones included. The caller holds mu.
func (p *Pool) all() []*entry {
	var all []*entry
	for _, e := range p.entries {
		all = append(all, e)
	}
	for e := range p.ending {
		all = append(all, e)
	}
	return all
}

// Close ends all engines at once: each lets what runs end until ctx does. Loads are given up. No model is given out after it.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.cancel(engine.ErrClosed)
	p.broadcast()
	p.mu.Unlock()
	idle := make(chan struct{})
	go func() {
		p.work.Wait() // loads end early, and what is being unloaded has no users
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
	}

	p.mu.Lock()
	var open []*Loaded
	for _, e := range p.all() {
		e.stopTimer()
		if e.loaded != nil {
			open = append(open, e.loaded)
		}
	}
	p.entries, p.ending = map[string]*entry{}, map[*entry]bool{}
	p.mu.Unlock()

	errs := make(chan error)
	for _, l := range open {
		go func() { errs <- closeFenced(ctx, l) }()
	}
	var all []error
	for range open {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}
