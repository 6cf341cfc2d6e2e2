package routes

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"

	"ortserve/internal/metrics"
	"ortserve/pool"
)

// NewMetrics returns the metrics of a server of that version with the models of that pool, for Options.
func NewMetrics(version string, p *pool.Pool) *metrics.Metrics {
	return metrics.New(version, func() []metrics.Model {
		var all []metrics.Model
		for _, r := range p.Running() {
			now := r.Engine.Snapshot()
			slots := now.SlotTokens
			for len(slots) < r.Engine.Info().Slots { // nothing has run yet
				slots = append(slots, 0)
			}
			all = append(all, metrics.Model{
				Name: r.Model.Name, Running: now.Running + now.Prefilling, Waiting: now.Waiting, SlotTokens: slots, MaxLen: now.MaxLen,
				Bytes: r.Bytes, Limit: p.Limit, Steps: now.Steps, StepSeconds: now.StepTime.Seconds(), Between: metrics.Histogram(now.Between),
			})
		}
		return all
	})
}

// getMetrics returns the handler of GET /metrics.
func (s *server) getMetrics() fiber.Handler { return adaptor.HTTPHandler(s.Metrics.Handler()) }

// routeOf returns the route that serves a path, "other" where there is none: there are as many as the program has.
func (s *server) routeOf(path string) string {
	if s.routes[path] {
		return path
	}
	for _, below := range s.prefixes {
		if strings.HasPrefix(path, below) {
			return below + placeholder(below)
		}
	}
	return "other"
}

// placeholder is what documentation and metrics write for the rest of a path that begins so.
func placeholder(below string) string {
	if below == "/slots/" {
		return "{id}"
	}
	return "{model}"
}

// know remembers the routes of the app.
func (s *server) know(app *fiber.App) {
	s.routes = map[string]bool{}
	for _, r := range app.GetRoutes(true) {
		if below, ok := strings.CutSuffix(r.Path, "+"); ok {
			s.prefixes = append(s.prefixes, below)
			continue
		}
		s.routes[r.Path] = true
	}
}

// count tells the metrics of a request that has ended.
func (x *exchange) count(status int) {
	m := x.server.Metrics
	m.Answered(x.server.routeOf(x.path), strconv.Itoa(status), x.errorCode())
	if x.finish == "" {
		return
	}
	u := x.usage
	m.Worked(metrics.Work{
		Model: x.served, Reason: x.outcome(),
		PromptTokens: u.PromptTokens, CachedTokens: u.CachedTokens, CompletionTokens: u.CompletionTokens,
		DraftTokens: u.DraftTokens, AcceptedTokens: u.AcceptedTokens,
		Loading: x.loading, Queue: u.Queue, Prefill: u.Prefill, Decode: u.Decode, Whole: x.server.now().Sub(x.begin),
	})
}

// errorCode is the error's, as docs/api.md lists them; empty where there is none.
func (x *exchange) errorCode() string {
	if x.err == nil {
		return ""
	}
	row := errorTable[x.err.kind]
	return cmp.Or(row.code, row.typ)
}
