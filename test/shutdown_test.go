package test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"ortserve/internal/testenv"
	"ortserve/internal/testmodel"
)

// stream opens a generation of n tokens, endless if n is 0, and reads its first line.
func stream(t *testing.T, s *testenv.Server, options string) (lines *bufio.Reader) {
	t.Helper()
	resp := open(t, t.Context(), http.MethodPost, s.URL+"/api/generate",
		`{"model":"tiny","prompt":"Go on.","options":{"temperature":0`+options+`}}`)
	t.Cleanup(func() { resp.Body.Close() })
	lines = bufio.NewReader(resp.Body)
	firstLine(t, lines, `"response"`)
	return lines
}

// lastLine reads to the end of a stream.
func lastLine(t *testing.T, lines *bufio.Reader) string {
	t.Helper()
	b, err := io.ReadAll(lines)
	if err != nil {
		t.Fatalf("the stream was cut off: %v after %q", err, b)
	}
	all := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	return all[len(all)-1]
}

// TestDrain: SIGTERM lets running answers end, takes no new ones, and the exit code is 0.
func TestDrain(t *testing.T) {
	f := func(name string, sig syscall.Signal, args ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			s := startTiny(t, append(endless, args...)...)
			lines := stream(t, s, `,"num_predict":2000`)
			s.Signal(t, sig)
			var last generated
			if line := lastLine(t, lines); json.Unmarshal([]byte(line), &last) != nil || !last.Done || last.EvalCount != 2000 {
				t.Errorf("the running answer ended with %s", line)
			}
			if code := s.Wait(t); code != 0 {
				t.Errorf("exit code %d, log:\n%s", code, s.Log())
			}
			if a, err := testenv.Status(t.Context(), s.URL+"/livez"); err == nil {
				t.Errorf("after the end it answers %d", a)
			}
		})
	}
	f("SIGTERM", syscall.SIGTERM, "--drain-delay", "0s")
	f("SIGINT skips the delay", syscall.SIGINT, "--drain-delay", "1h")
}

// TestDrainWhileLoading: what a loaded model answers may end though another model still loads. What the second one computes before it is ready
// takes as long as it took the first.
func TestDrainWhileLoading(t *testing.T) {
	dir := t.TempDir()
	if err := testmodel.Write(dir, testmodel.Config{Positions: window + 1}); err != nil {
		t.Fatal(err)
	}
	prefix := filepath.Join(dir, "prefix.txt")
	if err := os.WriteFile(prefix, []byte(strings.Repeat("1 2 3 ", 1500)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := testenv.Launch(t, binary, append([]string{
		"serve", "--addr", "127.0.0.1:0", "--model", "tiny=" + dir, "--model", "second=" + dir, "--shared-prefix", prefix,
		"--drain-delay", "0s", "--drain", "20s",
	}, endless...)...)
	s.WaitListening(t)
	s.WaitLog(t, regexp.MustCompile(`msg="model loaded" model=tiny`))
	lines := stream(t, s, `,"num_predict":1000`)
	if code, err := testenv.Status(t.Context(), s.URL+"/readyz"); err != nil || code != http.StatusServiceUnavailable {
		t.Fatalf("while a model loads /readyz is %d, %v", code, err)
	}
	s.Signal(t, syscall.SIGTERM)
	var last generated
	if line := lastLine(t, lines); json.Unmarshal([]byte(line), &last) != nil || !last.Done || last.EvalCount != 1000 {
		t.Errorf("the running answer ended with %s", line)
	}
	if code := s.Wait(t); code != 0 {
		t.Errorf("exit code %d, log:\n%s", code, s.Log())
	}
}

// TestDrainDelay: during the delay the server still serves, and /readyz says no.
func TestDrainDelay(t *testing.T) {
	s := startTiny(t, "--drain-delay", "2s")
	s.Signal(t, syscall.SIGTERM)
	deadline := time.Now().Add(time.Second)
	for {
		code, err := testenv.Status(t.Context(), s.URL+"/readyz")
		if err != nil {
			t.Fatalf("during the delay: %v", err)
		}
		if code == http.StatusServiceUnavailable {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("/readyz is %d a second after SIGTERM", code)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if code, err := testenv.Status(t.Context(), s.URL+"/livez"); err != nil || code != http.StatusOK {
		t.Errorf("/livez is %d, %v", code, err)
	}
	a := post(t, s.URL+"/api/generate", `{"model":"tiny","prompt":"Short.","stream":false,"options":{"num_predict":3}}`)
	if g := decode[generated](t, a); g.EvalCount != 3 {
		t.Errorf("a request during the delay: %+v", g)
	}
	if code := s.Wait(t); code != 0 {
		t.Errorf("exit code %d, log:\n%s", code, s.Log())
	}
}

// TestDrainLimit: what still runs after --drain is told so inside its stream; the exit code is 0.
func TestDrainLimit(t *testing.T) {
	s := startTiny(t, append(endless, "--drain-delay", "0s", "--drain", "300ms")...)
	lines := stream(t, s, "")
	begin := time.Now()
	s.Signal(t, syscall.SIGTERM)
	var e map[string]string
	if line := lastLine(t, lines); json.Unmarshal([]byte(line), &e) != nil || !strings.Contains(e["error"], "shutting down") {
		t.Errorf("the stream ended with %s, want an error that says why", line)
	}
	if code := s.Wait(t); code != 0 {
		t.Errorf("exit code %d, log:\n%s", code, s.Log())
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("the end took %s", took)
	}
}

// TestSecondSignal: one signal drains, a second one ends the server at once.
func TestSecondSignal(t *testing.T) {
	f := func(first, second syscall.Signal, args ...string) {
		t.Helper()
		s := startTiny(t, append(append(endless, "--drain", "1h"), args...)...)
		stream(t, s, "")
		s.Signal(t, first)
		time.Sleep(300 * time.Millisecond)
		select {
		case <-s.Done():
			t.Fatalf("%s ended the server, log:\n%s", first, s.Log())
		default:
		}
		begin := time.Now()
		if code := s.Stop(t, second); code != 1 {
			t.Errorf("%s, then %s: exit code %d, want 1", first, second, code)
		}
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("%s, then %s: the end took %s", first, second, took)
		}
	}
	f(syscall.SIGTERM, syscall.SIGTERM, "--drain-delay", "0s")
	f(syscall.SIGTERM, syscall.SIGTERM, "--drain-delay", "1h")
	f(syscall.SIGINT, syscall.SIGINT)
	f(syscall.SIGTERM, syscall.SIGINT)
}
