package pool

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"ortserve/models"
)

// entry is one model that is loaded, or being loaded. After done is closed either loaded or err is set; the rest belongs to the
// pool's mu.
type entry struct {
	model  *models.Model
	done   chan struct{}
	loaded *Loaded
	err    error

	bytes    int64 // set aside for it
	users    int   // requests that hold it or wait for it
	used     time.Time
	keep     stay
	expires  time.Time   // when it is unloaded, while it has no users; zero: never
	timer    *time.Timer // runs until then
	draining bool        // nobody joins: its room is wanted
}

// failure is a load that failed.
type failure struct {
	model *models.Model
	err   error
	at    time.Time
}

const (
	retryFailed = 5 * time.Second // how long a load that failed is not tried again
	retryAfter  = 2 * time.Second // what a client that finds no room is told
	unloading   = time.Minute     // how long an engine that nobody uses may take to end
)

func (e *entry) stopTimer() {
	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
	e.expires = time.Time{}
}

// idle says whether the entry is loaded and used by nobody. The caller holds mu.
func (e *entry) idle() bool { return e.users == 0 && e.loaded != nil }

// leave counts one user less.
func (p *Pool) leave(e *entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left(e)
}

// left is leave for a caller that holds mu.
func (p *Pool) left(e *entry) {
	e.users--
	e.used = time.Now()
	if e.users == 0 {
		p.settle(e)
	}
}

// settle decides what becomes of an entry that has no users. The caller holds mu.
func (p *Pool) settle(e *entry) {
	defer p.broadcast()
	if e.loaded == nil || p.closed { // its load ends it, or Close
		return
	}
	if p.ending[e] {
		p.background(func() { p.unload(e) })
		return
	}
	keep := e.keep.longest(p.keepAlive())
	switch {
	case e.draining: // who wants the room unloads it
	case keep == 0:
		p.retire(e)
	case keep > 0:
		e.stopTimer()
		e.expires = e.used.Add(keep)
		e.timer = time.AfterFunc(keep, func() { p.expire(e) })
	}
}

// expire ends an entry that was not used for its time.
func (p *Pool) expire(e *entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.timer == nil || e.users > 0 || p.entries[e.model.Name] != e || time.Now().Before(e.expires) {
		return
	}
	p.retire(e)
}

// retire takes an entry out of reach: it is unloaded when its last user has gone. The caller holds mu.
func (p *Pool) retire(e *entry) {
	if p.ending[e] || p.closed {
		return
	}
	if p.entries[e.model.Name] == e {
		delete(p.entries, e.model.Name)
	}
	e.stopTimer()
	p.ending[e] = true
	if e.idle() {
		p.background(func() { p.unload(e) })
	}
	p.broadcast()
}

// unload frees an ending entry that has no users.
func (p *Pool) unload(e *entry) {
	ctx, cancel := context.WithTimeout(context.Background(), unloading)
	defer cancel()
	if err := closeFenced(ctx, e.loaded); err != nil {
		p.Logger.Error("a model did not unload cleanly", "model", e.model.Name, "error", err)
	} else {
		p.Logger.Info("model unloaded", "model", e.model.Name)
	}
	p.mu.Lock()
	e.loaded = nil
	p.mu.Unlock()
	if p.Release != nil {
		p.Release() // before another takes its room
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes -= e.bytes
	delete(p.ending, e)
	p.broadcast()
}

// closeFenced closes a model; a panic is an error.
func closeFenced(ctx context.Context, l *Loaded) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic while closing: %v\n%s", r, debug.Stack())
		}
	}()
	return l.Close(ctx)
}
