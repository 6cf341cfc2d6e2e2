package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"ortserve/internal/buildinfo"
	"ortserve/internal/config"
	"ortserve/internal/home"
	"ortserve/internal/metrics"
	"ortserve/internal/tracing"
	"ortserve/models"
	"ortserve/onnx"
	"ortserve/pool"
	"ortserve/routes"
)

// closeTimeout is how long connections have to end after the last answer.
const closeTimeout = 5 * time.Second

// traceTimeout is how long the collector has to take the last traces.
const traceTimeout = 3 * time.Second

// runServe is the server: it starts in order, serves until a signal, and stops in reverse.
func runServe(ctx context.Context, args []string, t terminal) error {
	c, err := config.ParseServe(args, os.Getenv, t.out)
	if err != nil {
		return err
	}
	log := newLogger(t.err, c)
	keys, err := routes.LoadKeys(c.Access.APIKey, c.Access.AdminKey, c.Access.KeyFile)
	if err != nil {
		return err
	}
	if keys == nil && !c.Loopback() {
		log.Warn("other machines can reach this server and are not asked for a key", "addr", c.Addr)
	}
	s, err := newServer(c, log, keys)
	if err != nil {
		return err
	}
	defer func() { _ = s.close() }() // reading alone
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("--addr: %w", err)
	}
	if c.MetricsAddr != "" {
		end, err := serveMetrics(ctx, c.MetricsAddr, s.metrics.Handler(), log)
		if err != nil {
			return err
		}
		defer end()
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)

	served := fenced(func() error { return s.serve(listener) })
	log.Info("listening", "addr", listener.Addr().String())
	loaded := fenced(func() error { return s.pool.Load(ctx) })
	for ready := false; ; {
		select {
		case err := <-served:
			return fmt.Errorf("the listener ended: %w", err)
		case err := <-loaded:
			if err != nil && !s.pool.Serving() {
				return err
			}
			if err != nil {
				log.Error("not all models are served", "error", oneLine(err))
			}
			loaded, ready = nil, true
			log.Info("ready", "models", s.pool.Served())
		case sig := <-signals:
			if !ready && !s.pool.Serving() {
				return nil // nothing runs
			}
			s.draining.Store(true)
			return drain(c, log, s.pool, s.shutdown, sig, signals)
		}
	}
}

// server is everything of a server but its listener.
type server struct {
	pool     *pool.Pool
	metrics  *metrics.Metrics
	serve    func(net.Listener) error
	shutdown func(context.Context) error
	close    func() error // closes the store; what runs is ended by shutdown
	draining atomic.Bool
}

// newServer finds the models and opens the runtime library; nothing is loaded yet.
func newServer(c *config.Serve, log *slog.Logger, keys *routes.Keys) (_ *server, err error) {
	s := &server{close: func() error { return nil }}
	store, err := openStore(log)
	if err != nil {
		return nil, err
	}
	if store != nil {
		s.close = store.Close
		defer func() {
			if err != nil {
				_ = store.Close()
			}
		}()
	}
	list, damaged, err := findModels(store, c.Models)
	if err != nil {
		return nil, err
	}
	if damaged != nil {
		log.Error("not all models are served", "error", oneLine(damaged))
	}
	if err := checkAliases(c.Aliases, list); err != nil {
		return nil, err
	}
	library, err := onnx.Load(c.Runtime)
	if err != nil {
		return nil, err
	}
	l := newLoader(c, log)
	if err := l.chooseProvider(); err != nil {
		return nil, err
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(config.Procs(runtime.GOMAXPROCS(0)))
	}
	log.Info("starting", "version", buildinfo.Version, "onnxruntime", onnx.Version(), "library", library, "threads", l.threads,
		"gomaxprocs", runtime.GOMAXPROCS(0))

	h, err := newHub(c.Offline)
	if err != nil {
		return nil, err
	}
	s.pool = pool.New(pool.Options{
		Models: list, Store: store, Default: home.DefaultModel, Open: l.open, Need: l.need, Limit: l.limit(), Release: onnx.ReleaseMemory,
		KeepAlive: c.KeepAlive, Queue: c.Queue, Logger: log,
	})
	tracer, err := s.trace(c, log)
	if err != nil {
		return nil, err
	}
	s.metrics = routes.NewMetrics(buildinfo.Version, s.pool)
	app := routes.New(routes.Options{
		Pool: s.pool, Store: store, Hub: h, Version: buildinfo.Version, Metrics: s.metrics, Tracer: tracer, Logger: log,
		Ready:          func() bool { return !s.draining.Load() && s.pool.Ready() },
		StallTimeout:   c.StallTimeout,
		RequestTimeout: c.RequestTimeout,

		Keys:            keys,
		OpenAdmin:       c.Loopback(),
		PublicDiscovery: c.Access.PublicDiscovery,
		AllowHosts:      c.Access.AllowHosts,
		AllowOrigins:    c.Access.AllowOrigins,
		ScopeHeader:     c.ScopeHeader,
		Strict:          c.Access.Strict,
		Aliases:         c.Aliases,
		AnyModel:        c.AnyModel,
		Queue:           c.Queue,
		KeyRequests:     c.Access.KeyRequests,
		KeyTokens:       c.Access.KeyTokens,
	})
	s.serve, s.shutdown = app.Listener, app.ShutdownWithContext
	return s, nil
}

// trace returns what sends traces to the operator's collector, nil for none. What is left of them is sent when s is closed.
func (s *server) trace(c *config.Serve, log *slog.Logger) (*tracing.Tracer, error) {
	if c.OTLP == "" {
		return nil, nil //nolint:nilnil // a nil tracer makes no spans
	}
	tracer, err := tracing.New(context.Background(), c.OTLP, buildinfo.Version, log)
	if err != nil {
		return nil, fmt.Errorf("--otlp: %w", err)
	}
	before := s.close
	s.close = func() error {
		ctx, cancel := context.WithTimeout(context.Background(), traceTimeout)
		defer cancel()
		if err := tracer.Close(ctx); err != nil {
			log.Warn("the last traces were not sent (--otlp)", "error", err)
		}
		return before()
	}
	return tracer, nil
}

// errInterrupted is the error of a server that was stopped while it drained.
var errInterrupted = errors.New("stopped by a second signal")

// drain ends the server: after a delay in which a load balancer can notice that it is not ready any more, what runs may end.
func drain(c *config.Serve, log *slog.Logger, p *pool.Pool, shutdown func(context.Context) error, sig os.Signal, signals <-chan os.Signal) error {
	begin := time.Now()
	log.Info("draining", "signal", sig.String(), "drain_delay", c.DrainDelay, "drain", c.Drain)
	if sig == syscall.SIGTERM && c.DrainDelay > 0 {
		select {
		case <-time.After(c.DrainDelay):
		case <-signals:
			return errInterrupted
		}
	}
	closed := fenced(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), c.Drain)
		defer cancel()
		err := p.Close(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			log.Warn("answers were cut off: they took longer than --drain", "drain", c.Drain)
			err = nil
		}
		ctx, cancel = context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if down := shutdown(ctx); down != nil && !errors.Is(down, context.DeadlineExceeded) {
			err = errors.Join(err, down)
		}
		return err
	})
	select {
	case err := <-closed:
		log.Info("stopped", "took", time.Since(begin).Round(time.Millisecond))
		return err
	case <-signals:
		return errInterrupted
	}
}

// fenced runs f in a goroutine and returns where its error comes. A panic in it is an error.
func fenced(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				done <- fmt.Errorf("panic: %v\n%s", r, debug.Stack())
			}
		}()
		done <- f()
	}()
	return done
}

// openStore opens the model store, or returns nil where it is not there and cannot be made.
func openStore(log *slog.Logger) (*models.Store, error) {
	dir, err := home.Dir()
	if err != nil {
		return nil, err
	}
	store, err := models.OpenStore(home.Models(dir))
	if err != nil {
		log.Warn("there is no model store", "error", err)
		return nil, nil //nolint:nilnil,nilerr // a server without a store serves the directories it is given
	}
	return store, nil
}

// findModels describes the models that were asked for. What is not there, or has a name that is none, is the operator's mistake. What is
// damaged does not keep the others from being served: the second error joins those, and is the first too if nothing is left.
func findModels(store *models.Store, sources []config.ModelSource) (list []*models.Model, damaged, err error) {
	for _, s := range sources {
		m, err := findModel(store, s.Source)
		if errors.Is(err, models.ErrNotFound) || errors.Is(err, models.ErrName) {
			return nil, nil, fmt.Errorf("--model %s: %w", s.Source, err)
		}
		if err != nil {
			damaged = errors.Join(damaged, fmt.Errorf("--model %s: %w", s.Source, err))
			continue
		}
		if s.Name != "" {
			if m.Name, err = models.CleanName(s.Name); err != nil {
				return nil, nil, fmt.Errorf("--model %s=%s: %w", s.Name, s.Source, err)
			}
		}
		list = append(list, m)
	}
	if len(list) == 0 {
		return nil, nil, damaged
	}
	return list, damaged, nil
}

// checkAliases refuses aliases of models that are not served.
func checkAliases(aliases map[string]string, served []*models.Model) error {
	if len(served) == 0 { // the store's may come and go
		return nil
	}
	for name, model := range aliases {
		if !slices.ContainsFunc(served, func(m *models.Model) bool { return m.Name == model || m.Name == model+":latest" }) {
			return fmt.Errorf("--alias %s=%s: no --model has that name", name, model)
		}
	}
	return nil
}

// findModel finds a model directory, or a model of the store.
func findModel(store *models.Store, source string) (*models.Model, error) {
	if info, err := os.Stat(source); err == nil && (info.IsDir() || strings.HasSuffix(source, ".onnx")) {
		return describe(source)
	}
	if store == nil {
		return nil, fmt.Errorf("%w: there is neither a store nor a directory %s", models.ErrNotFound, source)
	}
	m, err := store.Find(source)
	if errors.Is(err, models.ErrNotFound) {
		return nil, fmt.Errorf("%w: `make run` brings the default model, `ortserve import FILE.gguf --name %s` or `ortserve pull ORG/REPO` any other", err, source)
	}
	return m, err
}

// describe describes a model directory. Of a repository's folder in a cache of huggingface_hub it is the commit that main was when it
// was downloaded.
func describe(dir string) (*models.Model, error) {
	commit, err := os.ReadFile(filepath.Join(dir, "refs", "main"))
	if err != nil {
		return models.Describe(dir)
	}
	m, err := models.Describe(filepath.Join(dir, "snapshots", filepath.Base(strings.TrimSpace(string(commit)))))
	if err != nil {
		return nil, err
	}
	if repo, ok := strings.CutPrefix(filepath.Base(dir), "models--"); ok {
		if name, err := models.CleanName(strings.ReplaceAll(repo, "--", "/")); err == nil {
			m.Name = name
		}
	}
	return m, nil
}

// newLoader reads what the machine has where the operator did not say.
func newLoader(c *config.Serve, log *slog.Logger) *loader {
	threads, quota, why := config.Threads()
	l := &loader{config: c, threads: threads, spin: !quota, memory: c.MemoryLimit, log: log}
	if c.Threads > 0 {
		l.threads, why = c.Threads, "--threads"
	}
	limit, whyMemory := config.MemoryLimit()
	if l.memory > 0 {
		whyMemory = "--memory-limit"
	} else {
		l.memory = limit
	}
	log.Debug("the machine", "threads", l.threads, "threads_reason", why, "spin", l.spin,
		"memory_limit", config.Bytes(l.memory), "memory_reason", whyMemory)
	return l
}

// newLogger returns the logger that the operator chose.
func newLogger(w io.Writer, c *config.Serve) *slog.Logger {
	o := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
