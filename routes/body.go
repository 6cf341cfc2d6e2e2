package routes

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"

	"github.com/gofiber/fiber/v2"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// decodeBody reads the request's body into dst by the table and lists what it has no row for. The body is JSON whatever its
// content type says: curl says form data where it is told nothing.
func decodeBody[T any](s *server, c *fiber.Ctx, t *table[T], dst *T) error {
	body, err := unpack(c.Get(fiber.HeaderContentEncoding), c.Request().Body(), s.BodyLimit)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return invalid("", "missing request body")
	}
	v, err := parseJSON(body)
	if err != nil {
		return invalid("", "%s", err.Error())
	}
	d := decoder{grammars: s.grammars}
	err = t.object(&d, "", v, dst)
	listIgnored(c, d.ignored)
	s.countIgnored(d.ignored)
	if err == nil && d.unknown != "" && (s.Strict || strings.EqualFold(c.Get("X-Strict"), "true")) {
		return invalid(clip(d.unknown), "the field %s is unknown, and the request or the server (--strict) wants that to be an error", quote(d.unknown))
	}
	return err
}

// unpack undoes a body's content encoding, in memory for at most limit bytes.
func unpack(encoding string, body []byte, limit int) ([]byte, error) {
	var from io.Reader
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
		return body, nil
	case "gzip", "x-gzip":
		r, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, invalid("", "the body is not what its content encoding says: %s", err.Error())
		}
		from = r
	case "zstd":
		r, err := zstd.NewReader(bytes.NewReader(body), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, invalid("", "the body is not what its content encoding says: %s", err.Error())
		}
		defer r.Close()
		from = r
	default:
		return nil, &apiError{kind: kindEncoding, message: fmt.Sprintf("the content encoding %s is not supported; gzip and zstd are", quote(encoding))}
	}
	plain, err := io.ReadAll(io.LimitReader(from, int64(limit)+1))
	switch {
	case len(plain) > limit:
		return nil, &apiError{kind: kindTooLarge}
	case err != nil:
		return nil, invalid("", "the body is not what its content encoding says: %s", err.Error())
	}
	return plain, nil
}

// maxZstdWindow is the largest window that a client's zstd frame may ask the decoder to keep: RFC 8878, section 3.1.1.1.2, recommends that
// decoders take 8 MiB.
const maxZstdWindow = 8 << 20

// The header of what was ignored has at most maxIgnored names; the log, and what is counted, at most maxCounted. All further names
// count as "other".
const (
	maxIgnored = 32
	maxCounted = 256
)

// listIgnored sets X-Ignored-Params. A name that could not stand in a header as it is appears as "?".
func listIgnored(c *fiber.Ctx, names []string) {
	if len(names) == 0 {
		return
	}
	list := make([]string, 0, maxIgnored+1)
	for _, n := range names[:min(len(names), maxIgnored)] {
		list = append(list, plainName(n))
	}
	if len(names) > maxIgnored {
		list = append(list, "...")
	}
	c.Set("X-Ignored-Params", strings.Join(list, ", "))
}

// plainName returns a field's path as it can stand in a header and a log, "?" where it cannot.
func plainName(n string) string {
	if len(n) > maxQuoted || strings.ContainsFunc(n, func(r rune) bool { return r <= ' ' || r > '~' || r == ',' }) {
		return "?"
	}
	return n
}

// ignored counts names that were ignored.
type ignored struct {
	mu    sync.Mutex
	names map[string]uint64
}

// countIgnored counts names; the first time that one comes the log says so. A list's elements count as one name.
func (s *server) countIgnored(names []string) {
	s.ignored.mu.Lock()
	defer s.ignored.mu.Unlock()
	for _, n := range names[:min(len(names), maxIgnored)] {
		n = withoutIndexes(plainName(n))
		count, known := s.ignored.names[n]
		if !known && len(s.ignored.names) >= maxCounted {
			n = "other"
			count, known = s.ignored.names[n]
		}
		if s.ignored.names == nil {
			s.ignored.names = map[string]uint64{}
		}
		s.ignored.names[n] = count + 1
		if !known {
			s.Logger.Info("requests hold a field that is ignored", "field", n)
		}
	}
}

// ignoredCounts returns how often each name was ignored.
func (s *server) ignoredCounts() map[string]uint64 {
	s.ignored.mu.Lock()
	defer s.ignored.mu.Unlock()
	return maps.Clone(s.ignored.names)
}

// withoutIndexes turns messages[12].name into messages[].name.
func withoutIndexes(path string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(path, "[") {
		if b.Len() > 0 || part == "" {
			if _, rest, ok := strings.Cut(part, "]"); ok {
				b.WriteString("[]" + rest)
				continue
			}
		}
		b.WriteString(part)
	}
	return b.String()
}
