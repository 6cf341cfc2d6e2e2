package routes

import (
	"bufio"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// scrape returns the series of GET /metrics with their values, without those of Go and of the process.
func (w *world) scrape() map[string]float64 {
	w.t.Helper()
	r := w.do(http.MethodGet, "/metrics", "")
	if r.status != http.StatusOK || !strings.HasPrefix(r.header.Get("Content-Type"), "text/plain; version=0.0.4") {
		w.t.Fatalf("%d %v", r.status, r.header)
	}
	series := map[string]float64{}
	lines := bufio.NewScanner(strings.NewReader(r.body))
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if !strings.HasPrefix(name, "ortserve_") || !ok {
			continue
		}
		if i := strings.LastIndexByte(lines.Text(), ' '); i > 0 {
			name, value = lines.Text()[:i], lines.Text()[i+1:]
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			w.t.Fatalf("%q: %v", lines.Text(), err)
		}
		series[name] = v
	}
	return series
}

// TestMetrics: the numbers are those of the requests that were made.
func TestMetrics(t *testing.T) {
	w := newWorld(t, "Hi")
	const body = `{"messages":[{"role":"user","content":"hi"}]}`
	w.post("/v1/chat/completions", body)                                                       // 18 tokens in, 3 out
	again := w.post("/v1/chat/completions", strings.Replace(body, "{", `{"max_tokens":1,`, 1)) // mostly cached, 1 out
	cached, err := strconv.ParseFloat(regexp.MustCompile(`"cached_tokens":(\d+)`).FindStringSubmatch(again.body)[1], 64)
	if err != nil || cached < 8 {
		t.Fatalf("%v: %s", err, again.body)
	}
	w.post("/api/generate", `{"model":"nobody's","prompt":"hi"}`)
	w.post("/v1/chat/completions", `{}`)
	w.do(http.MethodGet, "/v1/models/tiny:1b", "")
	w.do(http.MethodGet, "/nowhere", "")
	got := w.scrape()
	const of = `{model_name="tiny:1b"`
	for name, want := range map[string]float64{
		`ortserve_request_success_total{finished_reason="stop",model_name="tiny:1b"}`:   1,
		`ortserve_request_success_total{finished_reason="length",model_name="tiny:1b"}`: 1,
		`ortserve_prompt_tokens_total` + of + `}`:                                       36,
		`ortserve_generation_tokens_total` + of + `}`:                                   4,
		`ortserve_prefix_cache_hits_total` + of + `}`:                                   cached,
		`ortserve_time_to_first_token_seconds_count` + of + `}`:                         2,
		`ortserve_request_queue_time_seconds_count` + of + `}`:                          2,
		`ortserve_request_prefill_time_seconds_count` + of + `}`:                        2,
		`ortserve_request_decode_time_seconds_count` + of + `}`:                         2,
		`ortserve_e2e_request_latency_seconds_count` + of + `}`:                         2,
		`ortserve_inter_token_latency_seconds_count` + of + `}`:                         2,
		`ortserve_request_prompt_tokens_sum` + of + `}`:                                 36,
		`ortserve_request_generation_tokens_bucket` + of + `,le="1"}`:                   1,
		`ortserve_num_requests_running` + of + `}`:                                      0,
		`ortserve_num_requests_waiting` + of + `}`:                                      0,
		`ortserve_num_slots` + of + `}`:                                                 2,
		`ortserve_max_model_len` + of + `}`:                                             256,
		`ortserve_kv_cache_usage_perc` + of + `}`:                                       0,
		`ortserve_slot_used_tokens` + of + `,slot="0"}`:                                 0,
		`ortserve_slot_cached_tokens` + of + `,slot="1"}`:                               0,
		`ortserve_model_memory_bytes` + of + `}`:                                        12345,
		`ortserve_http_requests_total{route="/v1/chat/completions",status="200"}`:       2,
		`ortserve_http_requests_total{route="/v1/chat/completions",status="400"}`:       1,
		`ortserve_http_requests_total{route="/v1/models/{model}",status="200"}`:         1,
		`ortserve_http_requests_total{route="/api/generate",status="404"}`:              1,
		`ortserve_http_requests_total{route="other",status="404"}`:                      1,
		`ortserve_request_errors_total{error="model_not_found"}`:                        1,
		`ortserve_build_info{version="v1.2.3"}`:                                         1,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v (%v), want %v", name, v, ok, want)
		}
	}
	if n := got[`ortserve_slot_cached_tokens`+of+`,slot="0"}`]; n < 18 {
		t.Errorf("the first slot keeps %v tokens, want those of the prompt at least", n)
	}

	// While an answer is written, and after its client has gone.
	w = endless(t)
	conn := w.dial()
	send(t, conn, "/api/generate", `{"model":"tiny:1b","prompt":"hi"}`)
	eventually(t, "a slot in use", func() bool {
		s := w.scrape()
		return s[`ortserve_num_requests_running`+of+`}`] == 1 && s[`ortserve_slot_used_tokens`+of+`,slot="0"}`] > 20 &&
			s[`ortserve_kv_cache_usage_perc`+of+`}`] > 0 && s[`ortserve_generation_tokens_total`+of+`}`] > 2
	})
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a request that was given up", func() bool {
		return w.scrape()[`ortserve_request_success_total{finished_reason="cancelled",model_name="tiny:1b"}`] == 1
	})
}

// TestMetricsCardinality: nothing that clients write makes a series.
func TestMetricsCardinality(t *testing.T) {
	w := newWorld(t, "Hi", func(_ *world, o *Options) { o.AnyModel, o.Aliases = true, map[string]string{"gpt": modelName} })
	ask := func(i int) {
		odd := fmt.Sprintf("%d-\u2028\"x{}=%%0a", i)
		if i%10 == 0 {
			w.post("/v1/chat/completions", fmt.Sprintf(`{"model":%q,"max_tokens":1,"messages":[{"role":"user","content":"hi"}]}`, odd))
		}
		path := fmt.Sprintf("/v1/models/%d%%22", i)
		if i%2 == 0 {
			path = fmt.Sprintf("/odd/%d", i)
		}
		conn := w.dial()
		defer conn.Close()
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: %d\r\nConnection: close\r\n\r\n", path, i); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		ask(i)
	}
	w.scrape() // counts itself
	before := slices.Sorted(maps.Keys(w.scrape()))
	n := 10_000
	if testing.Short() {
		n = 2000
	}
	for i := range n {
		ask(20 + i)
	}
	after := slices.Sorted(maps.Keys(w.scrape()))
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("%d series, and %d after %d odd names and paths (-before +after):\n%s", len(before), len(after), n, diff)
	}
}

// TestMetricsDocument: docs/metrics.md names what is served, and nothing else.
func TestMetricsDocument(t *testing.T) {
	w := newWorld(t, "Hi", func(w *world, _ *Options) { w.pool.Limit = 1 << 30 })
	w.post("/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}]}`)
	w.post("/v1/chat/completions", `{}`)
	served := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE ortserve_(\S+)`).FindAllStringSubmatch(w.do(http.MethodGet, "/metrics", "").body, -1) {
		served[m[1]] = true
	}
	text, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?) \\|").FindAllStringSubmatch(string(text), -1) {
		for _, name := range regexp.MustCompile("`([a-z0-9_]+)`").FindAllStringSubmatch(row[1], -1) {
			told[name[1]] = true
		}
	}
	if diff := cmp.Diff(served, told); diff != "" {
		t.Errorf("served and told differ (-served +told):\n%s", diff)
	}
}
