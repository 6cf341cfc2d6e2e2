package routes

import (
	"bytes"
	"net/url"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// arrival is a request whose header is here and whose body is still to come. fasthttp forgets the header when it cannot read the body;
// the answer to that needs to know what was asked.
type arrival struct {
	method, path string
	key          Key
	err          *apiError // why it is not served, whatever its body
}

// minBodyRate is the least bytes a second that a body may arrive at, beside ReadTimeout for its beginning.
const minBodyRate = 64 << 10

// unwanted is the limit of a body that nobody will look at.
const unwanted = 1

// arrived is told each request's header before the body is read. A request that will be refused is not given memory for its body, and
// every body has to arrive at a minimum rate.
func (s *server) arrived(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	length := h.ContentLength()
	if length == 0 || length == -2 {
		return fasthttp.RequestConfig{}
	}
	a := &arrival{method: string(h.Method()), path: pathOf(h)}
	var config fasthttp.RequestConfig
	key, err := s.admit(h, a.path)
	a.key = key
	switch {
	case err != nil:
		a.err = explain(err)
	case length == -1 && hasLength(h):
		a.err = &apiError{kind: kindInvalid, message: "Content-Length and Transfer-Encoding contradict each other"}
	}
	if a.err != nil {
		config.MaxRequestBodySize = unwanted
	}
	if length < 0 {
		length = s.BodyLimit
	}
	rate := time.Duration(min(length, s.BodyLimit)) * time.Second / minBodyRate
	config.ReadTimeout = s.ReadTimeout + rate
	s.arrivals.Store(h, a)
	return config
}

// arrivalOf returns what is known of a request since its header, and forgets it.
func (s *server) arrivalOf(c *fiber.Ctx) *arrival {
	if a, ok := s.arrivals.LoadAndDelete(&c.Request().Header); ok {
		return a.(*arrival)
	}
	return nil
}

// pathOf returns the path that a header asks for.
func pathOf(h *fasthttp.RequestHeader) string {
	u, err := url.ParseRequestURI(string(h.RequestURI()))
	if err != nil {
		return ""
	}
	return u.Path
}

// hasLength says whether a header has a Content-Length. fasthttp does not keep it where there is a Transfer-Encoding.
func hasLength(h *fasthttp.RequestHeader) bool {
	for line := range bytes.Lines(h.RawHeaders()) {
		if name, _, ok := bytes.Cut(line, []byte(":")); ok && bytes.EqualFold(bytes.TrimSpace(name), []byte("Content-Length")) {
			return true
		}
	}
	return false
}
