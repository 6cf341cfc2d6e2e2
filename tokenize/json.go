package tokenize

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// reader walks a JSON text (RFC 8259) without building a tree: a vocabulary and its merges are most of a file of tens of
// megabytes. It does not check what it skips beyond strings and nesting; that is decoded, and so checked, later.
type reader struct {
	data []byte
	pos  int
}

// maxDepth bounds the nesting of what is skipped.
const maxDepth = 64

func (r *reader) fail(what string) error { return fmt.Errorf("%s at byte %d", what, r.pos) }

// peek returns the next byte that is not white space, 0 at the end.
func (r *reader) peek() byte {
	for r.pos < len(r.data) {
		switch c := r.data[r.pos]; c {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return c
		}
	}
	return 0
}

func (r *reader) expect(c byte) error {
	if got := r.peek(); got != c {
		if r.pos >= len(r.data) {
			return errors.New("the file ends early")
		}
		return r.fail(fmt.Sprintf("%q where %q is expected", got, c))
	}
	r.pos++
	return nil
}

// object calls field for each key; field must consume the value.
func (r *reader) object(field func(key string) error) error {
	if err := r.expect('{'); err != nil {
		return err
	}
	if r.peek() == '}' {
		r.pos++
		return nil
	}
	for {
		key, err := r.string()
		if err != nil {
			return err
		}
		if err := r.expect(':'); err != nil {
			return err
		}
		if err := field(key); err != nil {
			return err
		}
		if r.peek() == '}' {
			r.pos++
			return nil
		}
		if err := r.expect(','); err != nil {
			return err
		}
	}
}

// array calls element for each element, which it must consume.
func (r *reader) array(element func() error) error {
	if err := r.expect('['); err != nil {
		return err
	}
	if r.peek() == ']' {
		r.pos++
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		if r.peek() == ']' {
			r.pos++
			return nil
		}
		if err := r.expect(','); err != nil {
			return err
		}
	}
}

// string reads a string.
func (r *reader) string() (string, error) {
	if err := r.expect('"'); err != nil {
		return "", err
	}
	start := r.pos
	for r.pos < len(r.data) {
		switch c := r.data[r.pos]; {
		case c == '"':
			r.pos++
			return string(r.data[start : r.pos-1]), nil
		case c == '\\':
			return r.escaped(append([]byte(nil), r.data[start:r.pos]...))
		case c < 0x20:
			return "", r.fail("control character in a string")
		default:
			r.pos++
		}
	}
	return "", errors.New("the file ends in a string")
}

// escaped reads on from the first escape of a string.
func (r *reader) escaped(b []byte) (string, error) {
	for r.pos < len(r.data) {
		c := r.data[r.pos]
		r.pos++
		switch {
		case c == '"':
			return string(b), nil
		case c < 0x20:
			return "", r.fail("control character in a string")
		case c != '\\':
			b = append(b, c)
			continue
		}
		if r.pos >= len(r.data) {
			break
		}
		c = r.data[r.pos]
		r.pos++
		switch c {
		case '"', '\\', '/':
			b = append(b, c)
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			u, err := r.unicode()
			if err != nil {
				return "", err
			}
			b = utf8.AppendRune(b, u)
		default:
			return "", r.fail("unknown escape in a string")
		}
	}
	return "", errors.New("the file ends in a string")
}

// unicode reads what follows \u, a second escape of a surrogate pair too.
func (r *reader) unicode() (rune, error) {
	high, err := r.hex()
	if err != nil || !utf16.IsSurrogate(high) {
		return high, err
	}
	if r.pos+1 >= len(r.data) || r.data[r.pos] != '\\' || r.data[r.pos+1] != 'u' {
		return 0, r.fail("half a surrogate pair")
	}
	r.pos += 2
	low, err := r.hex()
	if err != nil {
		return 0, err
	}
	if c := utf16.DecodeRune(high, low); c != utf8.RuneError {
		return c, nil
	}
	return 0, r.fail("half a surrogate pair")
}

func (r *reader) hex() (rune, error) {
	if r.pos+4 > len(r.data) {
		return 0, errors.New("the file ends in a string")
	}
	v, err := strconv.ParseUint(string(r.data[r.pos:r.pos+4]), 16, 16)
	if err != nil {
		return 0, r.fail("wrong \\u escape")
	}
	r.pos += 4
	return rune(v), nil
}

// id reads a token id.
func (r *reader) id() (int32, error) {
	r.peek()
	start, v := r.pos, 0
	for ; r.pos < len(r.data) && '0' <= r.data[r.pos] && r.data[r.pos] <= '9'; r.pos++ {
		if v = 10*v + int(r.data[r.pos]-'0'); v > maxID {
			return 0, r.fail(fmt.Sprintf("token id above %d", maxID))
		}
	}
	if start == r.pos {
		return 0, r.fail("a token id is expected")
	}
	return int32(v), nil
}

// raw returns the text of the next value.
func (r *reader) raw() ([]byte, error) {
	r.peek()
	start := r.pos
	if err := r.skip(0); err != nil {
		return nil, err
	}
	return r.data[start:r.pos], nil
}

// skip passes over the next value.
func (r *reader) skip(depth int) error {
	if depth > maxDepth {
		return r.fail(fmt.Sprintf("nesting of more than %d", maxDepth))
	}
	switch c := r.peek(); c {
	case '{':
		return r.object(func(string) error { return r.skip(depth + 1) })
	case '[':
		return r.array(func() error { return r.skip(depth + 1) })
	case '"':
		_, err := r.string()
		return err
	}
	start := r.pos
	for r.pos < len(r.data) {
		c := r.data[r.pos]
		if c != '-' && c != '+' && c != '.' && (c < '0' || c > '9') && !asciiLetter(c) {
			break
		}
		r.pos++
	}
	if start == r.pos {
		if r.pos >= len(r.data) {
			return errors.New("the file ends early")
		}
		return r.fail("a value is expected")
	}
	return nil
}
