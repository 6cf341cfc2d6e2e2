// Package tracing tells an OpenTelemetry collector what a request spent its time on, over OTLP.
//
// What is told is names of the operator's and the program's, numbers and times: no prompt, no answer, no key, nothing else that a client
// writes but the trace that it says its request belongs to. Spans wait in a bounded queue, and are dropped when it is full: a collector
// that is slow or away delays no request.
package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
)

// Bounds of what is kept for the collector.
const (
	queueSize     = 2048 // spans
	exportTimeout = 10 * time.Second
	batchDelay    = time.Second
	complainEvery = time.Minute
)

// Tracer makes spans of requests. A nil one makes none.
type Tracer struct {
	provider *trace.TracerProvider
	tracer   api.Tracer
}

// New returns a tracer that sends to the collector at an address like http://127.0.0.1:4318; without a path it is /v1/traces. The SDK's
// variables OTEL_EXPORTER_OTLP_HEADERS and OTEL_RESOURCE_ATTRIBUTES hold. Nothing is sent yet, and nobody need be there.
func New(ctx context.Context, address, version string, log *slog.Logger) (*Tracer, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/v1/traces"
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(u.String()), otlptracehttp.WithTimeout(exportTimeout))
	if err != nil {
		return nil, err
	}
	of, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "ortserve"), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	p := trace.NewTracerProvider(trace.WithResource(of), trace.WithSampler(trace.ParentBased(trace.AlwaysSample())),
		trace.WithBatcher(&complaining{SpanExporter: exporter, log: log},
			trace.WithMaxQueueSize(queueSize), trace.WithExportTimeout(exportTimeout), trace.WithBatchTimeout(batchDelay)))
	return &Tracer{provider: p, tracer: p.Tracer("ortserve", api.WithInstrumentationVersion(version))}, nil
}

// Close sends what is left, as long as ctx allows.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// complaining logs that spans were lost, at most once in a while, where the SDK would tell a handler of the whole process.
type complaining struct {
	trace.SpanExporter
	log  *slog.Logger
	last atomic.Int64 // Unix nanoseconds
}

// ExportSpans implements trace.SpanExporter.
func (c *complaining) ExportSpans(ctx context.Context, spans []trace.ReadOnlySpan) error {
	err := c.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		return nil
	}
	now, last := time.Now().UnixNano(), c.last.Load()
	if (last == 0 || now-last > int64(complainEvery)) && c.last.CompareAndSwap(last, now) {
		c.log.Warn("the collector did not take traces (--otlp)", "spans", len(spans), "error", err)
	}
	return nil
}

// Request is a request that has ended.
type Request struct {
	Parent, State string // the headers traceparent and tracestate

	Begin, End time.Time
	Method     string // of HTTP
	Route      string // as the program has it, never as the client wrote it
	Status     int
	Error      string // the error's code; empty: none

	Model        string // that was served; empty: no model worked for the request, and the rest says nothing
	Operation    string // of the semantic conventions: chat, text_completion, embeddings
	Finish       string
	PromptTokens int
	CachedTokens int
	OutputTokens int

	Loading, Queue, Prefill, Decode time.Duration
}

// Ended makes the spans of a request and returns the trace they belong to.
func (t *Tracer) Ended(r Request) string {
	if t == nil {
		return ""
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": r.Parent, "tracestate": r.State})
	name := r.Method + " " + r.Route
	attrs := []attribute.KeyValue{
		attribute.String("http.request.method", r.Method), attribute.String("http.route", r.Route), attribute.Int("http.response.status_code", r.Status),
	}
	if r.Error != "" {
		attrs = append(attrs, attribute.String("error.type", r.Error))
	}
	if r.Model != "" { // names of OpenTelemetry's semantic conventions for generative AI
		name = r.Operation + " " + r.Model
		attrs = append(attrs,
			attribute.String("gen_ai.operation.name", r.Operation), attribute.String("gen_ai.provider.name", "ortserve"),
			attribute.String("gen_ai.request.model", r.Model), attribute.String("gen_ai.response.model", r.Model),
			attribute.Int("gen_ai.usage.input_tokens", r.PromptTokens), attribute.Int("gen_ai.usage.output_tokens", r.OutputTokens),
			attribute.Int("gen_ai.usage.cache_read.input_tokens", r.CachedTokens),
			attribute.StringSlice("gen_ai.response.finish_reasons", []string{r.Finish}))
	}
	ctx, span := t.tracer.Start(ctx, name, api.WithTimestamp(r.Begin), api.WithSpanKind(api.SpanKindServer), api.WithAttributes(attrs...))
	if r.Status >= 500 || r.Status < 400 && r.Error != "" { // what the client did wrong is no error of a server's span
		span.SetStatus(codes.Error, r.Error)
	}
	if r.Model != "" {
		t.parts(ctx, r)
	}
	span.End(api.WithTimestamp(r.End))
	return span.SpanContext().TraceID().String()
}

// parts makes the spans of what the request went through. Only how long each took is known: the last one ended with the request.
func (t *Tracer) parts(ctx context.Context, r Request) {
	at := r.End.Add(-r.Loading - r.Queue - r.Prefill - r.Decode)
	if at.Before(r.Begin) { // several answers of one request took their time side by side
		at = r.Begin
	}
	for _, part := range []struct {
		name string
		took time.Duration
	}{{"load", r.Loading}, {"queue", r.Queue}, {"prefill", r.Prefill}, {"decode", r.Decode}} {
		if part.name == "load" && part.took < time.Millisecond {
			at = at.Add(part.took)
			continue // it was loaded
		}
		end := at.Add(part.took)
		if end.After(r.End) {
			end = r.End
		}
		_, span := t.tracer.Start(ctx, part.name, api.WithTimestamp(at))
		span.End(api.WithTimestamp(end))
		at = end
	}
}
