package config

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// Access is who may use the server.
type Access struct {
	APIKey          string // ORTSERVE_API_KEY; no flag, because arguments can be seen by other users of the machine
	AdminKey        string // ORTSERVE_ADMIN_KEY
	KeyFile         string
	KeyRequests     int // a minute; 0: any number
	KeyTokens       int // a minute; 0: any number
	PublicDiscovery bool
	AllowHosts      []string
	AllowOrigins    []string
	Strict          bool // names that no API knows are errors
}

// Keys says whether callers are asked for a key.
func (a *Access) Keys() bool { return a.APIKey != "" || a.AdminKey != "" || a.KeyFile != "" }

// maxPerMinute bounds what a key may have.
const maxPerMinute = 1_000_000_000

func (c *Serve) accessFlags(f *flagSet) {
	a := &c.Access
	f.group = "Access"
	f.text(&a.KeyFile, "api-key-file", "PATH", `keys that callers must show, a line each: name:group:scope:key. The
scope is inference, proxy (may name its users, --cache-scope-header) or
admin (may change the store too). sha256:HEX may stand for the key. Read
again when it changes. The environment's ORTSERVE_API_KEY and
ORTSERVE_ADMIN_KEY are keys too. Without any, nobody is asked for one.`)
	f.whole(&a.KeyRequests, "key-requests-per-minute", 0, maxPerMinute, `requests that each key may send; 0 is any number. Above it a request is
answered 429 with Retry-After.`)
	f.whole(&a.KeyTokens, "key-tokens-per-minute", 0, maxPerMinute, `tokens, of prompts and answers together, that each key may use; 0 is any
number. Above it a request is answered 429 with Retry-After.`)
	f.toggle(&a.PublicDiscovery, "public-discovery", `serve /api/version, /api/tags, /api/show and /v1/models without a key,
for editors that cannot send one there. Everybody can then see which
models there are.`)
	f.add(&option{
		name: "allow-host", arg: "PATTERN", list: true, set: addPattern(&a.AllowHosts),
		help: `a name by which this server may be addressed while no key is required,
like llm.example.com or *.example.com, beside addresses and local names.
Others are refused, because a web page can make its own name point here.`,
	})
	f.add(&option{
		name: "allow-origin", arg: "PATTERN", list: true, set: addPattern(&a.AllowOrigins),
		help: `where web pages may come from that use this server, like
https://chat.example.com, https://*.example.com or *, beside local ones
and desktop applications.`,
	})
	f.toggle(&c.InsecureNoAuth, "insecure-no-auth", `listen where other machines can reach the server without asking for
keys: whoever reaches it may use it. Put something that checks callers
before it.`)
	f.toggle(&a.Strict, "strict", `refuse requests with fields that no API knows, instead of listing them
in the answer's header X-Ignored-Params.`)
}

// addPattern returns what reads one pattern of a list.
func addPattern(list *[]string) func(string) error {
	return func(v string) error {
		if v == "" || len(v) > 255 || strings.Count(v, "*") > 4 || strings.ContainsAny(v, " \t\r\n") {
			return errors.New("must be a pattern like *.example.com")
		}
		*list = append(*list, v)
		return nil
	}
}

// Loopback says whether only this machine can reach the address.
func (c *Serve) Loopback() bool {
	host, _, err := net.SplitHostPort(c.Addr)
	return err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

// checkExposure refuses an address that others can reach without keys and without a word that this is meant.
func (c *Serve) checkExposure() error {
	if c.InsecureNoAuth || c.Access.Keys() || c.Loopback() {
		return nil
	}
	return fmt.Errorf("--addr: %q can be reached from other machines, and callers are not asked for a key: "+
		"set ORTSERVE_API_KEY (or --api-key-file), or give --insecure-no-auth if that is meant", clip(c.Addr))
}
