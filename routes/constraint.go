package routes

import (
	"errors"
	"fmt"
	"strings"

	"ortserve/grammar"
)

// keptGrammars is how many grammars are kept compiled.
const keptGrammars = 64

// constrain makes sampling s follow the grammar that compile gives for the field at; source is all that the grammar depends on.
func constrain(d *decoder, s *sampling, at, source string, compile func() (*grammar.Grammar, error)) error {
	if s.grammar != nil {
		return invalid(at, "%s and %s both say what the answer must be; send one of them", s.grammarField, at)
	}
	g, err := d.grammars.Get(source, compile)
	if err != nil {
		return refusedGrammar(at, err)
	}
	s.grammar, s.grammarField = g, at
	return nil
}

// refusedGrammar is the error of a field whose grammar is not compiled. Its param leads to the keyword of a schema.
func refusedGrammar(at string, err error) error {
	e := invalid(at, "%s: %s", at, err)
	if schema := new(grammar.SchemaError); errors.As(err, &schema) {
		e.param = at + "#" + strings.TrimSuffix(schema.Path, "/")
		if schema.Keyword != "" {
			e.param += "/" + clip(schema.Keyword)
		}
	}
	return e
}

// readSchema takes a JSON Schema. Objects have the properties that it declares and no others, unless it says that they may.
func readSchema(d *decoder, at string, v value, s *sampling) error {
	if v.kind != kindObject && v.kind != kindBool {
		return wrongType(at, "a JSON Schema object", v)
	}
	text := v.appendJSON(nil)
	return constrain(d, s, at, "schema "+string(text), func() (*grammar.Grammar, error) {
		return grammar.JSONSchema(text, grammar.Options{Closed: true})
	})
}

// readJSONObject asks for any JSON object.
func readJSONObject(d *decoder, at string, s *sampling) error {
	return constrain(d, s, at, "json", func() (*grammar.Grammar, error) { return grammar.JSON(), nil })
}

// readRegex takes a regular expression that the whole answer must match.
func readRegex(d *decoder, at string, v value, s *sampling) error {
	if v.kind != kindText {
		return wrongType(at, "a regular expression", v)
	}
	return constrain(d, s, at, "regex "+v.text, func() (*grammar.Grammar, error) { return grammar.Regex(v.text) })
}

// readChoice takes the texts of which the answer must be one.
func readChoice(d *decoder, at string, v value, s *sampling) error {
	if v.kind != kindList {
		return wrongType(at, "a list of strings", v)
	}
	texts := make([]string, len(v.list))
	for i, t := range v.list {
		if t.kind != kindText {
			return wrongType(fmt.Sprintf("%s[%d]", at, i), "a string", t)
		}
		texts[i] = t.text
	}
	return constrain(d, s, at, fmt.Sprintf("choice %q", texts), func() (*grammar.Grammar, error) { return grammar.Choice(texts) })
}

// readGBNF takes a grammar in llama.cpp's notation.
func readGBNF(d *decoder, at string, v value, s *sampling) error {
	if v.kind != kindText {
		return wrongType(at, "a grammar as text", v)
	}
	return constrain(d, s, at, "gbnf "+v.text, func() (*grammar.Grammar, error) { return grammar.GBNF(v.text) })
}

// readSchemaOrText is readSchema for fields that may hold the schema as a text.
func readSchemaOrText(d *decoder, at string, v value, s *sampling) error {
	if v.kind == kindText {
		parsed, err := parseJSON([]byte(v.text))
		if err != nil {
			return invalid(at, "%s is no JSON Schema: %s", at, strings.TrimPrefix(err.Error(), "the body is "))
		}
		v = parsed
	}
	return readSchema(d, at, v, s)
}

// readFormat takes the object with which OpenAI's and Anthropic's APIs say what an answer must be; the member schema of one of type json_schema stands
// in the member inside, if that is not empty, or beside it.
func readFormat(d *decoder, at, inside string, v value, s *sampling) error {
	if v.kind != kindObject {
		return wrongType(at, "an object", v)
	}
	kind := v.get("type")
	if kind.kind != kindText {
		return invalid(at+".type", "%s.type is missing; it is text, json_object or json_schema", at)
	}
	of, where := v, at
	if in := v.get(inside); inside != "" && in.kind == kindObject {
		of, where = in, join(at, inside)
	}
	for _, part := range []struct {
		at      string
		v       value
		members []string
	}{
		{at, v, []string{"type", "name", "description", "strict", "schema", inside}},
		{where, of, []string{"type", "name", "description", "strict", "schema", inside}},
	} {
		for _, m := range part.v.members {
			if !isText(part.members...)(value{kind: kindText, text: m.name}) && !m.value.empty() {
				return notSupported(join(part.at, m.name), "%s is not supported", join(part.at, m.name))
			}
		}
	}
	schema := of.get("schema")
	switch kind.text {
	case "text":
		return nil
	case "json_object":
		if schema.kind == kindNull {
			return readJSONObject(d, at, s)
		}
	case "json_schema":
		if schema.kind == kindNull {
			return invalid(where+".schema", "%s.schema is missing", where)
		}
	default:
		return notSupported(at+".type", "%s.type is %s; text, json_object and json_schema are supported", at, quote(kind.text))
	}
	return readSchema(d, where+".schema", schema, s)
}

// formatField is the row of response_format, and of what other dialects call it.
func formatField[T any](name, inside string, of func(*T) *sampling) field[T] {
	return field[T]{name: name, schema: formatSchema, read: func(d *decoder, at string, v value, dst *T) error {
		return readFormat(d, at, inside, v, of(dst))
	}}
}

var formatSchema = schema{"type": "object", "properties": schema{
	"type": schema{"type": "string", "enum": []string{"text", "json_object", "json_schema"}},
}, "required": []string{"type"}}

// llamaGrammarFields are the rows by which llama.cpp's API says what an answer must be.
func llamaGrammarFields[T any](of func(*T) *sampling) []field[T] {
	return []field[T]{
		constraintField("json_schema", schema{"type": "object"}, of, readSchema),
		constraintField("grammar", textSchema, of, readGBNF),
	}
}

// vllmGrammarFields are the rows by which vLLM's API does: guided_* and, newer, structured_outputs.
func vllmGrammarFields[T any](of func(*T) *sampling) []field[T] {
	parts := newTable([]field[T]{
		constraintField("json", schema{"type": []string{"object", "string"}}, of, readSchemaOrText),
		constraintField("regex", textSchema, of, readRegex),
		constraintField("choice", listOf(textSchema), of, readChoice),
		constraintField("grammar", textSchema, of, readGBNF),
		constraintField("json_object", schema{"type": "boolean"}, of, func(d *decoder, at string, v value, s *sampling) error {
			if !isTrue(v) {
				return wrongType(at, "true", v)
			}
			return readJSONObject(d, at, s)
		}),
	}, refusedFields[T]("disable_any_whitespace", "structural_tag", "whitespace_pattern"), inertFields[T]("disable_additional_properties", "disable_fallback"))
	return []field[T]{
		constraintField("guided_json", schema{"type": []string{"object", "string"}}, of, readSchemaOrText),
		constraintField("guided_regex", textSchema, of, readRegex),
		constraintField("guided_choice", listOf(textSchema), of, readChoice),
		constraintField("guided_grammar", textSchema, of, readGBNF),
		objectField("structured_outputs", parts),
	}
}

// constraintField is the row of a field that is not looked at where it is empty and not an object.
func constraintField[T any](name string, describes schema, of func(*T) *sampling, read func(d *decoder, at string, v value, s *sampling) error) field[T] {
	return field[T]{name: name, schema: describes, read: func(d *decoder, at string, v value, dst *T) error {
		if v.empty() && v.kind != kindObject {
			return nil
		}
		return read(d, at, v, of(dst))
	}}
}

// ollamaFormatField is the row of Ollama's format: "json", or a schema.
func ollamaFormatField[T any](of func(*T) *sampling) field[T] {
	return constraintField("format", schema{"type": []string{"string", "object"}}, of, func(d *decoder, at string, v value, s *sampling) error {
		switch {
		case isText("json")(v):
			return readJSONObject(d, at, s)
		case v.kind != kindObject:
			return invalid(at, `%s must be "json" or a JSON Schema object`, at)
		}
		return readSchema(d, at, v, s)
	})
}
