package routes

import (
	"fmt"
	"sync"
	"time"
)

// quotas bound what each key may ask for in a minute. A quota is a bucket that holds a minute's worth and fills steadily.
type quotas struct {
	mu      sync.Mutex
	buckets map[string]*bucket // by the key's name
}

// bucket is what a key may still take. Tokens may go below zero: how long an answer gets is known when it ends.
type bucket struct {
	requests, tokens float64
	at               time.Time
}

// take lets one request of a key in, or says how long it has to wait.
func (s *server) take(key Key) error {
	if key.Name == "" || s.KeyRequests == 0 && s.KeyTokens == 0 {
		return nil
	}
	s.quotas.mu.Lock()
	defer s.quotas.mu.Unlock()
	b := s.fill(key)
	switch {
	case s.KeyRequests > 0 && b.requests < 1:
		return rateLimited(fmt.Sprintf("%d requests a minute (--key-requests-per-minute)", s.KeyRequests), (1-b.requests)/float64(s.KeyRequests))
	case s.KeyTokens > 0 && b.tokens <= 0:
		return rateLimited(fmt.Sprintf("%d tokens a minute (--key-tokens-per-minute)", s.KeyTokens), (1-b.tokens)/float64(s.KeyTokens))
	}
	b.requests--
	return nil
}

// spend counts tokens of a request that take let in.
func (s *server) spend(key Key, tokens int) {
	if key.Name == "" || s.KeyTokens == 0 {
		return
	}
	s.quotas.mu.Lock()
	defer s.quotas.mu.Unlock()
	s.fill(key).tokens -= float64(tokens)
}

// fill returns the key's bucket, filled up to now. The caller holds mu.
func (s *server) fill(key Key) *bucket {
	now := s.now()
	b := s.quotas.buckets[key.Name]
	if b == nil {
		b = &bucket{requests: float64(s.KeyRequests), tokens: float64(s.KeyTokens), at: now}
		if s.quotas.buckets == nil {
			s.quotas.buckets = map[string]*bucket{}
		}
		s.quotas.buckets[key.Name] = b
	}
	minutes := max(now.Sub(b.at), 0).Minutes()
	b.at = now
	b.requests = min(b.requests+minutes*float64(s.KeyRequests), float64(s.KeyRequests))
	b.tokens = min(b.tokens+minutes*float64(s.KeyTokens), float64(s.KeyTokens))
	return b
}

// rateLimited is the error of a key that has used up what it may have; minutes is when it has some again.
func rateLimited(what string, minutes float64) error {
	return &apiError{
		kind: kindRateLimited, message: "this key may have " + what,
		retryAfter: time.Duration(minutes * float64(time.Minute)),
	}
}
