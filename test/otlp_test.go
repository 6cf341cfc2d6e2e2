package test

import (
	"bytes"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// traceCollector takes traces over OTLP, as an OpenTelemetry collector does.
type traceCollector struct {
	mu    sync.Mutex
	raw   bytes.Buffer // all that was sent, headers too
	spans []*trace.Span
	of    map[string]string // the resource's attributes
}

func (c *traceCollector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	var in collector.ExportTraceServiceRequest
	if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" || proto.Unmarshal(b, &in) != nil {
		http.Error(w, "no traces", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw.Write(b)
	_ = r.Header.Write(&c.raw) // a buffer refuses nothing
	for _, rs := range in.ResourceSpans {
		c.of = attributes(rs.Resource.Attributes)
		for _, ss := range rs.ScopeSpans {
			c.spans = append(c.spans, ss.Spans...)
		}
	}
	out, _ := proto.Marshal(&collector.ExportTraceServiceResponse{})
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(out)
}

func attributes(list []*common.KeyValue) map[string]string {
	all := map[string]string{}
	for _, kv := range list {
		switch v := kv.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			all[kv.Key] = v.StringValue
		case *common.AnyValue_IntValue:
			all[kv.Key] = "#" + strings.Repeat("1", min(int(v.IntValue), 64)) // told apart from texts; small numbers by length
		case *common.AnyValue_ArrayValue:
			for _, e := range v.ArrayValue.Values {
				all[kv.Key] += "[" + e.GetStringValue() + "]"
			}
		}
	}
	return all
}

// TestOTLP: spans of requests reach a collector, as children of the client's own, with numbers and without texts.
func TestOTLP(t *testing.T) {
	c := &traceCollector{}
	at := httptest.NewServer(c)
	defer at.Close()
	t.Setenv("ORTSERVE_API_KEY", "secret-key-of-the-test")
	s := startTiny(t, "--otlp", at.URL, "--slots", "2")
	send := func(path, body string) answer {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer secret-key-of-the-test")
		req.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		req.Header.Set("X-Request-Id", "id-of-the-client")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer{resp.StatusCode, resp.Header, string(b)}
	}
	const prompt = "swordfish and sesame"
	for _, body := range []string{
		`{"model": "tiny", "max_tokens": 5, "messages": [{"role": "user", "content": "` + prompt + `"}]}`,
		`{"model": "tiny", "max_tokens": 5, "stream": true, "messages": [{"role": "user", "content": "` + prompt + `"}]}`,
	} {
		if a := send("/v1/chat/completions", body); a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	send("/v1/completions", `{"model": "not-there-swordfish", "prompt": "`+prompt+`"}`)
	send("/nowhere/swordfish", `{}`)
	if code := s.Stop(t, syscall.SIGINT); code != 0 { // what is left is sent
		t.Fatalf("%d\n%s", code, s.Log())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, secret := range []string{prompt, "swordfish", "secret-key-of-the-test", "id-of-the-client", "Bearer"} {
		if bytes.Contains(c.raw.Bytes(), []byte(secret)) {
			t.Errorf("%q was sent to the collector", secret)
		}
	}
	if c.of["service.name"] != "ortserve" || c.of["service.version"] == "" {
		t.Errorf("the resource is %v", c.of)
	}
	if !strings.Contains(s.Log(), "trace=0af7651916cd43dd8448eb211c80319c") {
		t.Errorf("the log does not name the trace:\n%s", s.Log())
	}
	children := map[string][]*trace.Span{} // by the parent's id
	for _, span := range c.spans {
		if hex.EncodeToString(span.TraceId) != "0af7651916cd43dd8448eb211c80319c" {
			t.Errorf("span %s is of the trace %x", span.Name, span.TraceId)
		}
		children[hex.EncodeToString(span.ParentSpanId)] = append(children[hex.EncodeToString(span.ParentSpanId)], span)
	}
	var names []string
	for i, root := range children["b7ad6b7169203331"] {
		names = append(names, root.Name)
		if root.Kind != trace.Span_SPAN_KIND_SERVER {
			t.Errorf("%s is of the kind %v", root.Name, root.Kind)
		}
		var parts []string
		last := root.StartTimeUnixNano
		for _, part := range children[hex.EncodeToString(root.SpanId)] {
			parts = append(parts, part.Name)
			if part.StartTimeUnixNano < last || part.EndTimeUnixNano < part.StartTimeUnixNano || part.EndTimeUnixNano > root.EndTimeUnixNano {
				t.Errorf("%s of %s lies outside, or before another", part.Name, root.Name)
			}
			last = part.EndTimeUnixNano
		}
		got := attributes(root.Attributes)
		if i > 1 {
			want := map[string]string{"http.request.method": "POST", "http.route": "/v1/completions", "error.type": "model_not_found"}
			if i == 3 {
				want["http.route"], want["error.type"] = "other", got["error.type"]
			}
			delete(got, "http.response.status_code")
			if diff := cmp.Diff(want, got); diff != "" || len(parts) > 0 {
				t.Errorf("%s, %v (-want +got):\n%s", root.Name, parts, diff)
			}
			continue
		}
		if parts = slices.DeleteFunc(parts, func(s string) bool { return s == "load" }); !slices.Equal(parts, []string{"queue", "prefill", "decode"}) {
			t.Errorf("%s has the parts %v", root.Name, parts)
		}
		prompt, cached := len(got["gen_ai.usage.input_tokens"])-1, len(got["gen_ai.usage.cache_read.input_tokens"])-1
		if prompt < 10 || i == 0 && cached != 0 || i == 1 && (cached < 5 || cached >= prompt) {
			t.Errorf("%d tokens, %d of them cached", prompt, cached)
		}
		for _, number := range []string{"gen_ai.usage.input_tokens", "gen_ai.usage.cache_read.input_tokens", "http.response.status_code"} {
			delete(got, number)
		}
		if diff := cmp.Diff(map[string]string{
			"http.request.method": "POST", "http.route": "/v1/chat/completions", "gen_ai.operation.name": "chat", "gen_ai.provider.name": "ortserve",
			"gen_ai.request.model": "tiny:latest", "gen_ai.response.model": "tiny:latest", "gen_ai.usage.output_tokens": "#11111",
			"gen_ai.response.finish_reasons": "[length]",
		}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if want := []string{"chat tiny:latest", "chat tiny:latest", "POST /v1/completions", "POST other"}; !slices.Equal(names, want) {
		t.Errorf("spans %q, want %q", names, want)
	}
}

// A collector that is not there, or takes no connection further, is told of in the log, and nothing waits for it.
func TestOTLPAway(t *testing.T) {
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // the system takes connections; nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, url := range []string{"http://127.0.0.1:1", "http://" + silent.Addr().String()} {
		s := startTiny(t, "--otlp", url)
		const requests = 3000 // more than wait for the collector
		begin := time.Now()
		for range requests / 1000 {
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					for range 250 {
						if a := call(t, http.MethodGet, s.URL+"/v1/models", ""); a.status != http.StatusOK {
							t.Errorf("%s: %d", url, a.status)
							return
						}
					}
				})
			}
			wg.Wait()
		}
		if a := post(t, s.URL+"/v1/chat/completions", `{"model": "tiny", "max_tokens": 3, "messages": [{"role": "user", "content": "a"}]}`); a.status != http.StatusOK {
			t.Errorf("%s: %d %s", url, a.status, a.body)
		}
		t.Logf("%s: %d requests in %s", url, requests, time.Since(begin).Round(time.Millisecond))
		if code := s.Stop(t, syscall.SIGINT); code != 0 || !strings.Contains(s.Log(), "--otlp") {
			t.Errorf("%s: %d, and the log does not tell:\n%s", url, code, s.Log()[:min(len(s.Log()), 4000)])
		}
	}
}
