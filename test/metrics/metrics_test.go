// Package metrics tests what deploy has for Prometheus and Grafana: Prometheus's own promtool checks the rules, and each query of the rules and of
// the dashboard is asked of a Prometheus that reads the real program at work.
package metrics

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"ortserve/internal/testenv"
	"ortserve/internal/testmodel"
)

// binary is the program.
var binary string

func TestMain(m *testing.M) { os.Exit(testenv.Main(m, &binary)) }

// tool returns the path of one of Prometheus's programs.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not on the path: make test-metrics brings it and runs this", name)
	}
	return path
}

// deployed is a path below deploy.
func deployed(t *testing.T, elements ...string) string {
	t.Helper()
	root, err := testenv.Root()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(append([]string{root, "deploy"}, elements...)...)
}

// TestRules: promtool takes the configuration, and each alert is raised by what it is for and by nothing less.
func TestRules(t *testing.T) {
	promtool := tool(t, "promtool")
	for _, args := range [][]string{{"check", "config", "prometheus.yaml"}, {"test", "rules", "ortserve.rules.test.yaml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = deployed(t, "prometheus")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestQueries: each panel and each alert finds data.
func TestQueries(t *testing.T) {
	prometheus := tool(t, "prometheus")
	dir, model := t.TempDir(), t.TempDir()
	if err := testmodel.Write(model, testmodel.Config{}); err != nil {
		t.Fatal(err)
	}
	s := testenv.Start(t, binary, "--model", "tiny="+model, "--max-len", "512", "--slots", "2", "--metrics-addr", "127.0.0.1:0")
	target := s.WaitLog(t, regexp.MustCompile(`msg=metrics addr="?([0-9.:]+)`))[1]
	if a, err := get(t, "http://"+target+"/v1/models"); err == nil {
		t.Errorf("the address of the metrics serves more: %.80s", a)
	}

	config, err := os.ReadFile(deployed(t, "prometheus", "prometheus.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("127.0.0.1:9113", target, "scrape_interval: 15s", "scrape_interval: 500ms\n  evaluation_interval: 500ms",
		"ortserve.rules.yaml", deployed(t, "prometheus", "ortserve.rules.yaml")).Replace(string(config))
	file := filepath.Join(dir, "prometheus.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := testenv.FreeAddr(t)
	server := testenv.Launch(t, prometheus, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr)
	base := "http://" + addr
	wait(t, "Prometheus to be ready: "+server.Log(), func() bool { _, err := get(t, base+"/-/ready"); return err == nil })
	stop := work(t, s.URL)
	defer stop()

	queries := map[string]string{}
	for name, expression := range rules(t, base) {
		queries[name] = expression
	}
	for name, expression := range panels(t) {
		queries[name] = expression
	}
	if len(queries) < 40 {
		t.Errorf("%d queries", len(queries))
	}
	for name, expression := range queries {
		if !eventually(func() bool { return finds(t, base, expression) }) {
			t.Errorf("%s finds no data: %s", name, expression)
		}
	}
}

// rules are the queries of the recording rules, and of the alerts without their bounds.
func rules(t *testing.T, base string) map[string]string {
	t.Helper()
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Query, Type string }
			}
		}
	}
	b, err := get(t, base+"/api/v1/rules")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		t.Fatal(err)
	}
	bound := regexp.MustCompile(` (>|==) [0-9.]+`)
	all := map[string]string{}
	for _, g := range answer.Data.Groups {
		for _, r := range g.Rules {
			if r.Type == "alerting" {
				all["the alert "+r.Name] = bound.ReplaceAllString(r.Query, "")
				continue
			}
			all["the rule "+r.Name] = r.Name
		}
	}
	return all
}

// panels are the queries of the dashboard, with its variables filled in as Grafana does.
func panels(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile(deployed(t, "grafana", "ortserve.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ RefID, Expr string }
		}
	}
	if err := json.Unmarshal(b, &dashboard); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("$__rate_interval", "20s", "$job", ".*", "$instance", ".*", "$model", ".*")
	all := map[string]string{}
	for _, p := range dashboard.Panels {
		for _, q := range p.Targets {
			all["the panel "+p.Title+" "+q.RefID] = fill.Replace(q.Expr)
		}
	}
	return all
}

// finds says whether a query gives at least one number.
func finds(t *testing.T, base, expression string) bool {
	t.Helper()
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	b, err := get(t, base+"/api/v1/query?query="+url.QueryEscape(expression))
	if err != nil {
		t.Errorf("%s: %v", expression, err)
		return true
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		t.Fatal(err)
	}
	for _, r := range answer.Data.Result {
		if r.Value[1] != "NaN" {
			return true
		}
	}
	return false
}

// work has the server do all that is counted, until the function is called: answers that end, are cut, and are given up, and requests that fail.
func work(t *testing.T, base string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	ask := func(ctx context.Context, body string) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/chat/completions", strings.NewReader(body))
		if err != nil {
			return
		}
		if resp, err := http.DefaultClient.Do(req); err == nil { // it may be given up
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	}
	all.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			ask(ctx, fmt.Sprintf(`{"temperature":0,"max_tokens":200,"messages":[{"role":"user","content":"Count to %d."}]}`, i%3))
			ask(ctx, `{"max_tokens":3,"messages":[{"role":"user","content":"Go."}]}`)
			ask(ctx, `{"stop":["a","e","i"],"messages":[{"role":"user","content":"Go."}]}`)
			ask(ctx, `{"model":"none"}`)
			short, end := context.WithTimeout(ctx, 20*time.Millisecond)
			ask(short, `{"stream":true,"messages":[{"role":"user","content":"Go on."}]}`)
			end()
			time.Sleep(20 * time.Millisecond)
		}
	})
	return func() {
		cancel()
		all.Wait()
	}
}

func get(t *testing.T, url string) ([]byte, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%d: %s", resp.StatusCode, b)
	}
	return b, err
}

// eventually says whether something becomes true within a minute.
func eventually(is func() bool) bool {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if is() {
			return true
		}
	}
	return false
}

func wait(t *testing.T, what string, is func() bool) {
	t.Helper()
	if !eventually(is) {
		t.Fatalf("waited in vain for %s", what)
	}
}
