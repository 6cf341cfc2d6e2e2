package grammar

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// testVocabulary has each byte, then pieces of JSON and of words, some longer than the trie is deep, and a stop token at the end.
func testVocabulary() (*Vocabulary, [][]byte, int32) {
	var tokens [][]byte
	for b := range 256 {
		tokens = append(tokens, []byte{byte(b)})
	}
	for _, s := range []string{
		`{"`, `":`, `": "`, `",`, `", "`, `"}`, `}}`, `":{"`, `  `, "    ", "\n  ", `[]`, `{}`, `, `, `true`, `null`, `false`, `tr`, `ue`, `12`, `123`, `.5`, `e1`,
		`a`, `ab`, `abc`, `na`, `me`, `name`, `"name"`, `é`, "\xc3", `日本`, "\xf0\x9f", `\n`, `\"`, `\u00`, strings.Repeat(" ", 40), strings.Repeat("a", 50), strings.Repeat("=", 33),
	} {
		tokens = append(tokens, []byte(s))
	}
	tokens = append(tokens, nil, []byte("<stop>"))
	stop := int32(len(tokens) - 1)
	return NewVocabulary(tokens, []int32{stop}), tokens, stop
}

// TestMatcherAgainstPrefixes compares what a matcher allows with the definition: the texts of a choice that go on so.
func TestMatcherAgainstPrefixes(t *testing.T) {
	v, tokens, stop := testVocabulary()
	texts := []string{`{"name": "abc"}`, `{"name": "abcé"}`, `{"name":{"na":123}}`, `{}`, `{"abc": true}`, strings.Repeat("a", 60), strings.Repeat("a", 60) + "日本", `{"` + strings.Repeat("=", 33)}
	g, err := Choice(texts)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(5, 6))
	runs := 300
	if testing.Short() {
		runs = 60
	}
	for range runs {
		m := g.Matcher(v)
		text := ""
		for !m.Closed() {
			var allowed []int32
			bits, err := m.Bits()
			if err != nil {
				t.Fatal(err)
			}
			for id, b := range tokens {
				want := false
				for _, x := range texts {
					want = want || len(b) > 0 && int32(id) != stop && strings.HasPrefix(x, text+string(b))
					want = want || int32(id) == stop && x == text
				}
				if got := m.Allows(int32(id)); got != want {
					t.Fatalf("after %q token %q: allowed is %v, want %v", text, b, got, want)
				}
				if got := bits[id>>6]>>(id&63)&1 != 0; got != want {
					t.Fatalf("after %q token %q: in the mask is %v, want %v", text, b, got, want)
				}
				if want {
					allowed = append(allowed, int32(id))
				} else if err := m.Accept(int32(id)); err == nil {
					t.Fatalf("after %q token %q was accepted", text, b)
				}
			}
			id := allowed[rng.IntN(len(allowed))]
			if err := m.Accept(id); err != nil {
				t.Fatal(err)
			}
			if id == stop {
				break
			}
			text += string(tokens[id])
		}
		if !m.Done() || !contains(texts, text) {
			t.Fatalf("%q came out", text)
		}
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// walk writes a random text with at most limit tokens; each step is taken from the mask.
func walk(t *testing.T, g *Grammar, v *Vocabulary, tokens [][]byte, limit int, rng *rand.Rand) (text []byte, n int) {
	t.Helper()
	m := g.Matcher(v)
	if limit >= 0 && !m.Limit(limit) {
		t.Fatalf("limit %d is refused", limit)
	}
	logits := make([]float32, len(tokens))
	for !m.Closed() {
		clear(logits)
		if err := m.Mask(logits); err != nil {
			t.Fatal(err)
		}
		var allowed []int32
		for id, l := range logits {
			if !math.IsInf(float64(l), -1) {
				allowed = append(allowed, int32(id))
			}
		}
		if len(allowed) == 0 {
			t.Fatalf("after %q with %d of %d tokens nothing is allowed", text, n, limit)
		}
		id := allowed[rng.IntN(len(allowed))]
		if !m.Allows(id) {
			t.Fatalf("after %q token %q is in the mask and not allowed", text, tokens[id])
		}
		if err := m.Accept(id); err != nil {
			t.Fatal(err)
		}
		if v.stop[id] {
			break
		}
		text = append(text, tokens[id]...)
		n++
	}
	return text, n
}

// TestLimit shows that texts close within every limit that the shortest completion fits, and that no smaller one is taken.
func TestLimit(t *testing.T) {
	v, tokens, _ := testVocabulary()
	runs, more := 3, make([]int, 40) // tokens than the shortest text has
	for i := range more {
		more[i] = i
	}
	if testing.Short() {
		runs, more = 2, []int{0, 1, 2, 3, 5, 8, 13, 21, 34}
	}
	f := func(schema string) {
		t.Helper()
		g, err := JSONSchema([]byte(schema), Options{Closed: true})
		if err != nil {
			t.Fatal(err)
		}
		j := judge(t, schema)
		short, ids := g.Shortest(v)
		if err := j.Check(short); err != nil {
			t.Errorf("%s: the shortest text %q: %v", schema, short, err)
		}
		if g.Matcher(v).Limit(len(ids) - 1) {
			t.Errorf("%s: limit %d is taken, the shortest text has %d tokens", schema, len(ids)-1, len(ids))
		}
		rng := rand.New(rand.NewPCG(7, uint64(len(schema))))
		for _, n := range more {
			limit := len(ids) + n
			for range runs {
				text, n := walk(t, g, v, tokens, limit, rng)
				if n > limit {
					t.Errorf("%s: %d tokens, the limit is %d", schema, n, limit)
				}
				if err := j.Check(text); err != nil {
					t.Errorf("%s: %q: %v", schema, text, err)
				}
			}
		}
	}
	f(`{"type": "object"}`)
	f(`{"type": "object", "properties": {"name": {"type": "string", "minLength": 4}, "list": {"type": "array", "items": {"type": "object", "properties": {"abc": {"type": "number"}}, "required": ["abc"]}}}, "required": ["name", "list"]}`)
	f(`{"type": "string", "minLength": 200}`)
	f(`{"type": "array", "items": {"type": "boolean"}, "minItems": 30, "maxItems": 31}`)
	f(`{"type": "string", "pattern": "^(abc){3,}name$", "maxLength": 40}`)
	f(`{"$defs": {"n": {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}}, "required": ["next"]}}, "$ref": "#/$defs/n"}`)
}

// TestLongEnding: where the shortest completion is long, its tokens are the way.
func TestLongEnding(t *testing.T) {
	v, tokens, _ := testVocabulary()
	g, err := JSONSchema([]byte(`{"type": "string", "minLength": 2500}`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, ids := g.Shortest(v)
	if text, n := walk(t, g, v, tokens, len(ids), rand.New(rand.NewPCG(1, 1))); n > len(ids) || !g.Matches(text) {
		t.Errorf("%d tokens, the limit is %d: %q", n, len(ids), text)
	}
}

func TestForced(t *testing.T) {
	v, _, _ := testVocabulary()
	end, err := Regex(`[ab]x`)
	if err != nil {
		t.Fatal(err)
	}
	g := Sequence(Literal("<tool>"), Alternatives(Literal(`{"name": "f"`), Literal(`{"name": "g"`)), Repeat(end, 1, 2))
	m := g.Matcher(v)
	if got := m.Forced(100); string(got) != `<tool>{"name": "` {
		t.Errorf("forced %q", got)
	}
	for _, b := range []byte(`<tool>{"name": "f"a`) {
		if err := m.Accept(int32(b)); err != nil {
			t.Fatal(err)
		}
	}
	if got := m.Forced(100); string(got) != "x" || m.Done() {
		t.Errorf("forced %q", got)
	}
	if !bytes.Equal(g.Matcher(v).Forced(3), []byte("<to")) {
		t.Error("the limit of Forced does not hold")
	}
	if text, ids := g.Shortest(v); string(text) != `<tool>{"name": "f"ax` || len(ids) == 0 {
		t.Errorf("shortest %q", text)
	}
}

// TestShared uses one grammar and vocabulary from several goroutines, for the race detector.
func TestShared(t *testing.T) {
	v, tokens, _ := testVocabulary()
	g := JSON()
	done := make(chan []byte)
	for i := range 4 {
		go func() {
			text, _ := walk(t, g, v, tokens, 40, rand.New(rand.NewPCG(uint64(i), 0)))
			done <- text
		}()
	}
	for range 4 {
		if text := <-done; !g.Matches(text) {
			t.Errorf("%q", text)
		}
	}
}
