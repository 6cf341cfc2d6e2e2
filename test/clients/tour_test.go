package clients

import (
	"testing"
	"time"
)

// until calls f while it fails with busy: what holds the only slot is on its way out.
func until(t *testing.T, f func() error, busy func(error) bool) {
	t.Helper()
	for range 50 {
		err := f()
		if err == nil {
			return
		}
		if !busy(err) {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("the slot stays taken")
}

// limited calls f more often than a key may in a minute, and returns the first error.
func limited(t *testing.T, f func() error) error {
	t.Helper()
	for range 80 {
		if err := f(); err != nil {
			return err
		}
	}
	t.Fatal("80 requests in a minute, and none too many")
	return nil
}
