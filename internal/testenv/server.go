package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// hang is how long a test waits for what should take seconds at most.
const hang = 2 * time.Minute

// Build builds the real program into the folder dir and returns its path. race asks for the race detector.
func Build(dir string, race bool) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "ortserve")
	args := []string{"build", "-o", binary, "./cmd/ortserve"}
	if race {
		args = append([]string{"build", "-race"}, args[1:]...)
	}
	cmd := exec.CommandContext(context.Background(), "go", args...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/ortserve: %w\n%s", err, out)
	}
	return binary, nil
}

// Main is a TestMain's body: it builds the program with the race detector, sets binary to its path while the tests run, and returns
// the exit code.
func Main(m *testing.M, binary *string) int {
	dir, err := os.MkdirTemp("", "ortserve-test-")
	if err == nil {
		defer os.RemoveAll(dir)
		*binary, err = Build(dir, true)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// Server is a running `ortserve serve`.
type Server struct {
	URL  string // http://127.0.0.1:PORT
	cmd  *exec.Cmd
	log  *output
	done chan struct{} // closed when the process has ended
	code int           // its exit code, after done
}

// Start starts binary with `serve --addr 127.0.0.1:0` and args and waits until it is ready. If it still runs
// at the end of the test it is stopped and must end with 0. A data race fails the test in any case.
func Start(t testing.TB, binary string, args ...string) *Server {
	t.Helper()
	Runtime(t) // says what to run where it is missing
	s := Launch(t, binary, append([]string{"serve", "--addr", "127.0.0.1:0"}, args...)...)
	s.WaitListening(t)
	s.waitReady(t)
	t.Cleanup(func() {
		select {
		case <-s.done: // the test has ended it and looked at how
			return
		default:
		}
		if code := s.Stop(t, syscall.SIGINT); code != 0 {
			t.Errorf("the server ended with exit code %d, its log:\n%s", code, s.Log())
		}
	})
	return s
}

// WaitListening waits until the server has a port, and sets URL.
func (s *Server) WaitListening(t testing.TB) {
	t.Helper()
	s.URL = "http://127.0.0.1:" + s.WaitLog(t, regexp.MustCompile(`msg=listening .*\baddr="?(?:[0-9.]+|\[::\]):([0-9]+)`))[1]
}

// Launch starts binary with args and waits for nothing. At the end of the test it is killed if it still runs.
func Launch(t testing.TB, binary string, args ...string) *Server {
	t.Helper()
	s := &Server{log: newOutput(), done: make(chan struct{})}
	s.cmd = exec.CommandContext(context.Background(), binary, args...) // the test's context ends before its cleanups
	s.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")       // the race detector's wait at the end
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		err := s.cmd.Wait()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			s.code = exit.ExitCode()
		} else if err != nil {
			s.code = -1
		}
		close(s.done)
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill() // an error says that it has ended
		<-s.done
		if log := s.Log(); strings.Contains(log, "DATA RACE") {
			t.Errorf("the race detector spoke:\n%s", log)
		}
	})
	return s
}

// Signal sends sig to the process.
func (s *Server) Signal(t testing.TB, sig os.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

// Stop sends sig, waits for the end and returns the exit code.
func (s *Server) Stop(t testing.TB, sig syscall.Signal) int {
	t.Helper()
	s.Signal(t, sig)
	return s.Wait(t)
}

// Wait waits for the end and returns the exit code.
func (s *Server) Wait(t testing.TB) int {
	t.Helper()
	select {
	case <-s.done:
		return s.code
	case <-time.After(hang):
		t.Fatalf("the server does not end, its log:\n%s", s.Log())
		return -1
	}
}

// Done is closed when the process has ended.
func (s *Server) Done() <-chan struct{} { return s.done }

// Log is what the process wrote so far.
func (s *Server) Log() string { return s.log.String() }

// WaitLog waits until the process has written what matches re and returns the match with its groups.
func (s *Server) WaitLog(t testing.TB, re *regexp.Regexp) []string {
	t.Helper()
	deadline := time.After(hang)
	for {
		written := s.log.written()
		if m := re.FindStringSubmatch(s.Log()); m != nil {
			return m
		}
		select {
		case <-written:
		case <-s.done:
			if m := re.FindStringSubmatch(s.Log()); m != nil {
				return m
			}
			t.Fatalf("the server ended with exit code %d and did not write %s, its log:\n%s", s.code, re, s.Log())
		case <-deadline:
			t.Fatalf("the server does not write %s, its log:\n%s", re, s.Log())
		}
	}
}

func (s *Server) waitReady(t testing.TB) {
	t.Helper()
	deadline := time.Now().Add(hang)
	for {
		code, err := Status(t.Context(), s.URL+"/readyz")
		if err == nil && code == 200 {
			return
		}
		select {
		case <-s.done:
			t.Fatalf("the server ended with exit code %d, its log:\n%s", s.code, s.Log())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server does not become ready (%d, %v), its log:\n%s", code, err, s.Log())
		}
	}
}

// output collects what a process writes.
type output struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	more chan struct{} // closed at the next write
}

func newOutput() *output { return &output{more: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.more)
	o.more = make(chan struct{})
	return o.buf.Write(p)
}

func (o *output) written() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.more
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
