package grammar

import (
	"errors"
	"math/rand/v2"
	"testing"

	"ortserve/grammar/grammartest"
)

// TestRandomSchemas follows random tokens under random schemas, with limits down to the shortest text: what comes out is valid.
func TestRandomSchemas(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 150
	}
	v, tokens, _ := testVocabulary()
	compiled, texts := 0, 0
	for i := range n {
		rng := rand.New(rand.NewPCG(11, uint64(i)))
		schema := grammartest.Schema(rng)
		j, err := grammartest.NewJudge(schema)
		if err != nil {
			t.Fatalf("%s: %v", schema, err)
		}
		g, err := JSONSchema([]byte(schema), Options{Closed: true})
		if e := new(SchemaError); errors.As(err, &e) {
			t.Logf("%s: %v", schema, err)
			continue
		} else if err != nil {
			t.Errorf("%s: %v", schema, err)
			continue
		}
		compiled++
		_, ids := g.Shortest(v)
		for _, limit := range []int{len(ids), len(ids) + rng.IntN(20), len(ids) + 60} {
			text, _ := walk(t, g, v, tokens, limit, rng)
			texts++
			if err := j.Check(text); err != nil {
				t.Errorf("%s: limit %d: %v", schema, limit, err)
			}
		}
	}
	t.Logf("%d of %d schemas are compiled, %d texts", compiled, n, texts)
	if compiled < n*9/10 {
		t.Errorf("%d of %d schemas are compiled, want nine of ten", compiled, n)
	}
}
