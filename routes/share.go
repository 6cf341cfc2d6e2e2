package routes

import (
	"fmt"
	"sync"
	"time"

	"ortserve/engine"
)

// shares are what each key holds of slots and queues, so that one key's requests cannot keep all others out.
type shares struct {
	mu      sync.Mutex
	held    map[*engine.Engine]map[string]int // sequences, by the key's name
	refused map[string]time.Time              // when a key last found no room
}

// waitingFor is how long a key that found no room counts as waiting: the time in which clients try again.
const waitingFor = 10 * time.Second

// hold counts n sequences of a key, which the function it returns gives back. While others wait a key may hold half of slots and queue.
// Others wait who have a sequence where all slots are taken, or who found no room a moment ago.
func (s *server) hold(e *engine.Engine, key Key, n int) (release func(), err error) {
	if key.Name == "" {
		return func() {}, nil
	}
	h := &s.shares
	h.mu.Lock()
	defer h.mu.Unlock()
	held := h.held[e]
	if held == nil {
		held = map[string]int{}
		if h.held == nil {
			h.held, h.refused = map[*engine.Engine]map[string]int{}, map[string]time.Time{}
		}
		h.held[e] = held
	}
	total := 0
	for _, k := range held {
		total += k
	}
	slots, mine := e.Info().Slots, held[key.Name]
	half := max((slots+s.Queue)/2, 1)
	if mine+n > half && (total > mine && total+n > slots || h.othersWait(key, s.now())) {
		return nil, &apiError{
			kind: kindRateLimited, retryAfter: time.Second,
			message: fmt.Sprintf("others wait, and this key has %d requests: while they do it may have half of --slots and --queue, %d", mine, half),
		}
	}
	held[key.Name] += n
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if held[key.Name] -= n; held[key.Name] == 0 {
			delete(held, key.Name)
		}
	}, nil
}

// othersWait says whether another key found no room a moment ago. The caller holds mu.
func (h *shares) othersWait(key Key, now time.Time) bool {
	for name, at := range h.refused {
		if name != key.Name && now.Sub(at) < waitingFor {
			return true
		}
	}
	return false
}

// found records whether a key found room.
func (s *server) found(key Key, room bool) {
	if key.Name == "" {
		return
	}
	s.shares.mu.Lock()
	defer s.shares.mu.Unlock()
	if room {
		delete(s.shares.refused, key.Name)
	} else {
		s.shares.refused[key.Name] = s.now()
	}
}
