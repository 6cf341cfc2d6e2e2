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
