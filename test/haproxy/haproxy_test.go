// Package haproxy runs deploy/haproxy/haproxy.cfg for real: a HAProxy in front of two servers.
package haproxy

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ortserve/internal/testenv"
	"ortserve/internal/testmodel"
)

var binary string

func TestMain(m *testing.M) { os.Exit(testenv.Main(m, &binary)) }

// farm is two servers of the same tiny model behind a HAProxy.
type farm struct {
	url      string
	args     [2][]string
	replicas [2]*testenv.Server
}

// newFarm starts them.
func newFarm(t *testing.T) *farm {
	t.Helper()
	program, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("there is no haproxy; test/haproxy/haproxy.sh installs it on Debian")
	}
	root, err := testenv.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	// In blocks of 32 a run's rows are the same bits whatever runs beside them.
	if err := testmodel.Write(dir, testmodel.Config{Positions: 8193, Hidden: 64, Bits: 8, Block: 32, AccuracyLevel: 4}); err != nil {
		t.Fatal(err)
	}
	listen := testenv.FreeAddr(t)
	f := &farm{url: "http://" + listen}
	env := append(os.Environ(), "ORTSERVE_LISTEN="+listen)
	for i := range f.replicas {
		addr := testenv.FreeAddr(t)
		f.args[i] = []string{"--addr", addr, "--model", "tiny=" + dir, "--slots", "8", "--max-len", "8192"}
		env = append(env, fmt.Sprintf("ORTSERVE_REPLICA_%d=%s", i+1, addr))
		f.start(t, i)
	}
	var log bytes.Buffer
	cmd := exec.CommandContext(context.Background(), program, "-db", "-f", filepath.Join(root, "deploy", "haproxy", "haproxy.cfg"))
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // by that signal
		if t.Failed() {
			t.Logf("haproxy wrote:\n%s", log.String())
		}
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if code, err := testenv.Status(t.Context(), f.url+"/readyz"); err == nil && code == http.StatusOK {
			return f
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing answers behind haproxy")
		}
	}
}

// start starts a replica, again too.
func (f *farm) start(t *testing.T, i int) {
	t.Helper()
	f.replicas[i] = testenv.Start(t, binary, f.args[i]...)
}

// answer is what of an answer is compared.
type answer struct {
	text, finish   string
	tokens, cached int
}

// ask asks for tokens of an answer, streamed or whole. An answer that is not whole is an error.
func (f *farm) ask(ctx context.Context, conversation, prompt string, tokens int, stream bool) (answer, error) {
	body := fmt.Sprintf(`{"model":"tiny","temperature":0,"max_tokens":%d,"stream":%t,"messages":[{"role":"user","content":%q}]`, tokens, stream, prompt)
	if stream {
		body += `,"stream_options":{"include_usage":true}`
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url+"/v1/chat/completions", strings.NewReader(body+"}"))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	if conversation != "" {
		req.Header.Set("X-Conversation-Id", conversation)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return answer{}, fmt.Errorf("status %s", resp.Status)
	}
	var a answer
	ended := false
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data := strings.TrimPrefix(lines.Text(), "data: ")
		if data == "" || strings.HasPrefix(data, ":") {
			continue
		}
		if data == "[DONE]" {
			ended = true
			continue
		}
		var c struct {
			Choices []struct {
				Delta, Message struct{ Content string }
				FinishReason   string `json:"finish_reason"`
			}
			Usage *struct {
				CompletionTokens int `json:"completion_tokens"`
				Details          struct {
					Cached int `json:"cached_tokens"`
				} `json:"prompt_tokens_details"`
			}
			Error any
		}
		if err := json.Unmarshal([]byte(data), &c); err != nil {
			return a, fmt.Errorf("%w in %s", err, data)
		}
		if c.Error != nil {
			return a, fmt.Errorf("an error: %s", data)
		}
		for _, choice := range c.Choices {
			a.text += choice.Delta.Content + choice.Message.Content
			a.finish += choice.FinishReason
		}
		if c.Usage != nil {
			a.tokens, a.cached = c.Usage.CompletionTokens, c.Usage.Details.Cached
		}
		ended = ended || !stream
	}
	if err := lines.Err(); err != nil {
		return a, err
	}
	if !ended || a.finish != "length" || a.tokens != tokens {
		return a, fmt.Errorf("cut: %d of %d tokens, finish %q, ended %t", a.tokens, tokens, a.finish, ended)
	}
	return a, nil
}

// TestRollingRestart: while clients ask without a pause, each replica is stopped and started again in turn. No request fails, no answer
// is cut, and all are what they are without that.
func TestRollingRestart(t *testing.T) {
	clients, rest, least := 8, 5*time.Second, time.Minute
	if testing.Short() {
		clients, rest, least = 4, 2*time.Second, 0
	}
	f := newFarm(t)
	const prompts = 6
	want := make([]string, prompts)
	prompt := func(i int) string { return fmt.Sprintf("%d: tell me.", i) }
	for i := range want {
		a, err := f.ask(t.Context(), "", prompt(i), 40, false)
		if err != nil {
			t.Fatal(err)
		}
		want[i] = a.text
	}
	var asked, failed atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var all sync.WaitGroup
	begin := time.Now()
	for i := range clients {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				conversation := ""
				if i%2 == 0 {
					conversation = fmt.Sprintf("conversation-%d-%d", i, n%4)
				}
				p := (i + n) % prompts
				a, err := f.ask(t.Context(), conversation, prompt(p), 40, n%3 != 0)
				asked.Add(1)
				if err == nil && a.text != want[p] {
					err = fmt.Errorf("other text: %q, want %q", a.text, want[p])
				}
				if err != nil && failed.Add(1) < 10 {
					t.Errorf("client %d, request %d, after %s: %v", i, n, time.Since(begin).Round(time.Millisecond), err)
				}
			}
		})
	}
	for restarts := 0; restarts < 2 || time.Since(begin) < least; restarts++ {
		i := restarts % 2
		time.Sleep(rest)
		if code := f.replicas[i].Stop(t, syscall.SIGTERM); code != 0 {
			t.Errorf("replica %d ended with exit code %d:\n%s", i+1, code, f.replicas[i].Log())
		}
		f.start(t, i)
		t.Logf("after %s replica %d is back", time.Since(begin).Round(time.Millisecond), i+1)
	}
	time.Sleep(rest)
	stop()
	all.Wait()
	t.Logf("%d requests of %d clients in %s, %d failed", asked.Load(), clients, time.Since(begin).Round(time.Second), failed.Load())
	for i, r := range f.replicas {
		if !strings.Contains(r.Log(), "finish=length") {
			t.Errorf("replica %d was asked nothing since it is back", i+1)
		}
	}
}

// TestConversationsStay: the second request of a conversation finds the prefix of the first; conversations are on both replicas.
func TestConversationsStay(t *testing.T) {
	f := newFarm(t)
	for i := range 8 {
		id := fmt.Sprintf("conversation %d", i)
		prompt := id + strings.Repeat(" and so on", 40)
		if _, err := f.ask(t.Context(), id, prompt, 3, true); err != nil {
			t.Fatal(err)
		}
		a, err := f.ask(t.Context(), id, prompt, 3, true)
		if err != nil {
			t.Fatal(err)
		}
		if a.cached < 200 {
			t.Errorf("%s: only %d tokens were cached", id, a.cached)
		}
	}
	for i, r := range f.replicas {
		if !strings.Contains(r.Log(), "finish=length") {
			t.Errorf("replica %d got no conversation", i+1)
		}
	}
}
