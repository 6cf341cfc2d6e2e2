package routes

import (
	"log/slog"
	"time"

	"github.com/gofiber/fiber/v2"

	"ortserve/internal/metrics"
	"ortserve/internal/tracing"
	"ortserve/models"
	"ortserve/models/hub"
	"ortserve/pool"
)

// Options are what New needs. The zero value of a field takes the default in brackets.
type Options struct {
	Pool    *pool.Pool
	Store   *models.Store    // what /api/pull and the other routes of the store change [they are refused]
	Hub     *hub.Hub         // where /api/pull brings models from [it is refused]
	Version string           // of this program, told by /api/version
	Logger  *slog.Logger     // [slog.Default()]
	Metrics *metrics.Metrics // of NewMetrics, served by GET /metrics [new ones]
	Tracer  *tracing.Tracer  // gets the spans of requests [none]
	Ready   func() bool      // whether /readyz says so; false while models load and while the server drains [always]

	Keys            *Keys             // who may use the server [everybody; see OpenAdmin, AllowHosts, AllowOrigins]
	OpenAdmin       bool              // without Keys, whether everybody may change what the server holds too
	PublicDiscovery bool              // the version and the lists of models need no key
	AllowHosts      []string          // patterns of Host headers, beside local ones; looked at without Keys alone
	AllowOrigins    []string          // patterns of origins of web pages, beside local ones
	Aliases         map[string]string // names under which clients may ask for a model, beside its own
	AnyModel        bool              // a name that nothing serves is the first model's
	Strict          bool              // a field that no API knows is an error
	ScopeHeader     string            // header with the user's id, which bounds prefix reuse [none]
	Queue           int               // requests that may wait for a model, of which a key may hold its share
	KeyRequests     int               // requests that a key may send in a minute [any number]
	KeyTokens       int               // tokens that a key may use in a minute [any number]

	BodyLimit      int           // bytes of a request's body [16 MiB]
	StallTimeout   time.Duration // how long a write may wait for a client that does not read; must be set
	RequestTimeout time.Duration // how long a model may work for one request, its wait included [any time]
	ReadTimeout    time.Duration // how long a header may take to arrive, and a body beside its minimum rate [15 s]
	IdleTimeout    time.Duration // how long a connection may lie idle [2 min]
	Heartbeat      time.Duration // how long a stream of server-sent events is silent before it sends a comment [10 s]
}

// New returns the server's routes. The caller serves them with the app's Listener and ends them with ShutdownWithContext, after the
// engines have drained.
func New(o Options) *fiber.App { return newServer(o).app() }

func (s *server) app() *fiber.App {
	app := fiber.New(fiber.Config{
		Immutable:             true,
		CaseSensitive:         true,
		UnescapePath:          true,
		DisableStartupMessage: true,
		BodyLimit:             s.BodyLimit,
		ReadTimeout:           s.ReadTimeout,
		IdleTimeout:           s.IdleTimeout,
		ReadBufferSize:        16 << 10, // a request's headers; more is 431
		ReduceMemoryUsage:     true,     // that buffer is given back while the answer is made
		ErrorHandler:          s.rejected,

		DisablePreParseMultipartForm: true, // a body is JSON whatever its content type says
	})
	app.Server().CloseOnShutdown = true // the last answer on a connection says that it is the last
	app.Server().ExpectHandler = s.expect(app)
	app.Server().HeaderReceived = s.arrived
	app.Server().ConnState = boundSendBuffer

	app.Use(s.around)

	app.Get("/", s.root)
	for _, path := range pagePaths {
		app.Get(path, s.page)
	}
	app.Get("/openapi.json", s.openAPI)
	app.Get("/livez", s.livez)
	app.Get("/readyz", s.readyz)
	app.Get("/health", s.readyz)
	app.Get("/metrics", s.getMetrics())

	for _, v1 := range []string{"/v1", ""} {
		app.Post(v1+"/chat/completions", s.chatCompletions)
		app.Post(v1+"/chat/completions/input_tokens", s.chatInputTokens)
		app.Post(v1+"/completions", s.completions)
		app.Post(v1+"/responses", s.responses)
		app.Post(v1+"/responses/input_tokens", s.countResponse)
		app.Post(v1+"/score", s.score)
		app.Post(v1+"/embeddings", noEmbeddings)
		app.Get(v1+"/models", s.listModels)
		app.Get(v1+"/models/+", s.getModel)
	}

	app.Post("/v1/messages", s.messages)
	app.Post("/v1/messages/count_tokens", s.countTokens)

	app.Post("/completion", s.llamaCompletion)
	app.Post("/tokenize", s.tokenize)
	app.Post("/detokenize", s.detokenize)
	app.Post("/apply-template", s.applyTemplate)
	app.Get("/props", s.getProps)
	app.Get("/slots", s.getSlots)
	app.Post("/slots/+", noSlotActions)
	app.Get("/v1/stream", noResuming)

	app.Post("/api/generate", s.generate)
	app.Post("/api/chat", s.chat)
	app.Post("/api/embed", noEmbeddings)
	app.Post("/api/embeddings", noEmbeddings)
	app.Get("/api/tags", s.tags)
	app.Get("/api/ps", s.running)
	app.Post("/api/show", s.show)
	app.Post("/api/pull", s.pullModel)
	app.Post("/api/create", s.createModel)
	app.Post("/api/copy", s.copyModel)
	app.Delete("/api/delete", s.deleteModel)
	app.Get("/api/version", s.version)
	app.Get("/version", s.version)

	s.know(app)
	app.Server().Handler = s.known(app)
	return app
}
