package pool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"time"

	"ortserve/engine"
	"ortserve/internal/config"
)

// errNoRoom is the error of a load that may not unload others.
var errNoRoom = errors.New("the memory limit leaves no room")

// Load loads Options.Models, as many as fit beside each other; the others wait until they are asked for. A model that cannot be loaded
// does not keep the others from being served: the error joins theirs.
func (p *Pool) Load(ctx context.Context) error {
	var errs []error
	for _, m := range p.Models {
		p.mu.Lock()
		e := p.entries[m.Name]
		mine := e == nil && !p.closed
		if mine {
			e = &entry{model: m, done: make(chan struct{}), keep: stay{"": p.keepAlive()}} // the operator uses it
			p.entries[m.Name] = e
			p.work.Add(1)
		}
		p.mu.Unlock()
		if mine {
			func() {
				defer p.work.Done()
				stop := context.AfterFunc(ctx, func() { p.cancel(context.Cause(ctx)) })
				defer stop()
				p.load(e, false)
			}()
		}
		if e == nil {
			return engine.ErrClosed
		}
		<-e.done
		switch {
		case errors.Is(e.err, errNoRoom):
			p.Logger.Info("model is loaded when it is asked for", "model", m.Name, "reason", e.err)
		case e.err != nil:
			errs = append(errs, fmt.Errorf("model %s: %w", m.Name, e.err))
		}
	}
	p.mu.Lock()
	p.tried = true
	p.mu.Unlock()
	return errors.Join(errs...)
}

// load fills the entry in. It may unload other models for it if evict is set.
func (p *Pool) load(e *entry, evict bool) {
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	begin := time.Now()
	loaded, err := p.open(e, evict)
	p.mu.Lock()
	defer p.mu.Unlock()
	e.loaded, e.err = loaded, err
	if err == nil {
		loaded.LoadDuration = time.Since(begin)
		e.used = time.Now()
	} else {
		p.abandon(e)
	}
	close(e.done)
	if e.users == 0 {
		p.settle(e)
	}
	p.broadcast()
}

// abandon forgets an entry whose load failed. The caller holds mu.
func (p *Pool) abandon(e *entry) {
	p.bytes -= e.bytes
	e.bytes = 0
	if p.entries[e.model.Name] == e {
		delete(p.entries, e.model.Name)
	}
	delete(p.ending, e)
	var full *engine.OverloadedError
	if errors.As(e.err, &full) || errors.Is(e.err, errNoRoom) || errors.Is(e.err, engine.ErrClosed) {
		return
	}
	p.failed[e.model.Name] = failure{e.model, e.err, time.Now()}
}

// open makes room for the model and opens it. A panic is an error.
func (p *Pool) open(e *entry, evict bool) (loaded *Loaded, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic while loading: %v\n%s", r, debug.Stack())
		}
	}()
	need := int64(0)
	if p.Need != nil {
		if need, err = p.Need(e.model); err != nil {
			return nil, err
		}
	}
	if err := p.reserve(e, need, evict); err != nil {
		return nil, err
	}
	loaded, err = p.Open(p.ctx, e.model)
	switch {
	case err != nil && p.ctx.Err() != nil:
		return nil, fmt.Errorf("%w: %w", context.Cause(p.ctx), err)
	case err != nil:
		return nil, err
	case loaded == nil:
		return nil, errors.New("nothing was loaded")
	}
	return loaded, nil
}

// patience is how long a load waits for the models in use to be left. Until then nobody new joins those whose room is wanted.
const patience = 30 * time.Second

// reserve sets need bytes aside for the entry. Unless they are free it unloads idle models, those used least recently first; unless
// that is enough it lets nobody join the ones that were used least recently and waits until their users have gone.
func (p *Pool) reserve(e *entry, need int64, evict bool) error {
	if p.Limit > 0 && need > p.Limit {
		return fmt.Errorf("it needs %s, the limit is %s (--memory-limit)", config.Bytes(need), config.Bytes(p.Limit))
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	defer p.undrain()
	for {
		p.mu.Lock()
		missing := p.bytes + need - p.Limit
		switch {
		case p.Limit <= 0 || missing <= 0:
			p.bytes += need
			e.bytes = need
			p.mu.Unlock()
			return nil
		case !evict:
			p.mu.Unlock()
			return errNoRoom
		}
		p.makeRoom(missing)
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-timer.C:
			return &engine.OverloadedError{
				Text:       fmt.Sprintf("the models in use leave no room for %s under --memory-limit", e.model.Name),
				RetryAfter: retryAfter,
			}
		case <-p.ctx.Done():
			return context.Cause(p.ctx)
		}
	}
}

// makeRoom begins to free at least that many bytes, as far as there are models to unload. The caller holds mu.
func (p *Pool) makeRoom(bytes int64) {
	for e := range p.ending {
		bytes -= e.bytes
	}
	candidates := slices.DeleteFunc(slices.Collect(maps.Values(p.entries)), func(e *entry) bool { return e.loaded == nil })
	slices.SortFunc(candidates, func(a, b *entry) int { return a.used.Compare(b.used) })
	slices.SortStableFunc(candidates, func(a, b *entry) int { return cmp.Compare(a.rank(), b.rank()) })
	for _, e := range candidates {
		if bytes <= 0 {
			return
		}
		bytes -= e.bytes
		if e.idle() {
			p.Logger.Info("a model makes room for another", "model", e.model.Name)
			p.retire(e)
		} else {
			e.draining = true
		}
	}
}

// rank orders what is unloaded: idle models, then those that nobody joins, then the others.
func (e *entry) rank() int {
	switch {
	case e.idle():
		return 0
	case e.draining:
		return 1
	}
	return 2
}

// undrain lets requests join again what was not unloaded.
func (p *Pool) undrain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.entries {
		if !e.draining {
			continue
		}
		e.draining = false
		if e.users == 0 {
			p.settle(e)
		}
	}
	p.broadcast()
}
