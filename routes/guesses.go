package routes

import (
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
)

// errWrongKey is the cause of the error of a key that nobody has.
var errWrongKey = errors.New("wrong key")

// The bounds of guessing keys: an address may send freeGuesses wrong keys, then each further one costs it a pause, which doubles from
// shortestPause to longestPause. What an address did is forgotten after forgetGuesses.
const (
	freeGuesses    = 20
	shortestPause  = time.Second
	longestPause   = time.Minute
	forgetGuesses  = 10 * time.Minute
	maxGuessers    = 4096 // addresses that are remembered
	maxNamesBehind = 64   // keys that are remembered of an address
)

// guesses remember which addresses send wrong keys.
type guesses struct {
	mu    sync.Mutex
	from  map[netip.Prefix]*guesser
	names map[netip.Prefix]map[string]bool // keys that an address, which may be a proxy's, has sent
}

// guesser is an address that sent wrong keys.
type guesser struct {
	wrong int
	last  time.Time
	until time.Time // of its pause
}

// guess takes what admit said of a request. A wrong key counts; and in a pause no key is taken from its address, a right one
// neither, so that guessing tells nothing, except those that came from there before: the address may be a proxy's.
func (s *server) guess(c *fiber.Ctx, key Key, err error) error {
	wrong := errors.Is(err, errWrongKey)
	if s.Keys == nil || !wrong && (err != nil || key.Name == "") {
		return err
	}
	from, ok := origin(c)
	if !ok {
		return err
	}
	now := s.now()
	g := &s.guesses
	g.mu.Lock()
	defer g.mu.Unlock()
	who := g.from[from]
	if who != nil && now.Sub(who.last) > forgetGuesses {
		delete(g.from, from)
		who = nil
	}
	if who != nil && now.Before(who.until) && (wrong || !g.names[from][key.Name]) {
		return &apiError{
			kind: kindRateLimited, retryAfter: who.until.Sub(now), cause: errWrongKey,
			message: "too many wrong API keys came from this address",
		}
	}
	if !wrong {
		g.known(from, key.Name)
		return nil
	}
	if who == nil {
		who = &guesser{}
		g.add(from, who, now)
	}
	who.wrong, who.last = who.wrong+1, now
	if over := who.wrong - freeGuesses; over >= 0 {
		who.until = now.Add(min(shortestPause<<min(over, 16), longestPause))
	}
	return err
}

// add remembers an address; where there are too many one of them is forgotten. The caller holds mu.
func (g *guesses) add(from netip.Prefix, who *guesser, now time.Time) {
	if g.from == nil {
		g.from = map[netip.Prefix]*guesser{}
	}
	if len(g.from) >= maxGuessers {
		for other, o := range g.from {
			if now.Sub(o.last) > forgetGuesses {
				delete(g.from, other)
			}
		}
	}
	for other := range g.from {
		if len(g.from) < maxGuessers {
			break
		}
		delete(g.from, other)
	}
	g.from[from] = who
}

// known remembers that a key came from an address. The caller holds mu.
func (g *guesses) known(from netip.Prefix, name string) {
	if g.names == nil {
		g.names = map[netip.Prefix]map[string]bool{}
	}
	names := g.names[from]
	if names == nil && len(g.names) < maxGuessers {
		names = map[string]bool{}
		g.names[from] = names
	}
	if names != nil && len(names) < maxNamesBehind {
		names[name] = true
	}
}

// origin returns the network that a request comes from: an address of IPv4, 64 bits of IPv6, of which one machine may have all.
func origin(c *fiber.Ctx) (netip.Prefix, bool) {
	at, err := netip.ParseAddrPort(c.Context().RemoteAddr().String())
	if err != nil {
		return netip.Prefix{}, false
	}
	a := at.Addr().Unmap()
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, err := a.Prefix(bits)
	return p, err == nil
}
