package grammar

import (
	"strings"
	"testing"
)

func TestGBNF(t *testing.T) {
	f := func(text string, yes, no []string) {
		t.Helper()
		g, err := GBNF(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		for _, s := range yes {
			if !g.Matches([]byte(s)) {
				t.Errorf("%s: %q is refused", text, s)
			}
		}
		for _, s := range no {
			if g.Matches([]byte(s)) {
				t.Errorf("%s: %q is let through", text, s)
			}
		}
	}
	f("root ::= \"yes\" | \"no\"", []string{"yes", "no"}, []string{"", "yesno"})
	f("# sums\nroot ::= expr\nexpr ::= term ([-+*/] term)*\nterm ::= num | \"(\" expr \")\"\nnum ::= [0-9]+\n",
		[]string{"1", "1+22*(3-4)", "((1))"}, []string{"", "1+", "(1", "a"})
	f("root ::= [^\"\\\\\\x7F\\u0000-\\u001F] # one\n", []string{"a", "é", "😀"}, []string{"\"", "\\", "\n", "\x7f"})
	f("root ::= item{2,3} end?\nitem ::= \"- \" [a-z]{2} \"\\n\"\nend ::=\n  \"x\" |\n  \"y\"\n", []string{"- ab\n- cd\n", "- ab\n- cd\n- ef\ny"}, []string{"- ab\n", "- ab\n- cd\nz"})
	f("root ::= (\"a\" |\n \"b\"\n)+", []string{"ab"}, []string{""})
	f("root ::= \"\" | \"(\" root \")\"", []string{"", "(())"}, []string{"(", ")("})
	f("root ::= .{1,2}", []string{"é", "ab"}, []string{"", "abc"})
}

func TestGBNFRefuses(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if _, err := GBNF(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", text, err, want)
		}
	}
	f("", "root")
	f("root ::= other", `"other" is not defined`)
	f("root ::= root \"a\" | \"b\"", `"root" comes back to itself`)
	f("root ::= a \"x\"\na ::= b?\nb ::= a", "comes back to itself")
	f("root ::= \"a", "ends inside")
	f("root ::= [z-a]", "ends before it begins")
	f("root ::= \"a\"\nroot ::= \"b\"", "twice")
	f("root = \"a\"", "::=")
	f("root ::= (\"a\"", ")")
	f("root ::= "+strings.Repeat("(", 70), "brackets")
	f("root ::= \"(\" root \")\"", "no text matches")
	f("root ::= (\"a\"?){1,1000}", "repeated")
	f("root ::= \"a\"{1000000}{1000000}", "shortest text")
}
