package routes

import (
	"fmt"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

// forgive forgets which addresses sent wrong keys.
func (w *world) forgive() {
	w.guesses.mu.Lock()
	defer w.guesses.mu.Unlock()
	w.guesses.from = nil
}

// TestGuesses: wrong keys from one address meet 401, then 429 with pauses that grow; the keys that came from there before
// are taken all the while, no other one is, and none from elsewhere is touched.
func TestGuesses(t *testing.T) {
	w := fileWorld(t, "a:a:inference:right\nb:b:inference:guessed")
	var seconds atomic.Int64
	w.now = func() time.Time { return fixedTime.Add(time.Duration(seconds.Load()) * time.Second) }
	f := func(key string, status int, retry string) {
		t.Helper()
		r := w.do(http.MethodGet, "/v1/models", "", "Authorization", "Bearer "+key)
		if r.status != status || r.header.Get("Retry-After") != retry {
			t.Errorf("%s: %d %q %s, want %d %q", key, r.status, r.header.Get("Retry-After"), r.body, status, retry)
		}
	}
	f("right", 200, "")
	for i := range freeGuesses {
		f(fmt.Sprint("wrong", i), 401, "")
	}
	for _, pause := range []int64{1, 2, 4, 8, 16, 32, 60, 60} {
		f("wrong", 429, fmt.Sprint(pause))
		f("guessed", 429, fmt.Sprint(pause)) // nor does a pause tell that it is right
		f("right", 200, "")
		seconds.Add(pause)
		f("wrong", 401, "")
	}
	seconds.Add(int64(longestPause / time.Second))
	f("guessed", 200, "")

	// Many addresses: what is remembered is bounded.
	for i := range 10_000 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
		w.guesses.mu.Lock()
		w.guesses.add(p, &guesser{last: w.now()}, w.now())
		w.guesses.known(p, "a")
		w.guesses.mu.Unlock()
	}
	if n, m := len(w.guesses.from), len(w.guesses.names); n > maxGuessers || m > maxGuessers {
		t.Errorf("%d and %d addresses are remembered", n, m)
	}
}
