package routes

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"ortserve/template"
)

// The limits of a body beyond its size. No request that means something comes near them.
const (
	maxDepth   = 128     // lists and objects inside each other
	maxMembers = 65_536  // members of all objects together
	maxValues  = 1 << 20 // values of all lists and objects together
)

// kind is the type of a JSON value.
type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindNumber
	kindText
	kindList
	kindObject
)

func (k kind) String() string {
	return [...]string{"null", "a boolean", "a number", "a string", "a list", "an object"}[k]
}

// value is a JSON value as it was sent: numbers keep their spelling, objects their order.
type value struct {
	kind    kind
	text    string // a string's content, a number's literal, "true" or "false"
	list    []value
	members []member
}

// member is a name of an object with its value.
type member struct {
	name  string
	value value
}

// empty says whether v is one of the ways in which clients spell "not set": null, false, 0, "", [] and {}.
func (v value) empty() bool {
	switch v.kind {
	case kindBool:
		return v.text == "false"
	case kindNumber:
		f, err := strconv.ParseFloat(v.text, 64)
		return err == nil && f == 0
	case kindText:
		return v.text == ""
	case kindList:
		return len(v.list) == 0
	case kindObject:
		return len(v.members) == 0
	default:
		return true
	}
}

// get returns the member of an object called name.
func (v value) get(name string) value {
	for _, m := range v.members {
		if m.name == name {
			return m.value
		}
	}
	return value{}
}

// plain returns v as package template takes values: objects keep their order, numbers are integers where they are spelled so.
func (v value) plain() any {
	switch v.kind {
	case kindBool:
		return v.text == "true"
	case kindNumber:
		if n, err := strconv.ParseInt(v.text, 10, 64); err == nil {
			return n
		}
		f, _ := strconv.ParseFloat(v.text, 64) // out of range is infinity, as in Python
		return f
	case kindText:
		return v.text
	case kindList:
		list := make([]any, len(v.list))
		for i, of := range v.list {
			list[i] = of.plain()
		}
		return list
	case kindObject:
		object := make(template.Object, len(v.members))
		for i, m := range v.members {
			object[i] = template.Member{Name: m.name, Value: m.value.plain()}
		}
		return object
	default:
		return nil
	}
}

// json returns v as package encoding/json writes it; numbers keep their spelling.
func (v value) json() any {
	switch v.kind {
	case kindNumber:
		return json.Number(v.text)
	case kindList:
		list := make([]any, len(v.list))
		for i, of := range v.list {
			list[i] = of.json()
		}
		return list
	case kindObject:
		object := make(map[string]any, len(v.members))
		for _, m := range v.members {
			object[m.name] = m.value.json()
		}
		return object
	default:
		return v.plain()
	}
}

// appendJSON appends v as JSON: objects keep their order, numbers their spelling.
func (v value) appendJSON(b []byte) []byte {
	switch v.kind {
	case kindText:
		return appendText(b, v.text)
	case kindList:
		b = append(b, '[')
		for i, of := range v.list {
			if i > 0 {
				b = append(b, ',')
			}
			b = of.appendJSON(b)
		}
		return append(b, ']')
	case kindObject:
		b = append(b, '{')
		for i, m := range v.members {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendText(b, m.name), ':')
			b = m.value.appendJSON(b)
		}
		return append(b, '}')
	case kindBool, kindNumber:
		return append(b, v.text...)
	}
	return append(b, "null"...)
}

// appendText appends s, which is UTF-8, as a JSON string.
func appendText(b []byte, s string) []byte {
	text, _ := json.Marshal(s) // a string cannot fail
	return append(b, text...)
}

// parseJSON reads one JSON value, more strictly than encoding/json: invalid UTF-8, a lone surrogate, a name twice in one
// object and deep nesting are errors, not repaired. The value shares no memory with data.
func parseJSON(data []byte) (value, error) {
	switch {
	case len(data) >= 2 && (data[0] == 0xfe && data[1] == 0xff || data[0] == 0xff && data[1] == 0xfe):
		return value{}, errors.New("the body is UTF-16; JSON is sent as UTF-8")
	case !utf8.Valid(data):
		return value{}, errors.New("the body is not valid UTF-8")
	case !json.Valid(data):
		var raw json.RawMessage
		err := json.Unmarshal(data, &raw)
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return value{}, fmt.Errorf("the body is not valid JSON: %w at byte %d", err, syntax.Offset)
		}
		return value{}, fmt.Errorf("the body is not valid JSON: %w", err)
	}
	p := parser{data: data}
	return p.value(0)
}

// parser builds the value of data, which is known to be valid JSON.
type parser struct {
	data    []byte
	at      int
	members int
	values  int
}

func (p *parser) value(depth int) (value, error) {
	if p.values++; p.values > maxValues {
		return value{}, fmt.Errorf("the body holds more than %d values", maxValues)
	}
	switch c := p.peek(); c {
	case '{', '[':
		if depth >= maxDepth {
			return value{}, fmt.Errorf("the body is nested more than %d deep", maxDepth)
		}
		p.at++
		if c == '{' {
			return p.object(depth + 1)
		}
		return p.array(depth + 1)
	case '"':
		s, err := p.text()
		return value{kind: kindText, text: s}, err
	default:
		return p.literal(), nil
	}
}

func (p *parser) object(depth int) (value, error) {
	v := value{kind: kindObject}
	seen := map[string]bool{}
	for p.peek() != '}' {
		if p.members++; p.members > maxMembers {
			return value{}, fmt.Errorf("the body holds more than %d names", maxMembers)
		}
		name, err := p.text()
		if err != nil {
			return value{}, err
		}
		if seen[name] {
			return value{}, fmt.Errorf("the name %s stands twice in one object", quote(name))
		}
		seen[name] = true
		p.skip(':')
		of, err := p.value(depth)
		if err != nil {
			return value{}, err
		}
		v.members = append(v.members, member{name: name, value: of})
		p.skip(',')
	}
	p.at++
	return v, nil
}

func (p *parser) array(depth int) (value, error) {
	v := value{kind: kindList}
	for p.peek() != ']' {
		of, err := p.value(depth)
		if err != nil {
			return value{}, err
		}
		v.list = append(v.list, of)
		p.skip(',')
	}
	p.at++
	return v, nil
}

// literal reads a number, true, false or null.
func (p *parser) literal() value {
	begin := p.at
	for p.at < len(p.data) {
		switch p.data[p.at] {
		case ',', ']', '}', ' ', '\t', '\r', '\n':
		default:
			p.at++
			continue
		}
		break
	}
	s := string(p.data[begin:p.at])
	switch s {
	case "null":
		return value{}
	case "true", "false":
		return value{kind: kindBool, text: s}
	default:
		return value{kind: kindNumber, text: s}
	}
}

// text reads a string.
func (p *parser) text() (string, error) {
	p.peek()
	begin, escaped := p.at, false
	for p.at++; p.data[p.at] != '"'; p.at++ {
		if p.data[p.at] == '\\' {
			escaped = true
			p.at++
		}
	}
	p.at++
	quoted := p.data[begin:p.at]
	if !escaped {
		return string(quoted[1 : len(quoted)-1]), nil
	}
	if s := loneSurrogate(quoted); s != "" {
		return "", fmt.Errorf("the body holds the lone surrogate %s", s)
	}
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		return "", fmt.Errorf("the body is not valid JSON: %w", err)
	}
	return s, nil
}

// peek skips white space and returns the byte after it.
func (p *parser) peek() byte {
	for p.at < len(p.data) {
		switch p.data[p.at] {
		case ' ', '\t', '\r', '\n':
			p.at++
		default:
			return p.data[p.at]
		}
	}
	return 0
}

// skip passes the byte c if it comes next.
func (p *parser) skip(c byte) {
	if p.peek() == c {
		p.at++
	}
}

// loneSurrogate returns the first \u escape of a quoted string that is half of a pair, or "".
func loneSurrogate(quoted []byte) string {
	unit := func(i int) (rune, bool) {
		if i+6 > len(quoted) || quoted[i] != '\\' || quoted[i+1] != 'u' {
			return 0, false
		}
		n, err := strconv.ParseUint(string(quoted[i+2:i+6]), 16, 16)
		return rune(n), err == nil
	}
	for i := 0; i < len(quoted); i++ {
		if quoted[i] != '\\' {
			continue
		}
		high, ok := unit(i)
		if !ok || !utf16.IsSurrogate(high) {
			i++ // the escaped byte
			continue
		}
		low, ok := unit(i + 6)
		if !ok || utf16.DecodeRune(high, low) == utf8.RuneError {
			return string(quoted[i : i+6])
		}
		i += 11
	}
	return ""
}

// maxQuoted is how many bytes of a client's value an error repeats.
const maxQuoted = 64

// quote returns what an error says of a client's text: quoted, without control characters, and bounded.
func quote(s string) string {
	if cut := clip(s); cut != s {
		return strconv.Quote(strings.TrimSuffix(cut, "…")) + "…"
	}
	return strconv.Quote(s)
}

// clip bounds what an answer repeats of a client's text.
func clip(s string) string {
	if len(s) <= maxQuoted {
		return s
	}
	cut := maxQuoted
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
