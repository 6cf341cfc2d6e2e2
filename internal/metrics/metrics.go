// Package metrics is what the server counts, in Prometheus's terms. Names are vLLM's with another prefix, where vLLM has such a number, so that
// dashboards and autoscalers made for it need one change.
//
// The number of series is bounded by what the operator chose (models, their slots) and by what the program has (routes, kinds of errors): nothing
// that a client writes becomes a label.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const prefix = "ortserve_"

// The labels.
const (
	labelModel  = "model_name" // of the model that was served, never of what the client called it
	labelReason = "finished_reason"
	labelRoute  = "route"
	labelStatus = "status"
	labelError  = "error"
	labelSlot   = "slot"
)

// Metrics are all the server's numbers. All methods may be called by several goroutines.
type Metrics struct {
	registry *prometheus.Registry

	http, errors, finished, spent, cached, prompted, drafted, accepted *prometheus.CounterVec

	firstToken, queue, prefill, decode, whole, prompt, completion *prometheus.HistogramVec
}

// New returns metrics of a program of that version. models tells how the loaded models stand whenever the metrics are read.
func New(version string, models func() []Model) *Metrics {
	r := prometheus.NewRegistry()
	m := &Metrics{registry: r}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, labels)
		r.MustRegister(c)
		return c
	}
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: prefix + name, Help: help, Buckets: buckets}, []string{labelModel})
		r.MustRegister(h)
		return h
	}
	m.http = counter("http_requests_total", "Requests by route and the answer's status. Routes that do not exist are \"other\".", labelRoute, labelStatus)
	m.errors = counter("request_errors_total", "Requests that ended with an error, by its kind; those inside a stream too.", labelError)
	m.finished = counter("request_success_total", "Requests that a model worked for, by how that ended: stop, length, cancelled, error.", labelModel, labelReason)
	m.prompted = counter("prompt_tokens_total", "Tokens of prompts.", labelModel)
	m.spent = counter("generation_tokens_total", "Tokens of answers, counted as they come.", labelModel)
	m.cached = counter("prefix_cache_hits_total", "Tokens of prompts whose KV rows were there already.", labelModel)
	m.drafted = counter("spec_decode_num_draft_tokens_total", "Tokens that speculation proposed.", labelModel)
	m.accepted = counter("spec_decode_num_accepted_tokens_total", "Tokens that speculation proposed and that were right.", labelModel)

	m.firstToken = histogram("time_to_first_token_seconds", "From the request to its first token: waiting for the model and a slot, and reading the prompt.", seconds)
	m.queue = histogram("request_queue_time_seconds", "Waiting for a slot.", seconds)
	m.prefill = histogram("request_prefill_time_seconds", "Reading the prompt.", seconds)
	m.decode = histogram("request_decode_time_seconds", "From the first token to the last.", seconds)
	m.whole = histogram("e2e_request_latency_seconds", "From the request to the end of its answer.", seconds)
	m.prompt = histogram("request_prompt_tokens", "Tokens of a request's prompt.", tokens)
	m.completion = histogram("request_generation_tokens", "Tokens of a request's answers.", tokens)

	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + "build_info", Help: "Always 1; the version is the label."}, []string{"version"})
	info.WithLabelValues(version).Set(1)
	r.MustRegister(info, stateCollector{models}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// The buckets: from a token of a small model to an answer of minutes, and from a word to the longest windows.
var (
	seconds = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}
	tokens  = []float64{1, 4, 16, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 131072}
)

// Handler serves the metrics over HTTP, in the formats that Prometheus asks for.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Answered counts a request by its route, "other" where there is none, and its answer's status. kind is the error's, "" where there is none.
func (m *Metrics) Answered(route, status, kind string) {
	m.http.WithLabelValues(route, status).Inc()
	if kind != "" {
		m.errors.WithLabelValues(kind).Inc()
	}
}

// Generated counts tokens of an answer as they come.
func (m *Metrics) Generated(model string, tokens int) {
	if tokens > 0 {
		m.spent.WithLabelValues(model).Add(float64(tokens))
	}
}

// Work is what a model did for a request.
type Work struct {
	Model  string
	Reason string // how it ended

	PromptTokens, CachedTokens, CompletionTokens, DraftTokens, AcceptedTokens int

	Loading, Queue, Prefill, Decode time.Duration
	Whole                           time.Duration // of the request
}

// Worked counts a request that a model worked for, when it has ended. Times are told where there was a token.
func (m *Metrics) Worked(w Work) {
	m.finished.WithLabelValues(w.Model, w.Reason).Inc()
	m.prompted.WithLabelValues(w.Model).Add(float64(w.PromptTokens))
	m.cached.WithLabelValues(w.Model).Add(float64(w.CachedTokens))
	m.drafted.WithLabelValues(w.Model).Add(float64(w.DraftTokens))
	m.accepted.WithLabelValues(w.Model).Add(float64(w.AcceptedTokens))
	m.queue.WithLabelValues(w.Model).Observe(w.Queue.Seconds())
	m.whole.WithLabelValues(w.Model).Observe(w.Whole.Seconds())
	m.prompt.WithLabelValues(w.Model).Observe(float64(w.PromptTokens))
	if w.CompletionTokens > 0 {
		m.firstToken.WithLabelValues(w.Model).Observe((w.Loading + w.Queue + w.Prefill).Seconds())
		m.prefill.WithLabelValues(w.Model).Observe(w.Prefill.Seconds())
		m.decode.WithLabelValues(w.Model).Observe(w.Decode.Seconds())
		m.completion.WithLabelValues(w.Model).Observe(float64(w.CompletionTokens))
	}
}
