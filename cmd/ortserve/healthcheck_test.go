package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ortserve/internal/testenv"
)

// probed is a server whose /readyz answers with a status, after a wait.
func probed(t *testing.T, address string, status int, wait time.Duration) (addr string, asked *atomic.Int32) {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	asked = new(atomic.Int32)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/readyz" {
			t.Errorf("it asks %s %s", r.Method, r.URL.Path)
		}
		asked.Add(1)
		select {
		case <-time.After(wait):
		case <-r.Context().Done():
		}
		w.WriteHeader(status)
	}))
	_ = s.Listener.Close() // one that it opened itself
	s.Listener = ln
	s.Start()
	t.Cleanup(s.Close)
	return ln.Addr().String(), asked
}

func TestHealthcheck(t *testing.T) {
	t.Setenv("ORTSERVE_ADDR", "")
	f := func(want int, failure string, args ...string) {
		t.Helper()
		code, out, err := at(append([]string{"healthcheck"}, args...)...)
		if code != want || out != "" || (err == "") != (failure == "") || !strings.Contains(err, failure) {
			t.Errorf("%q: exit code %d, output %q, errors %q; want %d and %q", args, code, out, err, want, failure)
		}
	}
	ready, asked := probed(t, "127.0.0.1:0", http.StatusOK, 0)
	f(0, "", "--addr", ready)
	if n := asked.Load(); n != 1 {
		t.Errorf("it asked %d times", n)
	}
	loading, _ := probed(t, "127.0.0.1:0", http.StatusServiceUnavailable, 0)
	f(1, loading+" is not ready: 503 Service Unavailable", "--addr", loading)

	slow, _ := probed(t, "127.0.0.1:0", http.StatusOK, time.Minute)
	f(1, "deadline", "--addr", slow, "--timeout", "50ms")

	f(1, "refused", "--addr", testenv.FreeAddr(t))
	f(1, `--addr "9112"`, "--addr", "9112")
	f(1, "invalid value", "--addr", ready, "--timeout", "soon")

	// A server that listens everywhere is asked on the loopback interface.
	all, asked := probed(t, "0.0.0.0:0", http.StatusOK, 0)
	_, port, err := net.SplitHostPort(all)
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{"0.0.0.0:" + port, ":" + port, "[::]:" + port, "localhost:" + port} {
		before := asked.Load()
		f(0, "", "--addr", addr)
		if asked.Load() != before+1 {
			t.Errorf("%s: the server was not asked", addr)
		}
	}

	t.Setenv("ORTSERVE_ADDR", ready)
	f(0, "")
	t.Setenv("ORTSERVE_ADDR", loading)
	f(1, "503")
	f(0, "", "--addr", ready) // the flag wins
}
