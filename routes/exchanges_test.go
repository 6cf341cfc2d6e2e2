package routes

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestClients: a session of each of the clients that people use, with the bodies that they send: what they ask at the start, a chat, calls of
// tools and what they send back of them. All is answered, and what is ignored is listed.
func TestClients(t *testing.T) {
	for _, path := range exchangeFiles(t, "clients") {
		f := readExchanges(t, path)
		f.check(t, newPlayer(t, f))
		f.answeredWith(t, http.StatusOK)
	}
}

// answeredWith holds every exchange of a file to a status.
func (f *exchangeFile) answeredWith(t *testing.T, status int) {
	t.Helper()
	for _, part := range f.parts {
		if part.answer[0] != "<<< "+strconv.Itoa(status) {
			t.Errorf("%s: %s is answered with %s, want %d", f.path, part.request[0], part.answer[0], status)
		}
	}
}

// TestStreamFiles: every stream of every dialect, and how each tells an error, with the reason for each difference from the peer.
func TestStreamFiles(t *testing.T) {
	have := map[string]bool{}
	for _, path := range exchangeFiles(t, "streams") {
		f := readExchanges(t, path)
		var set []func(*world, *Options)
		if strings.HasSuffix(path, "/store.txt") {
			store, _ := withStore(t)
			set = append(set, store)
		}
		f.check(t, newPlayer(t, f, set...))
		f.answeredWith(t, http.StatusOK)
		for _, part := range f.parts {
			_, route, _, _ := part.ask(t)
			have[route] = true
		}
	}
	for _, o := range operations {
		if o.streamType != "" && !have[o.path] {
			t.Errorf("no file of testdata/streams has %s", o.path)
		}
	}
}

// errorFiles are the kinds of errors, each with its file of testdata/errors.
var errorFiles = [...]string{
	kindInternal: "internal", kindInvalid: "invalid", kindNotSupported: "not-supported", kindModelNotFound: "model-not-found",
	kindContextLength: "context-length", kindOverloaded: "overloaded", kindClosing: "closing", kindTimeout: "timeout", kindRateLimited: "rate-limited",
	kindUnauthorized: "unauthorized", kindForbidden: "forbidden", kindNoRoute: "no-route", kindMethod: "method", kindTooLarge: "too-large",
	kindEncoding: "encoding", kindClientGone: "client-gone", kindHeaderTooLarge: "header-too-large", kindSlowRequest: "slow-request",
	kindUpstream: "upstream",
}

// TestErrorFiles: every error in every dialect, with the reason for each difference from the peer.
func TestErrorFiles(t *testing.T) {
	keys := fileKeys(t, "a:g:inference:a")
	settings := map[string]func(*world, *Options){
		"too-large":    func(_ *world, o *Options) { o.BodyLimit = 64 },
		"timeout":      func(_ *world, o *Options) { o.RequestTimeout, o.Queue = 100*time.Millisecond, 8 },
		"unauthorized": func(_ *world, o *Options) { o.Keys = keys },
		"forbidden":    func(_ *world, o *Options) { o.Keys, o.ScopeHeader = keys, "X-User" },
		"rate-limited": func(_ *world, o *Options) { o.Keys, o.KeyRequests = keys, 1 },
		"slow-request": func(_ *world, o *Options) { o.ReadTimeout = 100 * time.Millisecond },
	}
	settings["upstream"], _ = withStore(t)
	before := map[string]func(*player){
		"timeout":    func(p *player) { p.hold() },
		"overloaded": overload,
		"rate-limited": func(p *player) {
			p.do(http.MethodPost, "/v1/completions", `{"prompt":"#"}`, "X-Api-Key", "a")
		},
		"closing": func(p *player) {
			p.closed, p.busy = true, true
			if err := p.pool.Close(context.Background()); err != nil {
				t.Error(err)
			}
		},
	}
	if len(errorFiles) != len(errorTable) {
		t.Errorf("%d kinds of errors have a file, and there are %d", len(errorFiles), len(errorTable))
	}
	for kind, name := range errorFiles {
		t.Run(name, func(t *testing.T) {
			f := readExchanges(t, "testdata/errors/"+name+".txt")
			set := func(w *world, o *Options) {
				if s := settings[name]; s != nil {
					s(w, o)
				}
			}
			p := newPlayer(t, f, set)
			if b := before[name]; b != nil {
				b(p)
			}
			f.check(t, p)
			f.answeredWith(t, errorTable[kind].status)
			dialects := map[string]bool{}
			for _, part := range f.parts {
				switch _, path, _, _ := part.ask(t); {
				case isOllama(path):
					dialects[tagOllama] = true
				case isAnthropic(path):
					dialects[tagAnthropic] = true
				case strings.HasPrefix(path, "/v1"):
					dialects[tagOpenAI] = true
				}
			}
			if want := map[bool]int{true: 1, false: 3}[name == "upstream"]; len(dialects) != want { // only pulling asks another server
				t.Errorf("%s has only %v", f.path, dialects)
			}
		})
	}
}

// hold keeps the model from making any run until the test ends.
func (p *player) hold() {
	gate := make(chan struct{})
	p.gate.Store(&gate)
	p.busy = true
	p.t.Cleanup(func() { close(gate) }) // before the server's own
}

// overload fills the two slots and the queue of one.
func overload(p *player) {
	p.hold()
	ask := func() { send(p.t, p.dial(), "/api/generate", `{"model":"tiny:1b","prompt":"hi"}`) }
	ask()
	eventually(p.t, "the first runs", func() bool { return p.entered.Load() > 0 })
	ask()
	ask()
	eventually(p.t, "two more are accepted", func() bool { return p.engine().Snapshot().Waiting >= 2 })
}
