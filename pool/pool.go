package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"ortserve/engine"
	"ortserve/grammar"
	"ortserve/models"
	"ortserve/template"
	"ortserve/tokenize"
)

// Loaded is a model with all that a request needs of it.
type Loaded struct {
	Model        *models.Model
	Engine       *engine.Engine
	Tokenizer    *tokenize.Tokenizer
	Template     *template.Template // nil where the model has none
	StopTokens   []int32            // ids that end an answer
	Fingerprint  string             // names all that an answer's bits depend on but the request
	LoadDuration time.Duration
	Close        func(ctx context.Context) error // ends the engine as engine.Close does, then frees the model

	once       sync.Once
	vocabulary *grammar.Vocabulary
}

// Vocabulary returns the model's tokens as grammars take them. It is made when it is first asked for.
func (l *Loaded) Vocabulary() *grammar.Vocabulary {
	l.once.Do(func() {
		tokens := make([][]byte, l.Tokenizer.Vocab())
		for id := range tokens {
			if !l.Tokenizer.Special(int32(id)) {
				tokens[id] = l.Tokenizer.Bytes(int32(id))
			}
		}
		l.vocabulary = grammar.NewVocabulary(tokens, l.StopTokens)
	})
	return l.vocabulary
}

// Opener loads a model. The context ends when the pool closes.
type Opener func(ctx context.Context, m *models.Model) (*Loaded, error)

// ErrNotFound is the error of Get for a name that nothing serves.
var ErrNotFound = errors.New("model not found")

// Options are what New needs. The zero value of a field takes the default in brackets.
type Options struct {
	Models  []*models.Model // served whatever the store holds; the first is the default
	Store   *models.Store   // its models are served too, if there are no Models [none]
	Default string          // the store's model for requests that name none [the first by name]
	Open    Opener
	Need    func(m *models.Model) (int64, error) // bytes that a model takes while it is loaded [0]
	Limit   int64                                // bytes that all may take [any number]
	Release func()                               // called when a model that was unloaded is out of reach [not]
	// KeepAlive is how long a model stays after its last request; negative is for ever [for ever for Models, else DefaultKeepAlive].
	KeepAlive *time.Duration
	Queue     int          // requests that may wait for models to be loaded; one always may
	Logger    *slog.Logger // [slog.Default()]
}

// DefaultKeepAlive is how long a model of the store stays loaded after its last request: Ollama's default.
const DefaultKeepAlive = 5 * time.Minute

// Pool is the set of models served. All methods may be called by several goroutines.
type Pool struct {
	Options

	ctx    context.Context //nolint:containedctx // loads belong to the pool, not to the requests that wait for them
	cancel context.CancelCauseFunc
	turn   chan struct{}  // holds one token while a model is loaded
	work   sync.WaitGroup // loads and unloads

	mu      sync.Mutex
	entries map[string]*entry  // by name: what requests join
	ending  map[*entry]bool    // in no request's reach; unloaded when the last user has gone
	failed  map[string]failure // what was tried a moment ago
	bytes   int64              // that all entries, ending ones included, take
	waiting int                // requests that wait for a load
	changed chan struct{}      // closed and made anew when something above changes
	tried   bool               // Load has returned
	closed  bool
}

// New returns a pool. Load loads its Models; the store's are loaded when they are asked for.
func New(o Options) *Pool {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	p := &Pool{
		Options: o,
		turn:    make(chan struct{}, 1),
		entries: map[string]*entry{},
		ending:  map[*entry]bool{},
		failed:  map[string]failure{},
		changed: make(chan struct{}),
	}
	p.ctx, p.cancel = context.WithCancelCause(context.Background())
	return p
}

// User is who asks for a model, as far as it decides how long the model stays.
type User struct {
	Group string // whom the request counts for; "" is nobody in particular
	Admin bool   // decides for all
	// KeepAlive is how long the model shall stay after the request; 0 is not at all, negative is for ever, nil is as Options say.
	KeepAlive *time.Duration
}

// Get returns the model that serves name, which may lack its tag; "" is the default model. Unless it is loaded it waits until it is,
// or until ctx ends. The caller calls the function, once, when it needs the model no more. The errors are ErrNotFound,
// *engine.OverloadedError where requests or models in use leave no room, engine.ErrClosed, ctx's, and that of loading.
func (p *Pool) Get(ctx context.Context, name string, by User) (*Loaded, func(), error) {
	m, err := p.Find(name)
	if err != nil {
		return nil, nil, err
	}
	for {
		e, err := p.join(ctx, m, by)
		if err != nil {
			return nil, nil, err
		}
		if e.err == nil {
			return e.loaded, sync.OnceFunc(func() { p.leave(e) }), nil
		}
		p.leave(e)
		full := new(engine.OverloadedError)
		switch {
		case errors.Is(e.err, errNoRoom): // of Load, which makes none
		case errors.As(e.err, &full), errors.Is(e.err, engine.ErrClosed):
			return nil, nil, e.err
		default:
			return nil, nil, fmt.Errorf("model %s could not be loaded: %w", m.Name, e.err)
		}
	}
}

// join waits until the model is loaded, or could not be, and counts one user more of it.
func (p *Pool) join(ctx context.Context, m *models.Model, by User) (*entry, error) {
	waits := false
	defer func() {
		if waits {
			p.mu.Lock()
			p.waiting--
			p.mu.Unlock()
		}
	}()
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, engine.ErrClosed
		}
		e, err := p.entry(m)
		if err != nil {
			p.mu.Unlock()
			return nil, err
		}
		wait := p.changed
		if !e.draining {
			e.users++
			e.used = time.Now()
			e.keep.note(by, p.keepAlive())
			e.stopTimer()
			wait = e.done
		}
		if !isDone(wait) && !waits {
			if waiting := p.waiting; waiting >= max(p.Queue, 1) {
				if !e.draining {
					p.left(e)
				}
				p.mu.Unlock()
				return nil, &engine.OverloadedError{
					Text:       fmt.Sprintf("%d requests wait for models to be loaded, the limit is %d (--queue)", waiting, p.Queue),
					RetryAfter: retryAfter,
				}
			}
			waits = true
			p.waiting++
		}
		joined := !e.draining
		p.mu.Unlock()
		select {
		case <-wait:
			if joined {
				return e, nil
			}
		case <-ctx.Done():
			if joined {
				p.leave(e)
			}
			return nil, ctx.Err()
		}
	}
}

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// entry returns the entry of m, and begins to load m where there is none. The caller holds mu.
func (p *Pool) entry(m *models.Model) (*entry, error) {
	e := p.entries[m.Name]
	if e != nil && e.model != m {
		p.retire(e) // the files have changed: what runs ends with the old ones
		e = nil
	}
	if e != nil {
		return e, nil
	}
	if f, ok := p.failed[m.Name]; ok && f.model == m && time.Since(f.at) < retryFailed {
		return nil, fmt.Errorf("model %s could not be loaded: %w", m.Name, f.err)
	}
	e = &entry{model: m, done: make(chan struct{})}
	p.entries[m.Name] = e
	p.background(func() { p.load(e, true) })
	return e, nil
}

// background runs f, which has its own fence, in a goroutine that Close waits for. The caller holds mu.
func (p *Pool) background(f func()) {
	p.work.Add(1)
	go func() {
		defer p.work.Done()
		f()
	}()
}

// broadcast wakes all that wait for a change. The caller holds mu.
func (p *Pool) broadcast() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// Find returns the description of the model that serves name, without loading it. The error is an ErrNotFound, or says what is wrong
// with the model's files.
func (p *Pool) Find(name string) (*models.Model, error) {
	notFound := fmt.Errorf("%w: %q", ErrNotFound, name)
	if len(p.Models) > 0 {
		for i, m := range p.Models {
			if i == 0 && name == "" || m.Name == name || strings.TrimSuffix(m.Name, ":latest") == name {
				return m, nil
			}
		}
		return nil, notFound
	}
	if p.Store == nil {
		return nil, notFound
	}
	if name == "" {
		return p.storeDefault()
	}
	m, err := p.Store.Find(name)
	switch {
	case errors.Is(err, models.ErrNotFound):
		p.Removed(name)
		return nil, notFound
	case errors.Is(err, models.ErrName):
		return nil, notFound
	}
	return m, err
}

// storeDefault is the model of the store for requests that name none.
func (p *Pool) storeDefault() (*models.Model, error) {
	if p.Default != "" {
		if m, err := p.Store.Find(p.Default); err == nil {
			return m, nil
		}
	}
	if list := p.List(); len(list) > 0 {
		return list[0], nil
	}
	return nil, fmt.Errorf("%w: the store has none", ErrNotFound)
}

// List returns the models that are served: in the order of Options.Models, or of their names.
func (p *Pool) List() []*models.Model {
	if len(p.Models) > 0 || p.Store == nil {
		return p.Models
	}
	list, err := p.Store.List()
	if err != nil {
		p.Logger.Warn("not all models of the store can be served", "error", err)
	}
	return list
}

// Served returns the names of the models that are served.
func (p *Pool) Served() []string {
	list := p.List()
	names := make([]string, 0, len(list))
	for _, m := range list {
		names = append(names, m.Name)
	}
	return names
}
