package tokenize

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	sugarme "github.com/sugarme/tokenizer"
	"pgregory.net/rapid"
)

// sugarme's pipeline with our parts gives our ids.
func TestSugarme(t *testing.T) {
	f := func(file fields) {
		t.Helper()
		tok := parsed(t, file)
		model, pre, decoder := tok.Sugarme()
		pipeline := sugarme.NewTokenizer(model)
		pipeline.WithPreTokenizer(pre)
		pipeline.WithDecoder(decoder)
		check := func(text string) bool {
			encoding, err := pipeline.Encode(sugarme.NewSingleEncodeInput(sugarme.NewInputSequence(text)), false)
			if err != nil {
				t.Errorf("%q: %v", text, err)
				return false
			}
			want := tok.Encode(text, Options{LiteralAll: true})
			got := make([]int32, 0, len(want))
			for i, id := range encoding.Ids {
				got = append(got, int32(id))
				if o := encoding.Offsets[i]; o[0] > o[1] || o[1] > len(text) {
					t.Errorf("%q: token %d has offsets %v", text, i, o)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q: sugarme's pipeline gives %v, Encode %v", text, got, want)
				return false
			}
			if back := pipeline.Decode(encoding.Ids, false); back != tok.Decode(want, false) {
				t.Errorf("%q: sugarme's pipeline decodes to %q", text, back)
				return false
			}
			return true
		}
		for _, text := range []string{"hello the world and 12345 it's\n\n  é中\U0001F600 <x> ", " ", "\r\n\r\n a", "the  the"} {
			check(text)
		}
		rapid.Check(t, func(r *rapid.T) {
			text := rapid.String().Draw(r, "text")
			if text != "" && utf8.ValidString(text) && !check(text) {
				r.FailNow()
			}
		})
	}
	f(llamaFile())
	f(with(llamaFile(), "pre_tokenizer", fields{"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}))
}

// What sugarme's pipeline cannot carry is an error, never a log.Fatal or a wrong id.
func TestSugarmeRefuses(t *testing.T) {
	f := func(file fields, text, want string) {
		t.Helper()
		model, pre, _ := parsed(t, file).Sugarme()
		_, err := pre.PreTokenize(sugarme.NewPreTokenizedString(text))
		if err == nil {
			_, err = model.Tokenize(text)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
	f(with(llamaFile(), "pre_tokenizer", fields{"type": "ByteLevel", "add_prefix_space": true}), "a b", "changes the text")
	f(with(mistralFile(), "pre_tokenizer", fields{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}), "a b", "changes the text")
	f(llamaFile(), "a\xff", "not UTF-8")
}

func TestSugarmeModel(t *testing.T) {
	tok := parsed(t, llamaFile())
	model, _, _ := tok.Sugarme()
	if id, ok := model.TokenToId("Ġthe"); !ok {
		t.Error("Ġthe has no id")
	} else if piece, _ := model.IdToToken(id); piece != "Ġthe" {
		t.Errorf("id %d is %q", id, piece)
	}
	if _, ok := model.IdToToken(-1); ok {
		t.Error("id -1 has a piece")
	}
	if n := model.GetVocabSize(); n != len(model.GetVocab()) || n != tok.Vocab() {
		t.Errorf("%d pieces, the largest id + 1 is %d", n, tok.Vocab())
	}
	dir := t.TempDir()
	if err := model.Save(dir, "x"); err != nil {
		t.Fatal(err)
	}
	merges, err := os.ReadFile(filepath.Join(dir, "x-merges.txt"))
	if err != nil {
		t.Fatal(err)
	}
	want := "#version: 0.2\n" + strings.Join(llamaFile()["model"].(fields)["merges"].([]string), "\n") + "\n"
	if string(merges) != want {
		t.Errorf("merges.txt is %q, want %q", merges, want)
	}
}
