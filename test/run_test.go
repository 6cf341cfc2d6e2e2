//go:build unix

package test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"ortserve/internal/testenv"
)

// screen is what `ortserve run` shows on a terminal of its own.
type screen struct {
	t    *testing.T
	cmd  *exec.Cmd
	tty  *os.File
	done chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
	seen int // up to where expect has looked
}

// onTerminal starts `ortserve run` on a terminal. Its store is home.
func onTerminal(t *testing.T, home string, args ...string) *screen {
	t.Helper()
	s := &screen{t: t, cmd: exec.CommandContext(t.Context(), binary, append([]string{"run"}, args...)...), done: make(chan struct{})}
	s.cmd.Env = append(os.Environ(), "ORTSERVE_HOME="+home, "TERM=xterm")
	tty, err := pty.StartWithSize(s.cmd, &pty.Winsize{Rows: 40, Cols: 200})
	if err != nil {
		t.Fatal(err)
	}
	s.tty = tty
	go func() {
		defer close(s.done)
		buf := make([]byte, 4096)
		for {
			n, err := tty.Read(buf)
			s.mu.Lock()
			s.text.Write(buf[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = tty.Close()
		_ = s.cmd.Process.Kill()
		<-s.done
	})
	return s
}

// write types text.
func (s *screen) write(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.tty, text); err != nil {
		s.t.Fatalf("%v; on the screen:\n%s", err, s.shown())
	}
}

func (s *screen) shown() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// expect waits until something that was not looked at yet matches, and returns the match.
func (s *screen) expect(pattern string) []string {
	s.t.Helper()
	re := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		text := s.shown()
		if at := re.FindStringSubmatchIndex(text[s.seen:]); at != nil {
			m := re.FindStringSubmatch(text[s.seen:])
			s.seen += at[1]
			return m
		}
	}
	s.t.Fatalf("no %q on the screen behind byte %d:\n%q", pattern, s.seen, s.shown())
	return nil
}

// ended waits for the end of the program and returns its exit code.
func (s *screen) ended() int {
	s.t.Helper()
	<-s.done
	_ = s.cmd.Wait() // the exit code is asked for below
	return s.cmd.ProcessState.ExitCode()
}

// TestRunTerminal leads a conversation with a running server on a terminal: an answer that is stopped frees its slot, texts of several
// lines, commands, the keys of a line editor, and the history that the next conversation finds.
func TestRunTerminal(t *testing.T) {
	server := startTiny(t, append(endless, "--slots", "1")...)
	home := t.TempDir()
	s := onTerminal(t, home, "tiny", "--server", server.URL, "--set", "temperature=0")
	s.expect(`tiny\. /help lists commands`)

	s.write("Go on.\r")
	s.expect(`\n[^\n]{20}`) // of the answer, which has no end
	s.write("\x03")
	s.expect(`\(stopped\)`)
	shortly(t, server)

	s.write("/set num_predict 5\r/stats\r")
	s.expect("/stats")
	s.write("Helo\x1b[Dl\r") // cursor left: Hello
	s.expect(`5 tokens, [\d.]+ a second; prompt (\d+) tokens, \d+ cached, \d+ ms; cut at the length`)
	s.write("\"\"\"one\rtwo\r\"\"\"\r")
	s.expect(`cut at the length`)
	s.write("/clear\r/again\r")
	s.expect("error: there is no question yet")
	s.write("/set\r")
	s.expect(`num_predict 5\r\n +temperature 0`)
	s.write("/set nosuch 1\r/set num_predict many\rHello\r")
	s.expect(`error: .*num_predict`)
	s.write("/models\r")
	s.expect(`tiny:latest`)
	s.write("/show\r")
	s.expect(`tiny: llama, .* parameters, .* tokens of context`)
	s.write("/model nosuch\r")
	s.expect(`error: model 'nosuch' not found`)
	s.write("/he\t\r")
	s.expect(`/again +ask the last question again`)
	s.write("/nosuch\r")
	s.expect(`error: there is no command /nosuch`)
	s.write("\x04")
	if code := s.ended(); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, s.shown())
	}
	history, err := os.ReadFile(filepath.Join(home, "history"))
	if err != nil || !strings.Contains(string(history), "Go on.\n") || !strings.Contains(string(history), "Hello\n") || !strings.Contains(string(history), "one two\n") {
		t.Errorf("history: %q, %v", history, err)
	}
	if info, err := os.Stat(filepath.Join(home, "history")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the history is not its owner's alone: %v, %v", info.Mode(), err)
	}

	s = onTerminal(t, home, "tiny", "--server", server.URL)
	s.expect(`> `)
	s.write("\x1b[A\x1b[A\x1b[A\r") // three up: before /nosuch and /help it was /model nosuch
	s.expect(`error: model 'nosuch' not found`)
	s.write("/bye\r")
	if code := s.ended(); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, s.shown())
	}
}

// TestRunPipe: with a prompt or a pipe `ortserve run` prints the answer and nothing else, out of a model of its own process or of a server.
func TestRunPipe(t *testing.T) {
	model := testenv.DefaultModel(t)
	run := func(in string, args ...string) (out, errs string, err error) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), binary, append([]string{"run"}, args...)...)
		cmd.Stdin = strings.NewReader(in)
		var o, e strings.Builder
		cmd.Stdout, cmd.Stderr = &o, &e
		err = cmd.Run()
		return o.String(), e.String(), err
	}
	const question = "What is the capital of France?"
	server := testenv.Start(t, binary, "--model", "m="+model)
	want := post(t, server.URL+"/api/chat", `{"model":"m","stream":false,"options":{"temperature":0},"messages":[{"role":"user","content":"`+question+`"}]}`)
	var whole struct{ Message struct{ Content string } }
	if err := json.Unmarshal([]byte(want.body), &whole); err != nil {
		t.Fatal(err)
	}
	answer := whole.Message.Content + "\n"
	if !strings.Contains(answer, "Paris") {
		t.Fatalf("%q", answer)
	}
	if out, errs, err := run(question+"\n", model, "--set", "temperature=0"); out != answer || errs != "" || err != nil {
		t.Errorf("a pipe, the model here: %q, %q, %v; want %q", out, errs, err, answer)
	}
	if out, errs, err := run(question+"\n", "m", "--set", "temperature=0", "--server", server.URL+"/", "--stats"); out != answer || !strings.Contains(errs, "8 tokens") || err != nil {
		t.Errorf("a pipe, with a server: %q, %q, %v; want %q", out, errs, err, answer)
	}
	schema := filepath.Join(t.TempDir(), "schema.json")
	if err := os.WriteFile(schema, []byte(`{"type":"object","properties":{"city":{"enum":["Paris","Rome"]}},"required":["city"],"additionalProperties":false}`), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, err := run("in France", "m", "--server", server.URL, "--set", "temperature=0", "--format", schema, "--", "The capital?")
	var city struct{ City string }
	if json.Unmarshal([]byte(out), &city) != nil || city.City == "" || errs != "" || err != nil {
		t.Errorf("words and a pipe, with a schema: %q, %q, %v", out, errs, err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"nosuch", "--server", server.URL}, "ortserve run: model 'nosuch' not found"},
		{[]string{"m", "--server", "localhost"}, "ortserve run: --server localhost: an address like http://127.0.0.1:9112 is expected"},
		{[]string{"m", "--server", server.URL, "--set", "temperature"}, `"temperature" is not NAME=VALUE`},
		{[]string{"m", "--server", server.URL, "--set", "mirostat=2"}, "mirostat"},
	} {
		out, errs, err := run("hi", c.args...)
		if out != "" || !strings.Contains(errs, c.want) || err == nil {
			t.Errorf("%q: %q, %q, %v; want %q", c.args, out, errs, err, c.want)
		}
	}
	if out, errs, err := run("", "m", "--server", server.URL); out != "" || !strings.Contains(errs, "there is no prompt") || err == nil {
		t.Errorf("no prompt: %q, %q, %v", out, errs, err)
	}
}
