package grammar

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// slow is a hang guard: ten times what the compilation of a schema may take.
const slow = time.Second

// bombs are schemas that are made to take long, or are as long as schemas may be, and whether they are refused.
func bombs() []bomb {
	list := func(n int, one func(i int) string) string {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = one(i)
		}
		return strings.Join(parts, ",")
	}
	return []bomb{
		{"brackets", strings.Repeat("[", 60_000), true},
		{"objects in objects", strings.Repeat(`{"properties":{"a":`, 6000) + "true" + strings.Repeat("}}", 6000), true},
		{"allOf in allOf", strings.Repeat(`{"allOf":[`, 30) + "true" + strings.Repeat("]}", 30), false},
		{"100,000 values", `{"enum":[` + list(100_000, func(i int) string { return fmt.Sprint(i) }) + `]}`, true},
		{"64 KiB of values", `{"enum":[` + list(7000, func(i int) string { return fmt.Sprintf(`"v%06d"`, i*7919%1_000_000) }) + `]}`, false},
		{"64 KiB of properties", `{"properties":{` + list(3000, func(i int) string { return fmt.Sprintf(`"p%d":{"type":"integer"}`, i) }) + `},"additionalProperties":false}`, false},
		{"64 KiB of properties, others too", `{"properties":{` + list(2500, func(i int) string { return fmt.Sprintf(`"p%d":{"type":"integer"}`, i) }) + `}}`, false},
		{"64 KiB of alternatives", `{"anyOf":[` + list(500, func(i int) string {
			return fmt.Sprintf(`{"type":"object","properties":{"kind":{"const":"k%d"},"value":{"type":"string","maxLength":%d}},"required":["kind"]}`, i, i)
		}) + `]}`, false},
		{"alternatives of alternatives", `{"allOf":[` + list(20, func(int) string { return `{"anyOf":[{"minLength":1},{"minimum":2},{"minItems":3}]}` }) + `]}`, true},
		{"64 branches of oneOf", `{"oneOf":[` + list(64, func(i int) string { return fmt.Sprintf(`{"properties":{"a":{"minimum":%d}}}`, i) }) + `]}`, false},
		{"a reference to itself", `{"$ref":"#"}`, true},
		{"references in a ring", `{"$defs":{` + list(1000, func(i int) string { return fmt.Sprintf(`"d%d":{"$ref":"#/$defs/d%d"}`, i, (i+1)%1000) }) + `},"$ref":"#/$defs/d0"}`, true},
		{"references that double", `{"$defs":{` + list(40, func(i int) string {
			return fmt.Sprintf(`"d%d":{"properties":{"a":{"$ref":"#/$defs/d%d"},"b":{"$ref":"#/$defs/d%d"}},"required":["a","b"]}`, i, i+1, i+1)
		}) + `,"d40":{"type":"object"}},"$ref":"#/$defs/d0"}`, false},
		{"items that double", strings.Repeat(`{"type":"array","minItems":1000,"maxItems":1000,"items":`, 20) + "true" + strings.Repeat("}", 20), true},
		{"a long string", `{"type":"string","minLength":1000000000}`, true},
		{"a bounded pattern", `{"type":"string","pattern":"^(a|aa|aaa){1,500}b{3,900}$","maxLength":100000}`, true},
		{"repeats in repeats", `{"type":"string","pattern":"^((((a{0,9}){0,9}){0,9}){0,9}){0,9}$"}`, true},
		{"a pattern that doubles", `{"type":"string","pattern":"(a|b)*a(a|b){20}","maxLength":30}`, true},
		{"a multiple of a large number", `{"type":"integer","multipleOf":3999}`, true},
		{"a bound of many digits", `{"type":"number","minimum":1e-300,"maximum":1e300}`, true},
		{"a multiple within bounds", `{"type":"integer","multipleOf":1663,"minimum":83.7,"maximum":871234567890}`, true},
		{"formats that exclude each other", `{"oneOf":[` + list(12, func(i int) string {
			return fmt.Sprintf(`{"type":"string","format":"%s","maxLength":%d}`, []string{"email", "uri", "hostname", "ipv6"}[i%4], 60+i)
		}) + `]}`, true},
		{"patterns in patterns", `{"properties":{` + list(60, func(i int) string {
			return fmt.Sprintf(`"p%d":{"type":"string","pattern":"^((a|[ab]b){%d,40}\\w?)*[^a]{3,%d}$","minLength":5,"maxLength":%d}`, i, i, 20+i, 200+i)
		}) + `}}`, true},
		{"an exponent", `{"const":1e999999999}`, true},
		{"ten conditions", `{"allOf":[` + list(10, func(i int) string {
			return fmt.Sprintf(`{"if":{"properties":{"p%d":{"const":1}}},"then":{"required":["q%d"]}}`, i, i)
		}) + `]}`, true},
	}
}

type bomb struct {
	name, schema string
	refused      bool
}

// compile compiles the bomb, and makes what the first token needs.
func (b bomb) compile() error {
	g, err := JSONSchema([]byte(b.schema), Options{})
	if err == nil {
		g.Matcher(NewVocabulary([][]byte{[]byte("a")}, nil))
	}
	return err
}

// TestBombs compiles what is made to take long: it is compiled or refused, and soon. It never panics.
func TestBombs(t *testing.T) {
	for _, b := range bombs() {
		begin := time.Now()
		err := b.compile()
		took := time.Since(begin)
		if (err != nil) != b.refused {
			t.Errorf("%s: got %v, want an error: %v", b.name, err, b.refused)
		}
		t.Logf("%-40s %8.1f ms, %6d bytes: %s", b.name, float64(took.Microseconds())/1000, len(b.schema), clip(fmt.Sprint(err)))
		if took > slow {
			t.Errorf("%s took %s", b.name, took)
		}
	}
}

// BenchmarkBombs measures the same, one by one.
func BenchmarkBombs(b *testing.B) {
	for _, of := range bombs() {
		b.Run(of.name, func(b *testing.B) {
			for b.Loop() {
				if err := of.compile(); (err != nil) != of.refused {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestGrammarBombs does the same for the other kinds of grammars.
func TestGrammarBombs(t *testing.T) {
	f := func(name string, compile func() (*Grammar, error)) {
		t.Helper()
		begin := time.Now()
		g, err := compile()
		if err == nil {
			v, _, _ := testVocabulary()
			m := g.Matcher(v)
			for n := 0; n < 20 && !m.Closed(); n++ {
				bits, err := m.Bits()
				if err != nil {
					t.Log(err)
					break
				}
				for id := range v.tokens {
					if bits[id>>6]>>(id&63)&1 != 0 {
						if err := m.Accept(int32(id)); err != nil {
							t.Error(err)
						}
						break
					}
				}
			}
		}
		if took := time.Since(begin); took > 2*slow {
			t.Errorf("%s took %s", name, took)
		}
	}
	f("brackets", func() (*Grammar, error) { return Regex(strings.Repeat("(", 5000) + strings.Repeat(")", 5000)) })
	f("ambiguity", func() (*Grammar, error) {
		return GBNF("root ::= a a a a a a\na ::= b | b b | \"x\" a | \"x\" b a\nb ::= \"x\" | \"x\" b | \"xx\"")
	})
	f("ambiguous stacks", func() (*Grammar, error) {
		return GBNF("root ::= \"x\" | \"x\" root | \"x\" root root | \"x\" root root root")
	})
	f("repeats", func() (*Grammar, error) { return Regex("((a{1,100}){1,100}){1,10}") })
	f("a long choice", func() (*Grammar, error) {
		var texts []string
		for i := range 50_000 {
			texts = append(texts, fmt.Sprint("text ", i))
		}
		return Choice(texts)
	})
}
