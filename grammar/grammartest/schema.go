// Package grammartest makes JSON Schemas for tests, and has a judge that is not ours: github.com/santhosh-tekuri/jsonschema.
package grammartest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Schema returns a random schema of the kinds that people send: objects in each other, lists, enumerations, bounds, patterns, formats, alternatives,
// references and recursion. Most are valid for some value, and most of those in a few dozen tokens.
func Schema(rng *rand.Rand) string {
	m := &maker{rng: rng}
	root := m.object(0)
	if m.defs {
		root["$defs"] = map[string]any{
			"node": map[string]any{
				"type": "object", "properties": map[string]any{"v": m.scalar(), "next": map[string]any{"anyOf": []any{ref("node"), of("null")}}},
				"required": []string{"v", "next"}, "additionalProperties": false,
			},
			"tag": m.scalar(),
		}
	}
	text, err := json.Marshal(root)
	if err != nil {
		return "false"
	}
	return string(text)
}

type maker struct {
	rng  *rand.Rand
	defs bool
}

type object = map[string]any

func of(kind string) object  { return object{"type": kind} }
func ref(name string) object { return object{"$ref": "#/$defs/" + name} }

func pick[T any](rng *rand.Rand, list ...T) T { return list[rng.IntN(len(list))] }

// value is a schema of any kind.
func (m *maker) value(depth int) object {
	if depth >= 3 || m.rng.IntN(3) == 0 {
		return m.scalar()
	}
	switch m.rng.IntN(9) {
	case 0, 1:
		return m.object(depth + 1)
	case 2, 3:
		return m.list(depth + 1)
	case 4:
		return object{"anyOf": []any{m.value(depth + 1), m.scalar(), of("null")}}
	case 5:
		return object{"oneOf": []any{
			object{"type": "object", "properties": object{"kind": object{"const": "a"}, "x": m.scalar()}, "required": []string{"kind"}},
			object{"type": "object", "properties": object{"kind": object{"const": "b"}, "y": m.value(depth + 1)}, "required": []string{"kind", "y"}},
		}}
	case 6:
		return object{"allOf": []any{
			object{"type": "object", "properties": object{"p": m.scalar()}, "required": []string{"p"}},
			object{"properties": object{"q": m.value(depth + 1)}, "required": []string{"q"}},
		}}
	case 7:
		m.defs = true
		return ref(pick(m.rng, "node", "tag"))
	}
	return object{
		"type": "object", "properties": object{"k": object{"enum": []any{"u", "v"}}, "w": m.scalar()}, "required": []string{"k"},
		"if": object{"properties": object{"k": object{"const": "u"}}}, "then": object{"required": []string{"w"}},
	}
}

func (m *maker) object(depth int) object {
	names := []string{"name", "id", "tags", "größe", "a \"b\"", "size", "items", "note"}
	m.rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	properties := object{}
	required := []string{}
	for _, n := range names[:m.rng.IntN(5)] {
		properties[n] = m.value(depth)
		if m.rng.IntN(3) > 0 {
			required = append(required, n)
		}
	}
	o := object{"type": "object", "properties": properties, "required": required}
	switch m.rng.IntN(4) {
	case 0, 1:
		o["additionalProperties"] = false
	case 2:
		o["additionalProperties"] = m.scalar()
		o["maxProperties"] = len(required) + 2
	}
	return o
}

func (m *maker) list(depth int) object {
	least := m.rng.IntN(3)
	l := object{"type": "array", "items": m.value(depth), "minItems": least}
	switch m.rng.IntN(4) {
	case 0:
		l["prefixItems"] = []any{m.scalar(), m.scalar()}
	case 1:
		l["maxItems"] = least + m.rng.IntN(3)
	case 2:
		return object{"type": "array", "items": object{"enum": []any{"red", "green", 3}}, "uniqueItems": true, "maxItems": 3}
	}
	return l
}

// scalar is a schema of what is no object and no list.
func (m *maker) scalar() object {
	low := m.rng.IntN(2000) - 1000
	switch m.rng.IntN(12) {
	case 0:
		return of("boolean")
	case 1:
		return object{"enum": []any{"yes", "no", "línea\n2", nil, 7, -2.5, true}}
	case 2:
		return object{"const": pick[any](m.rng, "x", 1, nil, "a\"b")}
	case 3:
		return object{"type": "integer", "minimum": low, "maximum": low + m.rng.IntN(300)}
	case 4:
		return object{"type": "number", "minimum": float64(low) / 8, "exclusiveMaximum": float64(low)/8 + 3.75}
	case 5:
		return object{"type": "integer", "multipleOf": 2 + m.rng.IntN(9), "minimum": 0}
	case 6:
		return object{"type": "string", "pattern": pick(m.rng, `^[A-Z]{2}-\d{3}$`, `^\S+@x\.org$`, `ab`, `^(north|south)?$`, `^[^"\\]{1,5}$`)}
	case 7:
		least := m.rng.IntN(5)
		return object{"type": "string", "minLength": least, "maxLength": least + m.rng.IntN(20)}
	case 8:
		return object{"type": "string", "format": pick(m.rng, "date", "time", "date-time", "uuid", "email", "ipv4", "hostname", "uri")}
	case 9:
		return object{"type": []string{"string", "null"}, "maxLength": 12}
	case 10:
		return of(pick(m.rng, "integer", "number", "null"))
	}
	return of("string")
}

// Judge says whether values are valid by one schema.
type Judge struct{ schema *jsonschema.Schema }

// NewJudge returns the judge of a schema of draft 2020-12 where it names no other, formats asserted.
func NewJudge(schema string) (*Judge, error) { return NewDraftJudge(schema, jsonschema.Draft2020) }

// NewDraftJudge returns the judge of a schema of that draft where it names no other, formats asserted. The error of a schema that refers to another
// document is one of jsonschema's.
func NewDraftJudge(schema string, draft *jsonschema.Draft) (*Judge, error) {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(schema))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(draft)
	c.AssertFormat()
	const at = "http://localhost/schema" // relative references need a place
	if err := c.AddResource(at, doc); err != nil {
		return nil, err
	}
	s, err := c.Compile(at)
	return &Judge{s}, err
}

// Check returns what is wrong with a text: it is not JSON, or not valid.
func (j *Judge) Check(text []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	if err := j.schema.Validate(v); err != nil {
		return fmt.Errorf("%q: %w", text, err)
	}
	return nil
}
