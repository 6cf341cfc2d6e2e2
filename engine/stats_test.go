package engine

import (
	"testing"
	"time"
)

func TestStalled(t *testing.T) {
	f := func(what string, p pulse, want bool) {
		t.Helper()
		e := &Engine{pulse: p}
		if got := e.Stalled(); got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	f("idle", pulse{longest: time.Second}, false)
	f("a step in its time", pulse{since: ago(9 * time.Second), longest: time.Millisecond}, false)
	f("a step that hangs", pulse{since: ago(11 * time.Second), longest: time.Millisecond}, true)
	f("a long step where steps are long", pulse{since: ago(40 * time.Second), longest: 5 * time.Second}, false)
	f("a longer one", pulse{since: ago(51 * time.Second), longest: 5 * time.Second}, true)
	f("the first step", pulse{since: ago(time.Minute)}, false)
	f("the first step, for ever", pulse{since: ago(11 * time.Minute)}, true)
}

// Who is refused is told to come back when a slot will be free, by how long sequences took of late.
func TestRetryAfter(t *testing.T) {
	f := func(service time.Duration, active int, want time.Duration) {
		t.Helper()
		e := &Engine{info: ModelInfo{Slots: 4}, load: load{active: active, service: service}}
		if got := e.retryAfter(); got != want {
			t.Errorf("%d sequences of %s in 4 slots: %s, want %s", active, service, got, want)
		}
	}
	f(0, 4, shortestRetry) // nothing is known
	f(100*time.Millisecond, 4, shortestRetry)
	f(3*time.Second, 4, 3*time.Second)
	f(3*time.Second, 8, 6*time.Second) // four wait: their turn comes first
	f(3*time.Second, 12, 9*time.Second)
	f(time.Minute, 100, longestRetry)

	e := &Engine{info: ModelInfo{Slots: 4}, options: Options{Queue: 4}}
	for range 64 {
		if err := e.admit(10); err != nil {
			t.Fatal(err)
		}
		e.account(&Sequence{prompt: 10, started: time.Now().Add(-2 * time.Second)})
	}
	if got := e.load.service.Round(100 * time.Millisecond); got != 2*time.Second {
		t.Errorf("after sequences of 2 s a slot is expected in %s", got)
	}
}
