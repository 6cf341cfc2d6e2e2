package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"ortserve/engine"
	"ortserve/engine/enginetest"
	"ortserve/grammar"
	"ortserve/sample"
)

// byteText turns tokens into the bytes that they are.
type byteText struct{}

func (byteText) Next(ids []int32) string {
	b := make([]byte, len(ids))
	for i, id := range ids {
		b[i] = byte(id)
	}
	return string(b)
}

// TestConstraint shows that answers under a constraint have its form whatever the limit of tokens is, alone and in a crowd, with and
// without drafts, and that the tokens are the same.
func TestConstraint(t *testing.T) {
	g, err := grammar.JSONSchema([]byte(`{"type": "object", "properties": {"name": {"type": "string", "pattern": "^[a-z ]*$"}, "list": {"type": "array",
		"items": {"enum": ["red", "green"]}}}, "required": ["name", "list"], "additionalProperties": false}`), grammar.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const stop = 3
	tokens := make([][]byte, 251)
	for id := range tokens {
		tokens[id] = []byte{byte(id)}
	}
	v := grammar.NewVocabulary(tokens, []int32{stop})
	const shortest = len(`{"name":"","list":[]}`)
	ask := func(limit int, seed uint64) engine.Request {
		r := request(prompt(1, 20), limit)
		r.Detokenizer, r.Constraint, r.StopTokens = byteText{}, g.Matcher(v), []int32{stop}
		r.Params = sample.Params{Temperature: 1, Seed: seed}
		return r
	}
	alone := start(t, enginetest.New(1, 400), engine.Options{})
	drafts := start(t, enginetest.New(1, 400), engine.Options{Speculate: true})
	crowd := start(t, enginetest.New(4, 400), engine.Options{})
	accepted := 0
	for limit := shortest; limit < shortest+60; limit += 3 {
		want := run(t, alone, ask(limit, uint64(limit)))
		var got struct {
			Name *string
			List []string
		}
		if err := json.Unmarshal([]byte(want.Text), &got); err != nil || got.Name == nil || got.List == nil {
			t.Errorf("limit %d: %q: %v", limit, want.Text, err)
		}
		if want.Finish != engine.FinishStop || len(want.Tokens) > limit {
			t.Errorf("limit %d: %d tokens, finish reason %s", limit, len(want.Tokens), want.Finish)
		}
		a := run(t, drafts, ask(limit, uint64(limit)))
		if !slices.Equal(a.Tokens, want.Tokens) {
			t.Errorf("limit %d: with drafts %q, without %q", limit, a.Text, want.Text)
		}
		accepted += a.Usage.AcceptedTokens
		var streams []*engine.Stream
		for range 4 {
			s, err := crowd.Submit(context.Background(), ask(limit, uint64(limit)))
			if err != nil {
				t.Fatal(err)
			}
			streams = append(streams, s)
		}
		for _, s := range streams {
			if a, err := read(s); err != nil || !slices.Equal(a.Tokens, want.Tokens) {
				t.Errorf("limit %d: in a crowd %q, alone %q (%v)", limit, a.Text, want.Text, err)
			}
		}
	}
	if accepted == 0 {
		t.Error("no draft of what must come next was right")
	}
	var short *engine.ConstraintLengthError
	if _, err := alone.Submit(context.Background(), ask(shortest-1, 1)); !errors.As(err, &short) || short.Room != shortest-1 {
		t.Errorf("a limit below the shortest answer: %v", err)
	}
}
