package pool

import (
	"time"

	"ortserve/models"
)

// forever is longer than any stay that is asked for.
const forever = time.Duration(1<<63 - 1)

// stay is how long a model remains after its last request: the longest of what the groups that used it asked for last.
type stay map[string]time.Duration

// note takes down what a request says; usual is the operator's choice. An admin's word replaces all others'. Everybody else's counts
// for their group alone, and never for longer than usual; what cannot be told from others' requests is not heard.
func (s *stay) note(by User, usual time.Duration) {
	if *s == nil {
		*s = stay{}
	}
	keep := usual
	if by.KeepAlive != nil && (by.Admin || by.Group != "") {
		keep = unlimited(*by.KeepAlive)
	}
	if by.Admin && by.KeepAlive != nil {
		clear(*s)
	} else {
		keep = min(keep, usual)
	}
	(*s)[by.Group] = keep
}

// longest returns how long the model stays, usual if nobody has used it.
func (s stay) longest(usual time.Duration) time.Duration {
	if len(s) == 0 {
		return signed(usual)
	}
	longest := time.Duration(0)
	for _, d := range s {
		longest = max(longest, d)
	}
	return signed(longest)
}

// unlimited makes forever of what is negative, signed undoes it.
func unlimited(d time.Duration) time.Duration {
	if d < 0 {
		return forever
	}
	return d
}

func signed(d time.Duration) time.Duration {
	if d == forever {
		return -1
	}
	return d
}

// keepAlive is how long the operator lets the model stay.
func (p *Pool) keepAlive() time.Duration {
	switch {
	case p.KeepAlive != nil:
		return unlimited(*p.KeepAlive)
	case len(p.Models) > 0:
		return forever
	}
	return DefaultKeepAlive
}

// Unload ends the stay of the model that serves name, as a request with a KeepAlive of 0 would; it does not load it for that. It
// returns whether the model is gone as soon as its last request ends: not where others than the user's group have used it, unless the
// user is an admin. The error is Find's.
func (p *Pool) Unload(name string, by User) (bool, error) {
	m, err := p.Find(name)
	if err != nil {
		return false, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[m.Name]
	if e == nil {
		return true, nil
	}
	zero := time.Duration(0)
	by.KeepAlive = &zero
	e.keep.note(by, p.keepAlive())
	if e.idle() {
		p.settle(e)
	}
	return e.keep.longest(0) == 0, nil
}

// Removed tells the pool that the store has no such model any more: what is loaded of it ends with its last request.
func (p *Pool) Removed(name string) {
	clean, err := models.CleanName(name)
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.entries[clean]; e != nil {
		p.retire(e)
	}
}
