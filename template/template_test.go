package template

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// render parses and renders; it fails the test where that fails.
func render(t *testing.T, source string, special []string, in Input) Prompt {
	t.Helper()
	parsed, err := Parse(source, special)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	p, err := parsed.Render(in)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return p
}

func TestRender(t *testing.T) {
	f := func(source string, in Input, want string) {
		t.Helper()
		if got := render(t, source, nil, in).Text; got != want {
			t.Errorf("%s: %q, want %q", source, got, want)
		}
	}
	chat := Input{
		Messages:            []Message{{Role: "user", Content: "Hi"}, {Role: "assistant", Content: "Ho"}},
		AddGenerationPrompt: true, BOS: "<s>",
	}
	f("{{ bos_token }}{% for m in messages %}{{ m.role }}={{ m.content }};{% endfor %}{{ add_generation_prompt }}", chat, "<s>user=Hi;assistant=Ho;True")
	f("{{ eos_token is defined }} {{ tools is none }} {{ documents is none }}", chat, "False True True")
	f("{{ x }}{{ messages|length }}", Input{Variables: map[string]any{"x": true, "messages": "not these"}}, "True0")

	fields := Input{Messages: []Message{{Role: "assistant", Content: "x", Fields: map[string]any{
		"tool_calls": []any{Object{{"name", "f"}, {"arguments", Object{{"b", int64(1)}, {"a", 2.5}}}}},
		"content":    nil, "name": "n",
	}}}}
	f("{{ messages[0]|tojson }}", fields, `{"role": "assistant", "name": "n", "tool_calls": [{"name": "f", "arguments": {"b": 1, "a": 2.5}}]}`)
	f("{{ messages|tojson }}", Input{Messages: []Message{
		{Role: "a", Fields: map[string]any{"reasoning": "r"}}, {Role: "b", Fields: map[string]any{"thinking": "t", "reasoning_content": "c"}},
	}}, `[{"thinking": "r", "role": "a", "content": "", "reasoning": "r", "reasoning_content": "r"}, {"thinking": "t", "role": "b", "content": "", "reasoning_content": "c"}]`)
	f("{{ messages[0].content is defined }}", Input{Messages: []Message{{Role: "a", Fields: map[string]any{"content": Absent{}}}}}, "False")
	f("{{ tools|tojson }}", Input{Tools: map[string]any{"b": 1, "a": []any{}}}, `{"a": [], "b": 1}`)
}

// strftime_now is the present unless Input says otherwise.
func TestNow(t *testing.T) {
	before := time.Now().Unix()
	text := render(t, "{{ strftime_now('%s') }}", nil, Input{}).Text
	got, err := strconv.ParseInt(text, 10, 64)
	if err != nil || got < before || got > time.Now().Unix() {
		t.Errorf("now is %q, want at least %d and no later than now", text, before)
	}
}

func TestParseRefuses(t *testing.T) {
	f := func(source, want string) {
		t.Helper()
		if _, err := Parse(source, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: error %v, want one that says %q", source, err, want)
		}
	}
	f("a\n{% if x %}b", "line 2")
	f("{% if x %}", "before \"elif\"")
	f("{% endif %}", "unknown statement")
	f("{{ x", "no end")
	f("{# x", "no end")
	f("{% raw %}x", "no end")
	f("{{ x | }}", "expected a name")
	f("{{ }}", "unexpected end of print statement")
	f("{{ a b }}", "expected the end")
	f("{{ 'x }}", "unexpected character")
	f("{{ (1 }}", "unexpected")
	f("{{ 1) }}", "unexpected")
	f("{{ f(a=1, 2) }}", "without a name")
	f("{{ f(*a) }}", "not supported")
	f("{% include 'x' %}", "not supported")
	f("{% for a in b recursive %}{% endfor %}", "not supported")
	f("{% set true = 1 %}", "cannot assign")
	f("{% break %}", "not inside a for")
	f("{% for a in b %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}", "not inside a for")
	f("{% macro m(a=1, b) %}{% endmacro %}", "without a default")
	f("{% nonsense %}", "unknown statement")
	f(`{{ "\N{DASH}" }}`, "not supported")
	f(`{{ "\ud800" }}`, "no character")
}

// A template's own exception is the client's fault and reaches it as it is; other errors name the line.
func TestErrors(t *testing.T) {
	f := func(source, want string) {
		t.Helper()
		parsed, err := Parse(source, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = parsed.Render(Input{Messages: []Message{{Role: "user", Content: "x"}}})
		var fault *Error
		if !errors.As(err, &fault) || fault.Error() != want {
			t.Errorf("%s: error %v, want %q", source, err, want)
		}
	}
	f("{{ raise_exception('roles must alternate') }}", "roles must alternate")
	f("a\n{{ b.c.d }}", "chat template, line 2: 'b' is undefined")
	f("{{ messages[0].tool.name }}", "chat template, line 1: 'dict object' has no attribute 'tool'")
	f("{{ messages[0].content + 1 }}", `chat template, line 1: can only concatenate str (not "int") to str`)
	f("{{ [].append(1) }}", "chat template, line 1: access to attribute 'append' of 'list' object is unsafe")
}

func TestParseJSON(t *testing.T) {
	f := func(in string, want any) {
		t.Helper()
		got, err := ParseJSON([]byte(in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			return
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", in, diff)
		}
	}
	f(`{"b":1,"a":[true,null,"x",1.0,-0.5e1],"b":2}`, Object{{"b", int64(2)}, {"a", []any{true, nil, "x", 1.0, -5.0}}})
	f(` [] `, []any{})
	f(`9007199254740993`, int64(9007199254740993))
	bad := func(in string) {
		t.Helper()
		if v, err := ParseJSON([]byte(in)); err == nil {
			t.Errorf("%s: no error, %v", in, v)
		}
	}
	for _, in := range []string{"", "{", `{"a"}`, `{"a":}`, "[1", "1 2", "nul", `{"a":1,}`, strings.Repeat("[", 100_000)} {
		bad(in)
	}
}

// One template renders for many requests at a time.
func TestConcurrent(t *testing.T) {
	parsed, err := Parse("{% macro m(x) %}{{ x|upper }}{% endmacro %}{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{{ m.content }}{% endfor %}{{ ns.n }}", nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan string)
	for range 8 {
		go func() {
			p, err := parsed.Render(Input{Messages: []Message{{Content: "a"}, {Content: "b"}}})
			if err != nil {
				p.Text = err.Error()
			}
			done <- p.Text
		}()
	}
	for range 8 {
		if got := <-done; got != "ab2" {
			t.Errorf("%q", got)
		}
	}
}
