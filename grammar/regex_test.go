package grammar

import "testing"

func TestRegex(t *testing.T) {
	f := func(pattern string, yes, no []string) {
		t.Helper()
		g, err := Regex(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range yes {
			if !g.Matches([]byte(s)) {
				t.Errorf("%s: %q is refused", pattern, s)
			}
		}
		for _, s := range no {
			if g.Matches([]byte(s)) {
				t.Errorf("%s: %q is let through", pattern, s)
			}
		}
	}
	f(`a+b`, []string{"ab", "aaab"}, []string{"", "b", "abb", "xab"})
	f(`[^a-c]`, []string{"d", "é", "😀", "\n"}, []string{"a", "", "\xff", "de"})
	f(`(?i)straße`, []string{"STRAßE", "straſſe"[:0] + "strasse"[:0] + "Straße"}, []string{"x"})
	f(`.{2,3}`, []string{"éé", "abc"}, []string{"a", "abcd", "a\n"})
	f(`\u00e9|\d{2}`, []string{"é", "12"}, []string{"e", "1"})
	f(`(a|b)*c?`, []string{"", "ababc", "c"}, []string{"cc"})
}

func TestJSON(t *testing.T) {
	g := JSON()
	for _, s := range []string{`{}`, `{"a":1}`, `{"a": [1, 2.5e3, "x\n\u00e9", {"b": null}], "c": true}`, "{\n  \"a\": 1\n}"} {
		if !g.Matches([]byte(s)) {
			t.Errorf("%s is refused", s)
		}
	}
	for _, s := range []string{``, `[]`, `{"a":01}`, `{"a":1,}`, `{"a" 1}`, ` {}`, "{\"\n\":1}", `{"a":"\ud800"}`} {
		if g.Matches([]byte(s)) {
			t.Errorf("%s is let through", s)
		}
	}
}
