package tokenize

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty folder: %v", err)
	}
	path := filepath.Join(dir, "tokenizer.json")
	if err := os.WriteFile(path, []byte(`{"model": {`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a broken file: %v", err)
	}
	if err := os.Truncate(path, maxFile+1); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a file that is too large: %v", err)
	}
	if err := os.WriteFile(path, encoded(t, llamaFile()), 0o600); err != nil {
		t.Fatal(err)
	}
	tok, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	vocab := llamaFile()["model"].(fields)["vocab"].(map[string]int)
	if n := tok.Vocab(); n != len(vocab)+256 {
		t.Errorf("the largest id + 1 is %d, want %d", n, len(vocab)+256)
	}
	eot, ok := tok.ID("<|eot_id|>")
	if piece, ok2 := tok.Piece(eot); !ok || !ok2 || piece != "<|eot_id|>" || !tok.Special(eot) || int(eot) != len(vocab)+5 {
		t.Errorf("<|eot_id|> is %d, which is %q", eot, piece)
	}
	if the, ok := tok.ID("Ġthe"); !ok || tok.Special(the) || int(the) != vocab["Ġthe"] {
		t.Errorf("Ġthe is %d", the)
	}
	for _, id := range []int32{-1, int32(tok.Vocab()), 1 << 30} {
		if piece, ok := tok.Piece(id); ok || tok.Special(id) {
			t.Errorf("id %d is %q", id, piece)
		}
	}
	if _, ok := tok.ID("not there"); ok {
		t.Error("what is not there has an id")
	}
}

// An added token keeps the id that the vocabulary gives it, another gets the next behind the vocabulary, as in Hugging
// Face's add_tokens, whatever the file says.
func TestAddedIDs(t *testing.T) {
	file := llamaFile()
	n := int32(len(file["model"].(fields)["vocab"].(map[string]int)))
	tok := parsed(t, with(with(file, "post_processor", nil), "added_tokens", []fields{
		{"id": 9000, "content": "<x>", "special": true},
		{"id": 9001, "content": "Ġthe", "special": true},
		{"id": 9002, "content": "<y>", "special": false},
	}))
	got := map[string]int32{}
	for _, s := range []string{"<x>", "Ġthe", "<y>"} {
		got[s], _ = tok.ID(s)
	}
	the, _ := parsed(t, file).ID("Ġthe")
	if diff := cmp.Diff(map[string]int32{"<x>": n, "Ġthe": the, "<y>": n + 1}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What the post-processor adds comes with Template and only then.
func TestTemplate(t *testing.T) {
	id := func(tok *Tokenizer, s string) int32 {
		i, ok := tok.ID(s)
		if !ok {
			t.Fatalf("%q has no id", s)
		}
		return i
	}
	f := func(post fields, before, after []int32) {
		t.Helper()
		tok := parsed(t, with(llamaFile(), "post_processor", post))
		text := tok.Encode("hello", Options{})
		if diff := cmp.Diff([]int32{id(tok, "hello")}, text); diff != "" {
			t.Errorf("without (-want +got):\n%s", diff)
		}
		want := append(append(append([]int32{}, before...), text...), after...)
		if diff := cmp.Diff(want, tok.Encode("hello", Options{Template: true})); diff != "" {
			t.Errorf("%v (-want +got):\n%s", post, diff)
		}
	}
	single := func(id int) fields {
		return fields{
			"type": "TemplateProcessing", "single": []fields{{"SpecialToken": fields{"id": "b", "type_id": 0}}, {"Sequence": fields{"id": "A", "type_id": 0}}},
			"special_tokens": fields{"b": fields{"id": "b", "ids": []int{id, id + 1}, "tokens": []string{"b", "c"}}},
		}
	}
	f(single(7), []int32{7, 8}, nil)
	f(fields{"type": "RobertaProcessing", "sep": []any{"s", 5}, "cls": []any{"c", 6}}, []int32{6}, []int32{5})
	f(fields{"type": "Sequence", "processors": []fields{{"type": "ByteLevel"}, single(7), {"type": "BertProcessing", "sep": []any{"s", 5}, "cls": []any{"c", 6}}}},
		[]int32{6, 7, 8}, []int32{5})
}

// Any number of goroutines may encode and decode at once.
func TestConcurrent(t *testing.T) {
	tok := parsed(t, llamaFile())
	texts := []string{"hello the world", strings.Repeat("the end and ", 300), "<|eot_id|>", "\xff é中"}
	want := make([][]int32, len(texts))
	for i, s := range texts {
		want[i] = tok.Encode(s, Options{})
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 200 {
				k := i % len(texts)
				if got := tok.Encode(texts[k], Options{}); !cmp.Equal(got, want[k]) {
					t.Errorf("%q: %v", texts[k], got)
				}
				if got := tok.Decode(want[k], false); got != validText(texts[k]) {
					t.Errorf("%q decodes to %q", texts[k], got)
				}
			}
		})
	}
	group.Wait()
}
