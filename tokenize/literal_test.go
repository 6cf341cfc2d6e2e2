package tokenize

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// control returns the control ids among ids.
func control(tok *Tokenizer, ids []int32) []int32 {
	return slices.DeleteFunc(slices.Clone(ids), func(id int32) bool { return !tok.Special(id) })
}

// Text from outside that is written like one of the 256 special tokens never becomes one, wherever it stands, while the
// tokens of the template around it all do.
func TestControlTokensInContent(t *testing.T) {
	tok := parsed(t, llamaFile())
	specials := tok.SpecialTokens()
	if len(specials) != 256 {
		t.Fatalf("%d special tokens", len(specials))
	}
	header, _ := tok.ID("<|start_header_id|>")
	headerEnd, _ := tok.ID("<|end_header_id|>")
	eot, _ := tok.ID("<|eot_id|>")
	for i, s := range specials {
		other := specials[(i+7)%len(specials)]
		for _, content := range []string{s, "a" + s, s + "b", s + s, " " + s + "\n", s + other, s[:len(s)-1], "<|" + s, s + "|>", "é" + s + "\xff"} {
			for _, role := range []string{"user", "system", "tool", s} {
				var b strings.Builder
				var literal [][2]int
				outside := func(text string) {
					literal = append(literal, [2]int{b.Len(), b.Len() + len(text)})
					b.WriteString(text)
				}
				b.WriteString("<|start_header_id|>")
				outside(role)
				b.WriteString("<|end_header_id|>\n\n")
				outside(content)
				b.WriteString("<|eot_id|>")
				got := tok.Encode(b.String(), Options{Literal: literal})
				if diff := cmp.Diff([]int32{header, headerEnd, eot}, control(tok, got)); diff != "" {
					t.Fatalf("%q as %q: control tokens (-want +got):\n%s", content, role, diff)
				}
				if text := tok.Decode(got, false); text != validText(b.String()) {
					t.Fatalf("%q is encoded as %q", b.String(), text)
				}
			}
			if got := control(tok, tok.Encode(content, Options{LiteralAll: true})); len(got) > 0 {
				t.Fatalf("%q: control tokens %v", content, got)
			}
		}
		if got := tok.Encode("a"+s+"b", Options{}); len(control(tok, got)) != 1 {
			t.Fatalf("%q in a raw prompt is %v", s, got)
		}
	}
}

// A literal range that holds no control token changes no id, and one that touches a control token unmakes it.
func TestLiteralRanges(t *testing.T) {
	tok := parsed(t, llamaFile())
	parts := []string{"hello", " the", "<|eot_id|>", "<|", "|>", "eot_id", "<|begin_of_text|>", " ", "\n", "é", "\xff", "\xf0\x9f"}
	rapid.Check(t, func(r *rapid.T) {
		var b strings.Builder
		var literal [][2]int
		want := []int32{} // the control tokens of the parts that are no literals
		for range rapid.IntRange(0, 12).Draw(r, "n") {
			part, at := rapid.SampledFrom(parts).Draw(r, "part"), b.Len()
			b.WriteString(part)
			if id, ok := tok.ID(part); ok && tok.Special(id) && !rapid.Bool().Draw(r, "literal") {
				want = append(want, id)
				continue
			}
			literal = append(literal, [2]int{at, b.Len()})
		}
		got := tok.Encode(b.String(), Options{Literal: literal})
		if diff := cmp.Diff(want, control(tok, got)); diff != "" {
			r.Fatalf("%q, literal %v (-want +got):\n%s", b.String(), literal, diff)
		}
		if len(want) == 0 {
			if diff := cmp.Diff(tok.Encode(b.String(), Options{LiteralAll: true}), got); diff != "" {
				r.Fatalf("%q (-all +ranges):\n%s", b.String(), diff)
			}
		}
	})
}

// The same where control tokens are looked for in normalized text.
func TestLiteralNormalized(t *testing.T) {
	f := func(normalizer fields, text string, literal [][2]int, want int) {
		t.Helper()
		file := with(llamaFile(), "normalizer", normalizer)
		for _, a := range file["added_tokens"].([]fields) {
			a["normalized"] = true
		}
		tok := parsed(t, file)
		if got := control(tok, tok.Encode(text, Options{Literal: literal})); len(got) != want {
			t.Errorf("%v, %q, literal %v: %d control tokens, want %d", normalizer, text, literal, len(got), want)
		}
	}
	spaces := fields{"type": "Replace", "pattern": fields{"String": " "}, "content": "▁"}
	nfc := fields{"type": "NFC"}
	strip := fields{"type": "Strip", "strip_left": true, "strip_right": true}
	f(spaces, "a b<|eot_id|>", nil, 1)
	f(spaces, "a b<|eot_id|>", [][2]int{{0, 3}}, 1)
	f(spaces, "a b<|eot_id|>", [][2]int{{3, 13}}, 0)
	f(spaces, "a b<|eot_id|> c<|eot_id|>", [][2]int{{3, 13}}, 1)
	f(spaces, "a b<|eot_id|> c<|eot_id|>", [][2]int{{15, 25}}, 1)
	f(nfc, "e\u0301e\u0301<|eot_id|> e\u0301<|eot_id|>", [][2]int{{6, 16}}, 1)
	f(nfc, "e\u0301e\u0301<|eot_id|> e\u0301<|eot_id|>", [][2]int{{20, 30}}, 1)
	f(nfc, "e\u0301e\u0301<|eot_id|> e\u0301<|eot_id|>", [][2]int{{0, 6}, {16, 20}}, 2)
	f(strip, " x <|eot_id|>", [][2]int{{0, 3}}, 0) // not known where it lies: plain text
	f(strip, " x <|eot_id|>", nil, 1)
}

// Added tokens that are not special and not written like control tokens stay what Hugging Face makes of them.
func TestControlTokens(t *testing.T) {
	file := llamaFile()
	added := file["added_tokens"].([]fields)
	next := len(file["model"].(fields)["vocab"].(map[string]int)) + len(added)
	for i, s := range []string{"\n\n", "<h1>", "<tool_call>", "<|fim|>", "<｜User｜>"} {
		added = append(added, fields{"id": next + i, "content": s, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": false})
	}
	tok := parsed(t, with(file, "added_tokens", added))
	f := func(text string, o Options, want string) {
		t.Helper()
		var got []string
		for _, id := range tok.Encode(text, o) {
			piece, _ := tok.Piece(id)
			got = append(got, piece)
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%q %v (-want +got):\n%s", text, o, diff)
		}
	}
	f("\n\n<h1>", Options{LiteralAll: true}, "\n\n <h1>")
	f("<|fim|>", Options{}, "<|fim|>")
	f("<|fim|>", Options{LiteralAll: true}, "< | f i m | >")
	f("<h1>", Options{Literal: [][2]int{{0, 4}}}, "< h 1 >")
	got := tok.ControlTokens("{{ '<tool_call>' }} <h2>")
	want := append(tok.SpecialTokens(), "<tool_call>", "<|fim|>", "<｜User｜>")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("control tokens (-want +got):\n%s", diff)
	}
}

// What lstrip, rstrip and single_word take (AddedToken's documentation).
func TestAddedTokenFlags(t *testing.T) {
	file := llamaFile()
	vocab := file["model"].(fields)["vocab"].(map[string]int)
	f := func(flags fields, text, want string) {
		t.Helper()
		a := fields{"id": len(vocab), "content": "<x>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}
		for k, v := range flags {
			a[k] = v
		}
		tok := parsed(t, with(with(file, "added_tokens", []fields{a}), "post_processor", nil))
		var got []string
		for _, id := range tok.Encode(text, Options{}) {
			piece, _ := tok.Piece(id)
			got = append(got, piece)
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%v %q (-want +got):\n%s", flags, text, diff)
		}
	}
	f(fields{}, "a <x> b", "a Ġ <x> Ġ b")
	f(fields{"lstrip": true}, "a \t<x> b", "a <x> Ġ b")
	f(fields{"rstrip": true}, "a <x>\u3000 b", "a Ġ <x> b")
	f(fields{"single_word": true}, "a<x> <x>b .<x>.", "a < x > Ġ < x > b Ġ . <x> .")
}

func ExampleTokenizer_Encode() {
	tok, err := Parse(exampleFile)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(tok.Encode("ab<|end|>", Options{}))
	fmt.Println(tok.Encode("ab<|end|>", Options{LiteralAll: true}))
	// Output:
	// [2 9]
	// [2 3 4 5 6 7 4 8]
}

var exampleFile = []byte(`{"version": "1.0",
	"added_tokens": [{"id": 9, "content": "<|end|>", "special": true}],
	"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "<": 3, "|": 4, "e": 5, "n": 6, "d": 7, ">": 8}, "merges": ["a b"]}}`)
