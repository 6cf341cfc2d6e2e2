package template

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestLiteral(t *testing.T) {
	special := []string{"<|im_start|>", "<|im_end|>", "<s>", "[INST]"}
	f := func(source, content string, want ...string) {
		t.Helper()
		p := render(t, source, special, Input{Messages: []Message{{Role: "user", Content: content}}, BOS: "<s>"})
		var got []string
		for _, r := range p.Literal {
			got = append(got, fmt.Sprintf("%d:%s", r[0], p.Text[r[0]:r[1]]))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s with %q: %q (-want +got):\n%s", source, content, p.Text, diff)
		}
	}
	chat := "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}"
	f(chat, "hello")
	f(chat, "a<|im_end|>b", "21:<|im_end|>")
	f(chat, "<|im_end|><|im_end|>x<s>", "20:<|im_end|><|im_end|>", "41:<s>")
	f(chat, "<|im_end|<|im_en d|>")
	f(chat, "<|im_")                                        // what follows does not complete it
	f("{{ messages[0].content }}end|>", "<|im_", "0:<|im_") // here it does
	f("<|im_{{ messages[0].content }}", "end|>x", "5:end|>")
	f("<|im_{{ messages[0].content }}|>", "end", "5:end")
	f("{{ messages[0].content|trim }}end|>", " <|im_ \n", "0:<|im_")
	f("{{ messages[0].content }}<|im_end|>{{ messages[0].content }}", "x")
	// Through every operation that keeps the text.
	f("{{ messages[0].content|upper }}", "[inst]", "0:[INST]")
	f("{{ messages[0].content|tojson }}", "a<s>\"", "2:<s>")
	f("{{ {'k': messages[0].content}|tojson(indent=2) }}", "<s>", "10:<s>")
	f("{{ [messages[0].content] }}", "<s>'", "2:<s>")
	f("{{ messages[0].content.split(',')[1] }}", "a,<s>,b", "0:<s>")
	f("{{ messages[0].content.split(',')|join('s>') }}", "<,x", "0:<")
	f("{{ messages[0].content|replace('x', '') }}", "<xs>", "0:<s>")
	f("{{ messages[0].content|replace('x', '<s>') }}", "axb")
	f("{{ 'a%sb' % messages[0].content }}{{ '{}'.format(messages[0].content) }}{{ '%s'|format(messages[0].content) }}", "<s>", "1:<s>", "5:<s><s>")
	f("{{ messages[0].content[1:4] }}{{ messages[0].content[::-1] }}", ">s<s>", "1:<s>", "5:<s>")
	f("{% for c in messages[0].content %}{{ c }}{% endfor %}", "<s>", "0:<s>")
	f("{% set x %}{{ messages[0].content }}{% endset %}{{ x ~ '' }}", "<s>", "0:<s>")
	f("{% macro m(x) %}{{ x }}{% endmacro %}{{ m(messages[0].content)|indent(2, true) }}", "<s>", "2:<s>")
	f("{% filter trim %} {{ messages[0].content }}{% endfilter %}", "<s>", "0:<s>")
	f("{{ messages[0].content * 2 }}", "<s>", "0:<s><s>")
	f("{{ messages|map(attribute='content')|first }}{{ messages[0].get('content') }}{{ messages[0].values()|list|last }}", "<s>", "0:<s><s><s>")
	f("{{ '<s>' if messages[0].content else '' }}", "x")
}

// Names, roles, keys, tools and variables come from outside too.
func TestLiteralEverywhere(t *testing.T) {
	const token = "<|x|>"
	in := Input{
		Messages:  []Message{{Role: token, Content: token, Fields: map[string]any{"name": token, "tool_calls": []any{Object{{token, token}}}}}},
		Tools:     []any{Object{{"function", Object{{"name", token}, {token, []any{token}}}}}},
		Variables: map[string]any{"v": map[string]any{token: token}},
	}
	p := render(t, token+"{{ messages|tojson }}{{ tools }}{{ v|tojson }}{{ '"+token+"' }}", []string{token}, in)
	covered := 0
	for _, r := range p.Literal {
		covered += strings.Count(p.Text[r[0]:r[1]], token)
	}
	if all := strings.Count(p.Text, token); all != 12 || covered != all-2 {
		t.Errorf("%d control tokens, %d of them literal, want 12 and 10 (the template has two): %s", all, covered, p.Text)
	}
}

// llamaTokens are the 256 control tokens of Llama 3.
func llamaTokens() []string {
	tokens := []string{
		"<|begin_of_text|>", "<|end_of_text|>", "<|finetune_right_pad_id|>", "<|start_header_id|>", "<|end_header_id|>",
		"<|eom_id|>", "<|eot_id|>", "<|python_tag|>",
	}
	for i := range 248 {
		tokens = append(tokens, fmt.Sprintf("<|reserved_special_token_%d|>", i))
	}
	return tokens
}

// Control tokens in what clients write add none to the prompt: it has as many outside of literal ranges as one with
// harmless text in their place.
func TestLiteralAddsNoControlToken(t *testing.T) {
	tokens := append(llamaTokens(), "<|im_start|>", "<|im_end|>", "[INST]", "[/INST]", "<s>", "</s>", "<|user|>", "<|assistant|>",
		"<|tool|>", "<|system|>", "<|end|>")
	counts := func(p Prompt) int {
		n := 0
		for _, token := range tokens {
			for at := 0; ; at++ {
				i := strings.Index(p.Text[at:], token)
				if i < 0 {
					break
				}
				at += i
				free := true
				for _, r := range p.Literal {
					if r[0] < at+len(token) && at < r[1] {
						free = false
					}
				}
				if free {
					n++
				}
			}
		}
		return n
	}
	for name, source := range templatesIn(t, "testdata/templates") {
		parsed, err := Parse(source, tokens)
		if err != nil {
			t.Fatal(err)
		}
		for i, token := range tokens {
			chat := func(s string) Input {
				half := len(s) / 2
				return Input{BOS: "<s>", EOS: "</s>", AddGenerationPrompt: true, Messages: []Message{
					{Role: "system", Content: "You are " + s},
					{Role: "user", Content: s + " " + s[:half]},
					{Role: "assistant", Content: s[half:] + "\n" + s[:half] + " \n"},
					{Role: "user", Content: " " + s[:half] + tokens[(i+1)%len(tokens)][:1]},
				}}
			}
			attack, err1 := parsed.Render(chat(token))
			harmless, err2 := parsed.Render(chat(strings.Repeat("x", len(token))))
			if err1 != nil || err2 != nil {
				t.Fatalf("%s: %v, %v", name, err1, err2)
			}
			if got, want := counts(attack), counts(harmless); got != want {
				t.Errorf("%s, %s: %d control tokens, want %d\n%s\n%v", name, token, got, want, attack.Text, attack.Literal)
			}
			if len(attack.Text) != len(harmless.Text) {
				t.Errorf("%s, %s: the text depends on the control token", name, token)
			}
		}
	}
}

// Whatever a template does with text from outside, it stays known byte by byte where it came from: here all that comes
// from outside is upper case and nothing else is.
func TestOriginIsKept(t *testing.T) {
	templates := []string{
		"{{ c }}", "{{ 'a' ~ c ~ 'b' ~ d }}", "{{ c + 'x' + d }}", "{{ c|trim }}", "{{ c.strip('AB ') }}", "{{ c.lstrip() }}-{{ c.rstrip('C') }}",
		"{{ c[1:] }}|{{ c[:-1] }}|{{ c[::2] }}|{{ c[0] }}|{{ c[::-1] }}", "{{ c|replace('A', 'bb') }}", "{{ c|replace('B', d) }}", "{{ 'xax'|replace('a', c) }}",
		"{{ c.replace('', '.') }}", "{{ c.split(' ')|join('-') }}", "{{ c.split()|join(d) }}", "{{ c.rsplit('A', 1)|join(', ') }}", "{{ c.partition('B')|join('/') }}",
		"{{ c.splitlines(true)|join('+') }}", "{{ c|indent(3, true) }}", "{{ c|indent(d) }}", "{{ c|tojson }}", "{{ [c, {d: c}]|tojson(indent=2) }}", "{{ [c, (d,)] }}",
		"{{ 'a%s-%s' % (c, d) }}", "{{ '%8s|%-8s' % (c, d) }}", "{{ '{}-{:>9}-{x}'.format(c, d, x=c) }}", "{{ c * 3 }}", "{{ c.center(20, 'z') }}", "{{ c|center(12) }}",
		"{% for x in c %}{{ x }}.{% endfor %}", "{{ c|list|join }}", "{{ c|reverse }}", "{% set s %}s{{ c }}{% endset %}{{ s }}{{ s[2:] }}", "{% filter replace('A', 'q') %}{{ c }}{{ d }}{% endfilter %}",
		"{% macro m(x) %}({{ x }}){{ caller() }}{% endmacro %}{% call m(c) %}{{ d }}{% endcall %}", "{{ [c, d]|map('trim')|join('; ') }}", "{{ c.removeprefix('A') }}{{ d.removesuffix('B') }}",
		"{{ (c ~ 'mid' ~ d).split('i')|join('!') }}", "{{ (c ~ '  ').split(none, 1)|join('_') }}", "{{ ('p' ~ c ~ 'q')[1:-1] }}", "{{ c.zfill(9) }}", "{{ c.ljust(9, 'k') }}",
	}
	rapid.Check(t, func(t *rapid.T) {
		outside := rapid.StringMatching(`[A-CÀÉ \n]{0,12}`)
		source := rapid.SampledFrom(templates).Draw(t, "template")
		c, d := outside.Draw(t, "c"), outside.Draw(t, "d")
		parsed, err := Parse(source, nil)
		if err != nil {
			t.Fatal(err)
		}
		context, err := variables(Input{Variables: map[string]any{"c": c, "d": d}})
		if err != nil {
			t.Fatal(err)
		}
		e := newEvaluator(context, Input{})
		if _, err := e.run(parsed.body); err != nil {
			t.Fatal(err)
		}
		out := e.out.text()
		for i, r := range out.s {
			isOutside := false
			for _, o := range out.out {
				isOutside = isOutside || o.from <= i && i < o.to
			}
			upper := strings.ContainsRune("ABCÀÉ", r)
			lower := r > ' ' && !upper && !strings.ContainsRune(`\n"`, r)
			if upper && !isOutside || lower && isOutside {
				t.Fatalf("%s with %q, %q: %q: byte %d (%q) outside %v", source, c, d, out.s, i, r, isOutside)
			}
		}
		last := 0
		for _, o := range out.out {
			if o.from < last || o.from >= o.to || o.to > len(out.s) {
				t.Fatalf("%s: spans %v of %d bytes", source, out.out, len(out.s))
			}
			last = o.to
		}
	})
}

// The conversation of a client and its JSON lead to the same prompt whether control tokens are known or not.
func TestLiteralChangesNoText(t *testing.T) {
	for name, source := range templatesIn(t, "testdata/templates") {
		for _, c := range conversations(t) {
			in := input(t, json.RawMessage(`{"bos_token":"<s>","eos_token":"</s>",`+string(c.Variables[1:])))
			with, err := Parse(source, llamaTokens())
			if err != nil {
				t.Fatal(err)
			}
			without, err := Parse(source, nil)
			if err != nil {
				t.Fatal(err)
			}
			a, err1 := with.Render(in)
			b, err2 := without.Render(in)
			if a.Text != b.Text || (err1 == nil) != (err2 == nil) || len(b.Literal) != 0 {
				t.Errorf("%s, %s: %q, %v and %q, %v", name, c.Name, a.Text, err1, b.Text, err2)
			}
		}
	}
}
