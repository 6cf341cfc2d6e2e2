package grammar_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"ortserve/grammar"
	"ortserve/grammar/grammartest"
	"ortserve/tokenize"
)

// BenchmarkMask follows random allowed tokens of Llama-3's vocabulary, of which ORTSERVE_TOKENIZERS/llama3 has the tokenizer, and
// computes the mask at each step, what a step costs where every drawn token is refused. It reports the median step and the slowest of a hundred,
// in microseconds: with a grammar that is new, and again with one whose states and masks are known.
func BenchmarkMask(b *testing.B) {
	v := llama3(b)
	f := func(name, schema string) {
		b.Run(name, func(b *testing.B) {
			var fresh, known []float64
			for b.Loop() {
				g, err := grammar.JSONSchema([]byte(schema), grammar.Options{Closed: true})
				if err != nil {
					b.Fatal(err)
				}
				fresh = append(fresh, steps(b, g, v, 1)...)
				known = append(known, steps(b, g, v, 1)...)
			}
			report := func(name string, all []float64) {
				slices.Sort(all)
				b.ReportMetric(all[len(all)/2], name+"-median-µs")
				b.ReportMetric(all[len(all)*99/100], name+"-p99-µs")
			}
			report("new", fresh)
			report("known", known)
			b.ReportMetric(0, "ns/op")
		})
	}
	f("any", `{"type": "object"}`)
	f("person", `{"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "maximum": 150},
		"email": {"type": "string", "format": "email"}, "tags": {"type": "array", "items": {"type": "string", "maxLength": 40}, "maxItems": 5}}, "required": ["name", "age", "email", "tags"]}`)
	f("random", grammartest.Schema(rand.New(rand.NewPCG(11, 3))))
}

// steps measures the steps of one text, in microseconds.
func steps(b *testing.B, g *grammar.Grammar, v *grammar.Vocabulary, seed uint64) []float64 {
	rng := rand.New(rand.NewPCG(seed, 0))
	m := g.Matcher(v)
	m.Limit(300)
	logits := make([]float32, v.Size())
	var all []float64
	for !m.Closed() {
		for i := range logits {
			logits[i] = rng.Float32()
		}
		begin := time.Now()
		if err := m.Mask(logits); err != nil {
			b.Fatal(err)
		}
		took := time.Since(begin)
		best := 0
		for i, l := range logits {
			if l > logits[best] {
				best = i
			}
		}
		begin = time.Now()
		if err := m.Accept(int32(best)); err != nil {
			b.Fatal(err)
		}
		all = append(all, float64((took+time.Since(begin)).Nanoseconds())/1000)
		if len(all) > 400 {
			b.Fatal("the text does not end")
		}
	}
	return all
}

func llama3(b *testing.B) *grammar.Vocabulary {
	b.Helper()
	dir := os.Getenv("ORTSERVE_TOKENIZERS")
	if dir == "" {
		b.Skip("ORTSERVE_TOKENIZERS names no folder with Llama-3's tokenizer; make test-tokenizer brings some")
	}
	tok, err := tokenize.Load(filepath.Join(dir, "llama3"))
	if err != nil {
		b.Fatal(err)
	}
	tokens := make([][]byte, 128256)
	for id := range tokens {
		if !tok.Special(int32(id)) {
			tokens[id] = tok.Bytes(int32(id))
		}
	}
	begin := time.Now()
	v := grammar.NewVocabulary(tokens, []int32{128009})
	b.Logf("the trie of %d tokens takes %s", len(tokens), time.Since(begin).Round(time.Millisecond))
	return v
}
