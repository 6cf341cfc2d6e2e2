package template

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// Hostile templates end with an error, soon and with little memory, whatever they do.
func TestLimits(t *testing.T) {
	f := func(what, source, want string) {
		t.Helper()
		start := time.Now()
		parsed, err := Parse(source, nil)
		if err == nil {
			_, err = parsed.Render(Input{Messages: []Message{{Role: "user", Content: strings.Repeat("word ", 1000)}}})
			var fault *Error
			if err != nil && !errors.As(err, &fault) {
				t.Errorf("%s: %v is not an *Error", what, err)
			}
		}
		// On a busy machine the limit of time may come before that of steps.
		if err == nil || !strings.Contains(err.Error(), want) && !(want == "steps" && strings.Contains(err.Error(), "longer than")) {
			t.Errorf("%s: error %.200v, want one that says %q", what, err, want)
		}
		took := time.Since(start)
		t.Logf("%s: %s", what, took)
		if took > 60*time.Second { // a guard against hanging
			t.Errorf("%s took %s", what, took)
		}
	}
	f("a long range", "{{ range(10**9)|list }}", "range too big")
	f("nested loops", "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}", "steps")
	f("loops without a body", "{% for a in range(99999) %}{% for b in range(99999) if false %}{% endfor %}{% endfor %}", "steps")
	f("a long text", "{{ 'x' * 10**9 }}", "4194304 bytes")
	f("a long text, twice as long each time", "{% set ns = namespace(x='x') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}", "4194304 bytes")
	f("many long texts", "{% set x = 'x' * 4000000 %}{% for i in range(1000) %}{% set y = x|upper %}{% endfor %}", "steps")
	f("a long output", "{% for i in range(99999) %}{{ messages[0].content }}{% endfor %}", "bytes")
	f("a wide number", "{{ '%999999999d' % 1 }}", "too large")
	f("a wide format", "{{ '{:>999999999}'.format('x') }}", "")
	f("wide padding", "{{ 'x'.center(10**9) }}", "bytes")
	f("a deep indentation", "{{ messages|tojson(indent=10**6) }}", "small number")
	f("much replacing", "{{ ('x' * 100000).replace('', 'y' * 1000) }}", "bytes")
	f("a long list", "{{ [1] * 10**9 }}", "steps")
	f("a list twice as long each time", "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}", "steps")
	shared := "{% set ns = namespace(x=[1, 2]) %}{% for i in range(90) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}"
	f("a shared list, printed", shared+"{{ ns.x }}", "bytes")
	f("a shared list as JSON", shared+"{{ ns.x|tojson }}", "steps")
	f("a shared list, compared", shared+"{% set a = ns.x %}"+shared+"{{ a == ns.x }}", "steps")
	f("a shared list, ordered", shared+"{% set a = ns.x %}"+shared+"{{ a < ns.x }}", "steps")
	f("a shared tuple as a key", strings.NewReplacer("[ns.x, ns.x]", "(ns.x, ns.x)").Replace(shared)+"{{ {ns.x: 1}|length }}", "")
	f("a deep list", "{% set ns = namespace(x=[]) %}{% for i in range(10000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}", "recursion")
	f("a deep list as JSON", "{% set ns = namespace(x=[]) %}{% for i in range(10000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x|tojson }}", "200 deep")
	f("a macro that calls itself", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "64 deep")
	f("macros that call each other often", "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}", "steps")
	f("a large power", "{{ 10 ** 10 ** 10 }}", "too large")
	f("a large product", "{{ 9223372036854775807 * 2 }}", "too large")
	f("a large sum", "{{ 9223372036854775807 + 1 }}", "too large")
	f("deep brackets", "{{ "+strings.Repeat("(", 5000)+"1"+strings.Repeat(")", 5000)+" }}", "200 deep")
	f("deep lists", "{{ "+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+" }}", "200 deep")
	f("deep dictionaries", "{{ "+strings.Repeat("{1:", 5000)+"1"+strings.Repeat("}", 5000)+" }}", "200 deep")
	f("deep negation", "{{ "+strings.Repeat("not ", 5000)+"1 }}", "200 deep")
	f("deep signs", "{{ "+strings.Repeat("-", 5000)+"1 }}", "200 deep")
	f("deep conditions", "{{ "+strings.Repeat("1 if 1 else ", 5000)+"1 }}", "200 deep")
	f("deep blocks", strings.Repeat("{% if 1 %}", 5000), "200 deep")
	f("deep targets", "{% set "+strings.Repeat("(", 5000)+"a"+strings.Repeat(")", 5000)+" = 1 %}", "200 deep")
	f("many filters", "{{ 'a'"+strings.Repeat("|e", 5000)+" }}", "1000")
	f("many sums", "{{ 1"+strings.Repeat("+1", 5000)+" }}", "1000")
	f("many calls", "{{ f"+strings.Repeat("()", 5000)+" }}", "1000")
	f("many attributes", "{{ f"+strings.Repeat(".a", 5000)+" }}", "1000")
	f("many conjunctions", "{{ 1"+strings.Repeat(" and 1", 5000)+" }}", "1000")
	f("much source", strings.Repeat("x", 5<<20), "4194304")
}

// A value from outside may be nested, not without end.
func TestDeepInput(t *testing.T) {
	deep := func(n int) any {
		var v any = "x"
		for range n {
			v = []any{v}
		}
		return v
	}
	parsed, err := Parse("{{ tools|tojson }}", nil)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := parsed.Render(Input{Tools: deep(150)}); err != nil || strings.Count(p.Text, "[") != 150 {
		t.Errorf("150 deep: %v", err)
	}
	var fault *Error
	if _, err := parsed.Render(Input{Tools: deep(100_000)}); !errors.As(err, &fault) || !strings.Contains(fault.Text, "200 deep") {
		t.Errorf("100,000 deep: %v", err)
	}
}

// What is larger than any window must pass: that it is, is told by those who know the window, with both numbers.
func TestLimitsLeaveRoom(t *testing.T) {
	long := Input{AddGenerationPrompt: true, EOS: "</s>"}
	for range 1000 {
		long.Messages = append(long.Messages, Message{Role: "user", Content: strings.Repeat("word ", 100)}, Message{Role: "assistant", Content: "ok"})
	}
	large := Input{EOS: "</s>", Messages: []Message{{Role: "user", Content: strings.Repeat("ü<", 2_000_000)}}}
	many := Input{EOS: "</s>"}
	for range 10_000 {
		many.Messages = append(many.Messages, Message{Role: "user", Content: "x"}, Message{Role: "assistant", Content: "y"})
	}
	for name, source := range templatesIn(t, "testdata/templates") {
		parsed, err := Parse(source, llamaTokens())
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range []Input{long, large, many} {
			p, err := parsed.Render(in)
			if err != nil || len(p.Text) < 100_000 {
				t.Errorf("%s: %d bytes, %v", name, len(p.Text), err)
			}
		}
	}
}

// FuzzTemplate looks for panics and endless work.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"{{ a }}", "{% for x in messages %}{{ x.content|tojson }}{% endfor %}", "{{ 'a'.join(['b'])[1:]|e }}", "{% macro m(a=1) %}{% endmacro %}{{ m(2) }}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		parsed, err := Parse(source, []string{"<|x|>"})
		if err != nil {
			return
		}
		p, err := parsed.Render(Input{Messages: []Message{{Role: "user", Content: "é<|x|>"}}})
		if err != nil && strings.Contains(err.Error(), "panic") {
			t.Fatal(err)
		}
		for _, r := range p.Literal {
			if r[0] < 0 || r[0] >= r[1] || r[1] > len(p.Text) {
				t.Fatalf("range %v of %d bytes", r, len(p.Text))
			}
		}
	})
}
