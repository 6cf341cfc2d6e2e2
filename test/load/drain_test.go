package load

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ortserve/internal/testenv"
)

// loaded is a server with eight streams of both dialects, all of which have begun, and a ninth slot.
type loaded struct {
	*testenv.Server
	addr    string
	answers []answer
	all     sync.WaitGroup
}

func underLoad(t *testing.T, tokens int, args ...string) *loaded {
	t.Helper()
	const n = 8
	l := &loaded{Server: start(t, append(args, "--slots", "9")...), answers: make([]answer, n)}
	l.addr = strings.TrimPrefix(l.URL, "http://")
	var begun sync.WaitGroup
	begun.Add(n)
	for i := range n {
		c := send(t, l.addr, question{api: api(i % 2), streaming: true, id: fmt.Sprintf("stream-%d", i), prompt: letters(i, 30), tokens: tokens})
		l.all.Go(func() {
			once := sync.OnceFunc(begun.Done)
			defer once()
			l.answers[i] = c.read(func(*answer) bool { once(); return true })
			if err := l.answers[i].complete(c.question); err == nil {
				l.answers[i].failure = ""
			} else if l.answers[i].failure == "" {
				l.answers[i].failure = err.Error()
			}
		})
	}
	begun.Wait()
	return l
}

// TestDrainUnderLoad: after SIGTERM /readyz says no at once, requests that still come are served during --drain-delay, and every stream
// that runs ends as it should have.
func TestDrainUnderLoad(t *testing.T) {
	const delay = time.Second
	l := underLoad(t, 500, "--drain-delay", delay.String(), "--drain", "2m")
	begin := time.Now()
	l.Signal(t, syscall.SIGTERM)
	unready := time.Duration(0)
	for unready == 0 {
		code, err := testenv.Status(t.Context(), l.URL+"/readyz")
		if err != nil {
			t.Fatal(err)
		}
		if code == http.StatusServiceUnavailable {
			unready = time.Since(begin)
		} else if time.Since(begin) > delay {
			t.Fatalf("/readyz is %d", code)
		}
	}
	served := 0
	for time.Since(begin) < delay*3/4 {
		q := question{api: api(served % 2), streaming: served%4 < 2, id: fmt.Sprintf("late-%d", served), prompt: "Short.", tokens: 2}
		a := ask(t, l.addr, q)
		if err := a.complete(q); err != nil && time.Since(begin) < delay {
			t.Errorf("a request during the delay: %v", err)
		}
		served++
	}
	l.all.Wait()
	streamed := time.Since(begin)
	for i, a := range l.answers {
		if a.failure != "" {
			t.Errorf("stream %d: %s", i, a.failure)
		}
	}
	if code := l.Wait(t); code != 0 {
		t.Errorf("exit code %d, log:\n%s", code, l.Log())
	}
	t.Logf("/readyz said no after %s; %d requests served during the delay; 8 streams whole after %s, the end after %s",
		unready.Round(time.Microsecond), served, streamed.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond))
	if served == 0 {
		t.Error("no request came during the delay")
	}
}

// TestDrainCuts: what still runs after --drain ends with an error inside its stream, in each dialect's way, and the exit code is 0.
func TestDrainCuts(t *testing.T) {
	l := underLoad(t, endless, "--drain-delay", "0s", "--drain", "300ms")
	begin := time.Now()
	l.Signal(t, syscall.SIGTERM)
	l.all.Wait()
	for i, a := range l.answers {
		done := 1 - i%2 // [DONE] ends an event stream, an error too
		if a.err != nil || !strings.Contains(a.failure, "shutting down") || a.terminal != 1 || a.done != done || a.finish != "" {
			t.Errorf("stream %d: %v, %q, %d ends, %d times [DONE], reason %q", i, a.err, a.failure, a.terminal, a.done, a.finish)
		}
	}
	if code := l.Wait(t); code != 0 {
		t.Errorf("exit code %d, log:\n%s", code, l.Log())
	}
	t.Logf("8 streams told, the end %s after the signal", time.Since(begin).Round(time.Millisecond))
}

// TestSecondSignal: a second signal ends the server at once, whatever runs.
func TestSecondSignal(t *testing.T) {
	l := underLoad(t, endless, "--drain-delay", "1h", "--drain", "1h")
	l.Signal(t, syscall.SIGTERM)
	time.Sleep(200 * time.Millisecond)
	begin := time.Now()
	if code := l.Stop(t, syscall.SIGTERM); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	took := time.Since(begin)
	if took > 10*time.Second { // ten times the figure
		t.Errorf("the end took %s", took)
	}
	l.all.Wait()
	for i, a := range l.answers {
		if a.finish != "" || a.done != 0 {
			t.Errorf("stream %d: cut off, and yet %q, %d times [DONE]", i, a.finish, a.done)
		}
	}
	t.Logf("the end %s after the second signal", took.Round(time.Millisecond))
}
