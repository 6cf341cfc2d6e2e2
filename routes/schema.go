package routes

import (
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
)

// schema is a JSON Schema (draft 2020-12, as OpenAPI 3.1 has it) of a value that a client sends or gets.
type schema = map[string]any

// The schemas of fields that more than one table has.
var (
	textSchema   = schema{"type": "string"}
	objectSchema = schema{"type": "object"}
	tokensSchema = listOf(integerSchema(0, math.MaxInt32))
	stopSchema   = schema{"anyOf": []schema{textSchema, {"type": "array", "items": textSchema, "maxItems": maxStops}}}
	promptSchema = schema{"anyOf": []schema{textSchema, tokensSchema, listOf(textSchema), listOf(tokensSchema)}}
)

func integerSchema(lowest, highest int64) schema {
	return schema{"type": "integer", "minimum": lowest, "maximum": highest}
}

func listOf(items schema) schema { return schema{"type": "array", "items": items} }

// contentSchema is a text or a list of parts.
func contentSchema(part schema) schema { return schema{"anyOf": []schema{textSchema, listOf(part)}} }

// oneSchema describes objects of several kinds, none of whose members is always there.
func oneSchema(kinds ...schema) schema {
	properties := schema{}
	for _, k := range kinds {
		of, _ := k["properties"].(schema)
		maps.Copy(properties, of)
	}
	return schema{"type": "object", "properties": properties}
}

// schema describes the table's object. Every field may be null, which is as good as absent.
func (t *table[T]) schema() schema {
	properties := schema{}
	for _, r := range t.rows {
		properties[r.name] = r.describe()
	}
	return schema{"type": "object", "properties": properties}
}

// describe returns a row's schema.
func (f field[T]) describe() schema {
	switch {
	case f.class == inert:
		return schema{"description": "accepted; changes nothing here", "x-class": "inert"}
	case f.class == refused || f.why != "":
		text := "refused"
		if f.why != "" {
			text += ": " + f.why
		}
		return schema{"description": text, "x-class": "refused"}
	}
	s := nullable(f.schema)
	s["x-class"] = "honoured"
	return s
}

// nullable returns a copy of s that allows null too.
func nullable(s schema) schema {
	out := schema{}
	maps.Copy(out, s)
	switch typ := s["type"].(type) {
	case string:
		out["type"] = []string{typ, "null"}
	case []string:
		out["type"] = append(append([]string{}, typ...), "null")
	}
	if values, ok := s["enum"].([]string); ok {
		all := []any{nil}
		for _, v := range values {
			all = append(all, v)
		}
		out["enum"] = all
	}
	if choices, ok := s["anyOf"].([]schema); ok {
		out["anyOf"] = append(append([]schema{}, choices...), schema{"type": "null"})
	}
	return out
}

// present returns a copy of a nullable schema that allows neither null nor an empty list.
func present(s schema) schema {
	out := maps.Clone(s)
	if types, ok := s["type"].([]string); ok {
		out["type"] = slices.DeleteFunc(slices.Clone(types), func(t string) bool { return t == "null" })
		if slices.Contains(types, "array") {
			out["minItems"] = 1
		}
	}
	if choices, ok := s["anyOf"].([]schema); ok {
		var kept []schema
		for _, c := range choices {
			switch c["type"] {
			case "null":
				continue
			case "array":
				c = maps.Clone(c)
				c["minItems"] = 1
			}
			kept = append(kept, c)
		}
		out["anyOf"] = kept
	}
	return out
}

// typeSchema describes the answers that a Go type writes with package encoding/json.
func typeSchema(t reflect.Type) schema {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return schema{"type": "string", "format": "date-time"}
	case t.Kind() == reflect.Pointer:
		return nullable(typeSchema(t.Elem()))
	}
	switch t.Kind() {
	case reflect.String:
		return schema{"type": "string"}
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint64:
		return schema{"type": "integer"}
	case reflect.Float64:
		return schema{"type": "number"}
	case reflect.Slice:
		return listOf(typeSchema(t.Elem()))
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": typeSchema(t.Elem())}
	case reflect.Interface:
		return schema{}
	case reflect.Struct:
		properties, required := schema{}, []string{}
		addFields(t, true, properties, &required)
		return schema{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
	default:
		return schema{} // any value
	}
}

// addFields adds the members that a struct's fields are written as; those of an embedded pointer may all be absent.
func addFields(t reflect.Type, always bool, properties schema, required *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && f.Type.Kind() == reflect.Pointer:
			addFields(f.Type.Elem(), false, properties, required)
		case f.Anonymous:
			addFields(f.Type, always, properties, required)
		case name != "":
			s := typeSchema(f.Type)
			if options == "omitempty" && f.Type.Kind() == reflect.Pointer {
				s = typeSchema(f.Type.Elem())
			}
			properties[name] = s
			if always && options != "omitempty" {
				*required = append(*required, name)
			}
		}
	}
}
