package routes

import (
	"slices"
	"strings"

	"ortserve/internal/tracing"
)

// trace makes the spans of an exchange that ends, and returns the trace they belong to. Probes, pages and the metrics have none.
func (x *exchange) trace(status int) string {
	if x.server.Tracer == nil || x.quiet() || x.path == "/metrics" {
		return ""
	}
	route := x.server.routeOf(x.path)
	r := tracing.Request{
		Parent: x.parent[0], State: x.parent[1], Begin: x.begin, End: x.server.now(), Method: knownMethod(x.method), Route: route, Status: status, Error: x.errorCode(),
	}
	if x.finish != "" {
		r.Model, r.Operation, r.Finish = x.served, genAIOperation(route), x.outcome()
		r.PromptTokens, r.CachedTokens, r.OutputTokens = x.usage.PromptTokens, x.usage.CachedTokens, x.usage.CompletionTokens
		r.Loading, r.Queue, r.Prefill, r.Decode = x.loading, x.usage.Queue, x.usage.Prefill, x.usage.Decode
	}
	return x.server.Tracer.Ended(r)
}

// genAIOperation is what OpenTelemetry's conventions call what a route does.
func genAIOperation(route string) string {
	for _, end := range []string{"/completions", "/completion", "/generate", "/score"} {
		if strings.HasSuffix(route, end) && !strings.HasSuffix(route, "/chat/completions") {
			return "text_completion"
		}
	}
	return "chat"
}

// knownMethod is the method of HTTP, or _OTHER for one that a client made up.
func knownMethod(method string) string {
	if slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE"}, method) {
		return method
	}
	return "_OTHER"
}
