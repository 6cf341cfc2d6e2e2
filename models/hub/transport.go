package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	maxRedirects  = 5
	maxRetryAfter = 2 * time.Minute
)

// errPrivate is the error of a redirect into a private network.
var errPrivate = errors.New("redirects to an address of a private network")

// clients returns the client for the endpoint's host and the one for hosts it redirects to.
func clients(connections int) (home, away *http.Client) {
	client := func(check func(network, address string, _ syscall.RawConn) error) *http.Client {
		d := &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 15 * time.Second, Control: check}
		return &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				Proxy:                  http.ProxyFromEnvironment,
				DialContext:            d.DialContext,
				DisableCompression:     true,
				MaxIdleConnsPerHost:    connections,
				TLSHandshakeTimeout:    15 * time.Second,
				IdleConnTimeout:        time.Minute,
				MaxResponseHeaderBytes: 64 << 10,
			},
		}
	}
	return client(nil), client(func(_, address string, _ syscall.RawConn) error { return public(address) })
}

// public refuses addresses that are not of the public network. It is asked with the resolved address, right before it is dialled.
func public(address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if a := ap.Addr().Unmap(); !a.IsGlobalUnicast() || a.IsPrivate() || inside(a) {
		return fmt.Errorf("the hub %w (%s)", errPrivate, a)
	}
	return nil
}

// shared are networks that are not public beside those that netip knows: RFC 6598, RFC 6890, RFC 6052.
var shared = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"),
}

func inside(a netip.Addr) bool {
	for _, p := range shared {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// answer is what the hub says. Its reader closes it.
type answer struct {
	status int
	header http.Header
	length int64 // of body; -1 where it is not said
	body   io.Reader
	close  func()
}

// open asks for u and follows redirects. A body that is silent for Stall ends with an error, and so does a request for which nothing
// comes for that long.
func (h *Hub) open(ctx context.Context, u *url.URL, header http.Header) (*answer, error) {
	if h.Offline {
		return nil, permanent{errOffline}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	silence := time.AfterFunc(h.Stall, func() { cancel(fmt.Errorf("nothing came for %s", h.Stall)) })
	end := func() {
		silence.Stop()
		cancel(context.Canceled)
	}
	var err error
	for range maxRedirects + 1 {
		var resp *http.Response
		resp, err = h.request(ctx, u, header) //nolint:bodyclose // whoever gets the answer closes it
		if err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			break
		}
		if resp.StatusCode < 300 || resp.StatusCode > 399 || resp.StatusCode == http.StatusNotModified {
			if encoding := resp.Header.Get("Content-Encoding"); encoding != "" {
				_ = resp.Body.Close()
				err = permanent{fmt.Errorf("the hub sends %q though none was asked for", clip(encoding))}
				break
			}
			return &answer{
				status: resp.StatusCode, header: resp.Header, length: resp.ContentLength,
				body:  &watched{Reader: resp.Body, ctx: ctx, silence: silence, stall: h.Stall},
				close: func() { end(); _ = resp.Body.Close() },
			}, nil
		}
		_ = resp.Body.Close()
		if u, err = h.redirected(u, resp.Header.Get("Location")); err != nil {
			break
		}
	}
	end()
	if err == nil {
		err = permanent{fmt.Errorf("the hub redirects more than %d times", maxRedirects)}
	}
	return nil, err
}

// request sends one request. The token goes home alone.
func (h *Hub) request(ctx context.Context, u *url.URL, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, permanent{err}
	}
	if header != nil {
		req.Header = header.Clone()
	}
	req.Header.Set("User-Agent", h.UserAgent)
	req.Header.Set("Accept-Encoding", "identity")
	client := h.away
	if h.isHome(u) {
		client = h.home
		if h.Token != "" {
			req.Header.Set("Authorization", "Bearer "+h.Token)
		}
	} else if ip, err := netip.ParseAddr(u.Hostname()); err == nil { // behind a proxy nothing else is checked
		if err := public(netip.AddrPortFrom(ip, 443).String()); err != nil {
			return nil, permanent{err}
		}
	}
	resp, err := client.Do(req)
	if errors.Is(err, errPrivate) {
		err = permanent{err}
	}
	return resp, err
}

// isHome says whether u is the endpoint's own.
func (h *Hub) isHome(u *url.URL) bool {
	return u.Scheme == h.endpoint.Scheme && u.Host == h.endpoint.Host
}

// redirected returns where a redirect leads.
func (h *Hub) redirected(from *url.URL, location string) (*url.URL, error) {
	to, err := from.Parse(location)
	switch {
	case err != nil || location == "":
		return nil, permanent{fmt.Errorf("the hub redirects to %q", clip(location))}
	case to.Scheme != "https" && to.Scheme != "http" || to.Host == "":
		return nil, permanent{fmt.Errorf("the hub redirects to %q, which is no web address", clip(location))}
	case from.Scheme == "https" && to.Scheme == "http":
		return nil, permanent{fmt.Errorf("the hub redirects from https to %q", clip(location))}
	}
	return to, nil
}

// watched is a body whose silence ends the request.
type watched struct {
	io.Reader

	ctx     context.Context //nolint:containedctx // of the request
	silence *time.Timer
	stall   time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if n > 0 {
		w.silence.Reset(w.stall)
	}
	if err != nil && w.ctx.Err() != nil {
		err = context.Cause(w.ctx)
	}
	return n, err
}

// statusOf is the error of an answer with another status than was hoped for.
func statusOf(a *answer) error {
	e := &statusError{code: a.status}
	if text := clip(strings.TrimSpace(a.header.Get("X-Error-Message"))); text != "" {
		e.says = ": " + printable(text)
	}
	if after := a.header.Get("Retry-After"); after != "" {
		if n, err := strconv.Atoi(after); err == nil && n >= 0 {
			e.after = min(time.Duration(n)*time.Second, maxRetryAfter)
		}
	}
	return e
}

// printable leaves out what a terminal or a log would obey.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return -1
		}
		return r
	}, s)
}
