package grammar

import (
	"errors"
	"math/rand/v2"
	"testing"

	"ortserve/grammar/grammartest"
)

// judge is the independent one of a schema.
func judge(t testing.TB, schema string) *grammartest.Judge {
	t.Helper()
	j, err := grammartest.NewJudge(schema)
	if err != nil {
		t.Fatalf("%s: %v", clip(schema), err)
	}
	return j
}

// generate writes a random text of g: random bytes while there are fewer than steps, then a shortest end.
func generate(g *Grammar, rng *rand.Rand, steps int) []byte {
	g.once.Do(func() { g.automaton = newAutomaton(g.root) })
	a := g.automaton
	s := a.start
	var text []byte
	for range steps {
		if s.accept && rng.IntN(4) == 0 {
			return text
		}
		var next []byte
		for c := range a.bytes {
			if a.step(s, uint8(c)) != dead {
				next = append(next, uint8(c))
			}
		}
		if len(next) == 0 {
			return text
		}
		c := next[rng.IntN(len(next))]
		var of []byte
		for b := range 256 {
			if a.classes[b] == c {
				of = append(of, byte(b))
			}
		}
		text = append(text, of[rng.IntN(len(of))])
		s = a.step(s, c)
	}
	return append(text, s.shortest()...)
}

// checkSchema compiles schema and validates generated values.
func checkSchema(t *testing.T, schema string, o Options, n int) *Grammar {
	t.Helper()
	g, err := JSONSchema([]byte(schema), o)
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	j := judge(t, schema)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		text := generate(g, rng, rng.IntN(60))
		if !g.Matches(text) {
			t.Fatalf("%s: %q was generated and is refused", schema, text)
		}
		if err := j.Check(text); err != nil {
			t.Fatalf("%s: run %d: %v", schema, i, err)
		}
	}
	return g
}

func TestSchema(t *testing.T) {
	f := func(schema string, yes, no []string) {
		t.Helper()
		g := checkSchema(t, schema, Options{}, 200)
		for _, s := range yes {
			if !g.Matches([]byte(s)) {
				t.Errorf("%s: %s is refused", schema, s)
			}
		}
		for _, s := range no {
			if g.Matches([]byte(s)) {
				t.Errorf("%s: %s is let through", schema, s)
			}
		}
	}
	l := func(s ...string) []string { return s }
	f(`true`, l(`1`, `{}`, `[1, "a"]`), l(``, `x`))
	f(`{"type": "integer", "minimum": -12, "maximum": 1034}`, l(`-12`, `-1`, `0`, `9`, `1034`, `999`), l(`-13`, `1035`, `-0`, `01`, `1.0`, `2000`))
	f(`{"type": "integer", "exclusiveMinimum": 5}`, l(`6`, `10`, `123456`), l(`5`, `-6`, `0`))
	f(`{"type": "number", "minimum": 0.5, "exclusiveMaximum": 10.25}`, l(`0.5`, `0.51`, `1`, `10`, `10.24`, `10.2499`, `9.99`), l(`0.49`, `0`, `10.25`, `10.250`, `10.3`, `11`, `-1`))
	f(`{"type": "number", "exclusiveMinimum": -1.5, "maximum": -0.25}`, l(`-1.49`, `-1`, `-0.25`), l(`-1.5`, `-0.2`, `0`, `1`))
	f(`{"type": "number", "multipleOf": 0.01, "minimum": 0}`, l(`0.01`, `12.5`, `3`, `1.10`, `1.1000`), l(`0.001`, `1.115`))
	f(`{"type": "integer", "multipleOf": 7}`, l(`0`, `7`, `-14`, `700`), l(`1`, `-13`))
	f(`{"type": "string", "minLength": 2, "maxLength": 3}`, l(`"ab"`, `"abc"`, `"😀😀"`, `"\u00e9\n"`, `"\ud83d\ude00a"`), l(`"a"`, `"abcd"`, `"\ud83d\ude00"`))
	f(`{"type": "string", "pattern": "^[a-z]+\\d$", "maxLength": 4}`, l(`"a1"`, `"abc1"`), l(`"abcd1"`, `"1"`))
	f(`{"type": "string", "pattern": "x\""}`, l(`"x\""`, `"abx\"cd"`), l(`"x"`))
	f(`{"enum": ["a", 1, null, {"b": [1, 2]}]}`, l(`"a"`, `1`, `null`, `{"b": [1,2]}`), l(`"b"`, `{}`))
	f(`{"enum": ["a", "bb", 1, 5], "type": "string", "minLength": 2}`, l(`"bb"`), l(`"a"`, `1`))
	f(`{"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["b"], "additionalProperties": false}`,
		l(`{"a": 1, "b": "x"}`, `{"b": "x"}`), l(`{}`, `{"a": 1}`, `{"b": "x", "a": 1}`, `{"b":"x","c":1}`))
	f(`{"type": "object", "properties": {"a": {"type": "integer"}}}`, l(`{}`, `{"a": 1, "b": 2}`, `{"aa": "x"}`, `{"": 1}`), l(`{"a": "x"}`, `{"b": 1, "a": "x"}`))
	f(`{"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1, "maxProperties": 2}`, l(`{"x": 1}`, `{"x": 1, "y": 2}`), l(`{}`, `{"x": 1, "y": 2, "z": 3}`))
	f(`{"type": "object", "patternProperties": {"^x": {"type": "integer"}}, "additionalProperties": {"type": "string"}, "required": ["xa"]}`,
		l(`{"xa": 1, "b": "c"}`, `{"xa": 1, "xb": 2}`), l(`{"xa": "s"}`, `{"xa": 1, "b": 2}`, `{"b": "c"}`))
	f(`{"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3}`, l(`[1]`, `[1, 2, 3]`), l(`[]`, `[1,2,3,4]`, `["a"]`))
	f(`{"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": false}`, l(`[]`, `[1]`, `[1, "a"]`), l(`["a"]`, `[1, "a", 2]`))
	f(`{"type": "array", "prefixItems": [{"const": 1}], "items": {"const": 2}, "minItems": 3}`, l(`[1,2,2]`, `[1,2,2,2]`), l(`[1,2]`, `[]`))
	f(`{"type": "array", "items": {"type": "integer"}, "contains": {"minimum": 5}}`, l(`[5]`, `[1, 7, 2]`), l(`[]`, `[1]`, `[1, 2]`))
	f(`{"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": true}`, l(`[]`, `["b", "a"]`), l(`["a", "a"]`))
	f(`{"anyOf": [{"type": "integer"}, {"type": "string"}], "maximum": 5}`, l(`5`, `"x"`), l(`6`, `null`))
	f(`{"oneOf": [{"type": "integer", "minimum": 2}, {"type": "integer", "maximum": 4}]}`, l(`1`, `5`), l(`2`, `3`, `4`))
	f(`{"oneOf": [{"type": "object", "properties": {"k": {"const": "a"}, "v": {"type": "integer"}}, "required": ["k", "v"]}, {"type": "object", "properties": {"k": {"const": "b"}}, "required": ["k"]}]}`,
		l(`{"k": "a", "v": 1}`, `{"k": "b"}`), l(`{"k": "a"}`, `{"k": "c"}`))
	f(`{"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"properties": {"a": {"minimum": 3}}}], "type": "object"}`, l(`{"a": 3}`), l(`{"a": 2}`, `{}`))
	f(`{"$defs": {"n": {"type": "object", "properties": {"v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}}, "required": ["v", "next"], "additionalProperties": false}}, "$ref": "#/$defs/n"}`,
		l(`{"v": 1, "next": {"v": 2, "next": null}}`), l(`{"v": 1}`, `{"v": 1, "next": {}}`))
	f(`{"not": {"type": ["string", "null"]}}`, l(`1`, `{}`), l(`"x"`, `null`))
	f(`{"type": "string", "not": {"enum": ["a", "b"]}}`, l(`"c"`, `"aa"`), l(`"a"`))
	f(`{"if": {"properties": {"k": {"const": 1}}, "required": ["k"]}, "then": {"required": ["x"]}, "else": {"required": ["y"]}, "type": "object"}`,
		l(`{"k": 1, "x": 0}`, `{"k": 2, "y": 0}`, `{"y": 1}`), l(`{"k": 1, "y": 0}`, `{"x": 1}`))
	f(`{"type": "object", "dependentRequired": {"a": ["b"]}}`, l(`{}`, `{"b": 1}`, `{"a": 1, "b": 2}`), l(`{"a": 1}`))
	f(`{"type": "object", "propertyNames": {"pattern": "^[a-z]{2}$"}}`, l(`{}`, `{"ab": 1}`), l(`{"a": 1}`, `{"abc": 1}`))
	f(`{"type": "string", "format": "date"}`, l(`"2024-02-29"`, `"2023-12-31"`), l(`"2023-02-29"`, `"2023-13-01"`))
	for name := range formats {
		if formats[name] != "" && name != "byte" {
			f(`{"type": "string", "format": "`+name+`"}`, nil, nil)
		}
	}
	f(`{"type": "integer", "format": "int32"}`, l(`2147483647`, `-2147483648`), l(`2147483648`, `-2147483649`))
}

func TestSchemaRefuses(t *testing.T) {
	f := func(schema, keyword, path string) {
		t.Helper()
		_, err := JSONSchema([]byte(schema), Options{})
		var e *SchemaError
		if !errors.As(err, &e) || e.Keyword != keyword || e.Path != path {
			t.Errorf("%s: got %v, want an error of %s at %s", schema, err, keyword, path)
		}
	}
	f(`{"properties": {"a": {"uniqueItems": true}}}`, "uniqueItems", "/properties/a")
	f(`{"$dynamicRef": "#x"}`, "$dynamicRef", "/")
	f(`{"properties": {"a/b": {"pattern": "(?=x)"}}}`, "pattern", "/properties/a~1b")
	f(`{"items": {"type": "text"}}`, "type", "/items")
	f(`{"minLenght": 3}`, "minLenght", "/")
	f(`{"$ref": "#/definitions/x"}`, "$ref", "/")
	f(`{"$ref": "https://example.com/x"}`, "$ref", "/")
	f(`{"$ref": "#"}`, "$ref", "/")
	f(`{"anyOf": [{"$ref": "#"}, {"type": "string"}]}`, "$ref", "/")
	f(`{"type": "string", "format": "colour"}`, "format", "/")
	f(`{"minLength": -1}`, "minLength", "/")
	f(`{"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}`, "", "/")
	f(`{"type": "string", "minLength": 3, "maxLength": 2}`, "", "/")
	f(`false`, "", "/")
	f(`{"$notEnum": [1]}`, "$notEnum", "/")
}
