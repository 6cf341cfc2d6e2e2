package tokenize

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

// The examples of The Unicode Standard, tables 3-8 to 3-11, and what Python's decode(errors="replace") gives.
func TestValidText(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := validText(in); got != want {
			t.Errorf("validText(%x) = %+q, want %+q", in, got, want)
		}
	}
	const x = "\uFFFD"
	f("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", strings.Repeat(x, 8)+"A")
	f("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", strings.Repeat(x, 8)+"A")
	f("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", strings.Repeat(x, 5)+"A"+x+x+"B")
	f("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", strings.Repeat(x, 4)+"A")
	f("\xF0\x9F\x98", x)
	f("a\xE2\x82\xACb\xE2\x82", "a€b"+x)
	f("", "")
}

// A text cut anywhere shows how much of its end may go on.
func TestIncomplete(t *testing.T) {
	f := func(in string, want int) {
		t.Helper()
		if got := incomplete([]byte(in)); got != want {
			t.Errorf("incomplete(%x) = %d, want %d", in, got, want)
		}
	}
	f("", 0)
	f("a", 0)
	f("\xE2", 1)
	f("a\xE2\x82", 2)
	f("\xE2\x82\xAC", 0)
	f("\xF0\x9F\x98", 3)
	f("\xF0\x9F\x98\x80", 0)
	f("\x80", 0)
	f("\x80\x80\x80\x80", 0)
	f("\xC0", 0)
	f("\xF5\x80", 0)
	f("\xE0\x80", 0) // too long a form: nothing can complete it
	f("\xED\xA0", 0) // a surrogate
	f("\xC3\xA9\xC3", 1)
}

// Over code points that Hugging Face's crate knows and runs of marks that x/text does not break up, the forms are x/text's.
func TestForms(t *testing.T) {
	forms := []struct {
		ours   *form
		theirs norm.Form
	}{{newForm(false, true), norm.NFC}, {newForm(false, false), norm.NFD}, {newForm(true, true), norm.NFKC}, {newForm(true, false), norm.NFKD}}
	parts := []string{"a", "e", "é", "e\u0301", "\u0301", "\u0323", "\u0301\u0323", "ﬁ", "①", "가", "ᄀ", "ᅡ", "ᆨ", "각", "Å", "ẛ̣", "\u0958", "\u0344", "ｶﾞ", "が", "か\u3099", "  ", "ǆ", "\u1e9b\u0323", "\U0001D15E", "中", "Ω"}
	rapid.Check(t, func(r *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 0, 12).Draw(r, "parts"), "")
		for _, f := range forms {
			if diff := cmp.Diff([]rune(f.theirs.String(text)), []rune(f.ours.normalize(text))); diff != "" {
				r.Fatalf("%+q (-x/text +ours):\n%s", text, diff)
			}
		}
	})
	// A long run of marks is put in order, not broken up.
	long := "a" + strings.Repeat("\u0301\u0323", 1000)
	want := "\u1EA1" + strings.Repeat("\u0323", 999) + strings.Repeat("\u0301", 1000)
	if got := newForm(false, true).normalize(long); got != want {
		t.Errorf("NFC of 2,000 marks is %+.40q…, want %+.40q…", got, want)
	}
}

func TestNormalizers(t *testing.T) {
	f := func(n fields, in, want string) {
		t.Helper()
		tok := parsed(t, with(llamaFile(), "normalizer", n))
		if got := tok.normalizer.normalize(in); got != want {
			t.Errorf("%v of %q is %q, want %q", n, in, got, want)
		}
	}
	f(fields{"type": "Lowercase"}, "ÀİΣß\u1C89", "ài̇σß\u1C8A")
	f(fields{"type": "Strip", "strip_left": true, "strip_right": false}, " \u3000a b ", "a b ")
	f(fields{"type": "Strip", "strip_left": true, "strip_right": true}, " \n ", "")
	f(fields{"type": "Sequence", "normalizers": []fields{{"type": "NFD"}, {"type": "StripAccents"}}}, "éñ", "en")
	f(fields{"type": "Replace", "pattern": fields{"Regex": "[0-9]+"}, "content": "#"}, "a1b22", "a#b#")
	f(fields{"type": "Replace", "pattern": fields{"String": "ab"}, "content": ""}, "aabb", "ab")
	f(fields{"type": "Prepend", "prepend": "_"}, "", "")
	f(fields{"type": "Nmt"}, "a\x01b\u200bc\n", "ab c ")
	f(fields{"type": "ByteLevel"}, "a é", "aĠÃ©")
}

// A stream's texts are whole code points and together the decoded whole, however the ids come.
func TestStream(t *testing.T) {
	for _, tok := range []*Tokenizer{parsed(t, llamaFile()), parsed(t, mistralFile())} {
		rapid.Check(t, func(r *rapid.T) {
			ids := rapid.SliceOf(rapid.Int32Range(-2, int32(tok.Vocab()+2))).Draw(r, "ids")
			skip := rapid.Bool().Draw(r, "skip")
			s, got := tok.NewStream(skip), ""
			for i := 0; i < len(ids); {
				n := min(len(ids)-i, rapid.IntRange(1, 3).Draw(r, "n"))
				text := s.Next(ids[i : i+n])
				if !utf8.ValidString(text) {
					r.Fatalf("%q is half a rune", text)
				}
				got, i = got+text, i+n
			}
			if got += s.Next(nil); got != tok.Decode(ids, skip) {
				r.Fatalf("%v: streamed %q, decoded %q", ids, got, tok.Decode(ids, skip))
			}
		})
	}
}

func TestBytes(t *testing.T) {
	f := func(tok *Tokenizer, piece string, want []byte) {
		t.Helper()
		id, ok := tok.ID(piece)
		if !ok {
			t.Fatalf("%q has no id", piece)
		}
		if diff := cmp.Diff(want, tok.Bytes(id)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", piece, diff)
		}
	}
	llama, mistral := parsed(t, llamaFile()), parsed(t, mistralFile())
	f(llama, "Ġthe", []byte(" the"))
	f(llama, "Ã", []byte{0xC3})
	f(llama, "<|eot_id|>", []byte("<|eot_id|>"))
	f(mistral, "▁the", []byte(" the"))
	f(mistral, "<0x0A>", []byte("\n"))
	f(mistral, "é", []byte("é"))
	for _, id := range []int32{-1, int32(llama.Vocab()), 1 << 30} {
		if b := llama.Bytes(id); b != nil {
			t.Errorf("id %d has bytes %q", id, b)
		}
	}
}
