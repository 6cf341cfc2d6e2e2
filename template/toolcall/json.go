package toolcall

import (
	"encoding/json"
	"regexp"
	"strings"
)

// scanner follows JSON's brackets and strings, to find where an object or a list ends.
type scanner struct {
	open     []byte // the brackets that are not closed
	inString bool
	escaped  bool // the character before was a backslash
	begun    bool
}

// step takes the next byte; false says that it cannot be there.
func (s *scanner) step(c byte) bool {
	s.begun = true
	switch {
	case s.inString && s.escaped:
		s.escaped = false
	case s.inString && c == '\\':
		s.escaped = true
	case s.inString:
		s.inString = c != '"'
		return c >= ' '
	case c == '"':
		s.inString = true
	case c == '{', c == '[':
		s.open = append(s.open, c+2) // the bracket that closes it, in ASCII
	case c == '}', c == ']':
		n := len(s.open) - 1
		if n < 0 || s.open[n] != c {
			return false
		}
		s.open = s.open[:n]
	}
	return true
}

// done says whether all brackets are closed.
func (s *scanner) done() bool { return s.begun && len(s.open) == 0 }

// call is a call that is complete.
type call struct{ name, arguments string }

// object is JSON in which a model may write a call. Parameters is Llama's name for arguments, which others use too; function is
// what OpenAI's API has around a call.
type object struct {
	Name       *string         `json:"name"`
	Arguments  json.RawMessage `json:"arguments"`
	Parameters json.RawMessage `json:"parameters"`
	Function   json.RawMessage `json:"function"`
}

// parse reads one call or a list of them, false if that is not what s is.
func (p *Parser) parse(s string) ([]call, bool) {
	if s[0] != '[' {
		c, ok := p.one([]byte(s), true)
		return []call{c}, ok
	}
	var list []json.RawMessage
	if json.Unmarshal([]byte(s), &list) != nil || len(list) == 0 {
		return nil, false
	}
	calls := make([]call, len(list))
	for i, of := range list {
		var ok bool
		if calls[i], ok = p.one(of, true); !ok {
			return nil, false
		}
	}
	return calls, true
}

// one reads one call. With wrapped it may be the member function of the object.
func (p *Parser) one(data []byte, wrapped bool) (call, bool) {
	var o object
	if json.Unmarshal(data, &o) != nil {
		return call{}, false
	}
	if o.Name == nil && wrapped && o.Function != nil {
		return p.one(o.Function, false)
	}
	if o.Name == nil || !p.names[*o.Name] {
		return call{}, false
	}
	args := o.Arguments
	if args == nil {
		args = o.Parameters
	}
	text, ok := argumentsText(args)
	return call{*o.Name, text}, ok
}

// argumentsText returns arguments as the text of an object, which some models write as a string. None are an empty object.
func argumentsText(data json.RawMessage) (string, bool) {
	s := string(data)
	if s == "" || s == "null" {
		return "{}", true
	}
	if s[0] == '"' {
		if json.Unmarshal(data, &s) != nil {
			return "", false
		}
		s = strings.TrimSpace(s)
	}
	var o map[string]json.RawMessage
	return s, json.Unmarshal([]byte(s), &o) == nil && o != nil
}

// maxHead is how many bytes of JSON without a tag are looked at for what no call has. A call's name and its value are within them.
const maxHead = 512

// mayBeCall says whether JSON that begins so may be a call or a list of calls.
func mayBeCall(s string, names map[string]bool) bool {
	s = strings.TrimLeft(strings.TrimPrefix(s, "["), " \t\r\n")
	if s == "" {
		return true
	}
	if s[0] != '{' {
		return false
	}
	keys := map[string]bool{"name": true, "arguments": true, "parameters": true, "type": true, "function": true, "id": true}
	key, rest, ok := quoted(s[1:], keys)
	if !ok || rest == "" {
		return ok
	}
	rest = strings.TrimLeft(rest, " \t\r\n")
	if rest == "" {
		return true
	}
	if rest[0] != ':' {
		return false
	}
	switch key {
	case "name":
		_, _, ok = quoted(rest[1:], names)
	case "type":
		_, _, ok = quoted(rest[1:], map[string]bool{"function": true})
	}
	return ok
}

// quoted reads one of some texts in quotes, after white space. It is false if that is not what s is or may become. The rest is what
// comes after the text, empty if that is not complete.
func quoted(s string, texts map[string]bool) (text, rest string, ok bool) {
	s = strings.TrimLeft(s, " \t\r\n")
	if s == "" {
		return "", "", true
	}
	if s[0] != '"' {
		return "", "", false
	}
	text, rest, closed := strings.Cut(s[1:], `"`)
	if closed {
		return text, rest, texts[text]
	}
	for t := range texts {
		if strings.HasPrefix(t, text) {
			return "", "", true
		}
	}
	return "", "", false
}

var head = regexp.MustCompile(`^\{\s*"name"\s*:\s*"([^"\\]+)"\s*,\s*"(?:arguments|parameters)"\s*:\s*$`)

// argumentsOf returns the name of the tool whose arguments come next, if s is the beginning of a call up to there.
func argumentsOf(s string) (string, bool) {
	m := head.FindStringSubmatch(s)
	if m == nil {
		return "", false
	}
	return m[1], true
}
