package engine

import (
	"context"
	"sync"
)

// Stream is the answer to one request. One goroutine reads it.
type Stream struct {
	mu    sync.Mutex
	next  Event         // what has come since the last read
	ready chan struct{} // holds a token if next may be worth reading
}

func newStream() *Stream { return &Stream{ready: make(chan struct{}, 1)} }

// Next waits for the next event. The last one has Finish set; after it Next returns its end again. The error is ctx's, if it ends first.
func (s *Stream) Next(ctx context.Context) (Event, error) {
	for {
		select {
		case <-s.ready:
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
		if e, ok := s.take(); ok {
			return e, nil
		}
	}
}

// take returns what has come, false if that is nothing.
func (s *Stream) take() (Event, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.next
	s.next = Event{Finish: e.Finish, Err: e.Err, Usage: e.Usage}
	if e.Finish != "" {
		s.signal() // a further read finds the end again
	}
	return e, e.Finish != "" || len(e.Tokens) > 0 || len(e.Prompt) > 0 || e.Progress.Tokens > 0
}

// put adds e to what is to be read. It never waits: a reader that is late gets several events as one, so what a stream holds is
// bounded by its tokens.
func (s *Stream) put(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Progress.Tokens > 0 {
		s.next.Progress = e.Progress
	}
	s.next.Text += e.Text
	s.next.Tokens = append(s.next.Tokens, e.Tokens...)
	s.next.Logprobs = append(s.next.Logprobs, e.Logprobs...)
	s.next.Prompt = append(s.next.Prompt, e.Prompt...)
	s.next.Finish, s.next.Err, s.next.Usage = e.Finish, e.Err, e.Usage
	s.signal()
}

// signal wakes the reader.
func (s *Stream) signal() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}
