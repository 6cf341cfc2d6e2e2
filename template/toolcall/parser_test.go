package toolcall

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// folded is an answer: its text, and its calls as name and arguments. A call that has no end has a + after it.
func folded(t *testing.T, pieces []Piece) (text string, calls []string) {
	t.Helper()
	open := false
	for _, p := range pieces {
		if p.Kind != Text && p.Call != len(calls)-1 && (p.Kind != Begin || p.Call != len(calls)) {
			t.Errorf("a piece of call %d after %d calls", p.Call, len(calls))
		}
		if (p.Kind == Arguments || p.Kind == End) != open && p.Kind != Text {
			t.Errorf("a piece of the kind %d while a call is open: %v", p.Kind, open)
		}
		switch p.Kind {
		case Text:
			if p.Text == "" || open {
				t.Errorf("text %q, a call is open: %v", p.Text, open)
			}
			text += p.Text
		case Begin:
			open = true
			calls = append(calls, p.Text+" ")
		case Arguments:
			calls[len(calls)-1] += p.Text
		case End:
			open = false
		}
	}
	if open {
		calls[len(calls)-1] += "+"
	}
	return text, calls
}

// split parses an answer, however it is cut.
func split(t *testing.T, f Format, live bool, answer string) (string, []string) {
	t.Helper()
	names := []string{"get_weather", "now"}
	whole := NewParser(f, names, live)
	text, calls := folded(t, append(whole.Write(answer), whole.Close()...))
	for range 20 {
		p := NewParser(f, names, live)
		var pieces []Piece
		for rest := answer; rest != ""; {
			n := 1 + rand.IntN(min(len(rest), 12))
			pieces = append(pieces, p.Write(rest[:n])...)
			rest = rest[n:]
		}
		gotText, gotCalls := folded(t, append(pieces, p.Close()...))
		if gotText != text || !cmp.Equal(gotCalls, calls) {
			t.Fatalf("%s, %q: in pieces %q %q, whole %q %q", f, answer, gotText, gotCalls, text, calls)
		}
	}
	return text, calls
}

func TestParser(t *testing.T) {
	f := func(format Format, answer, wantText string, wantCalls ...string) {
		t.Helper()
		text, calls := split(t, format, false, answer)
		if text != wantText || !cmp.Equal(calls, wantCalls) {
			t.Errorf("%s, %q:\n got %q %q\nwant %q %q", format, answer, text, calls, wantText, wantCalls)
		}
	}
	const args = `{"city": "Zürich", "n": [1, {"a": "}"}]}`
	const hermes = "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": " + args + "}\n</tool_call>"
	const llama = `{"name": "get_weather", "parameters": ` + args + `}`

	// As the templates have it.
	f(Hermes, hermes, "", "get_weather "+args)
	f(Generic, hermes, "", "get_weather "+args)
	f(Llama, llama, "", "get_weather "+args)
	f(Llama, "<|python_tag|>"+llama, "", "get_weather "+args)
	const mistral = `{"name": "get_weather", "arguments": ` + args + `, "id": "0a1b2c3d4"}`
	f(Mistral, "["+mistral+"]", "", "get_weather "+args)
	f(Mistral, "[TOOL_CALLS]["+mistral+", "+mistral+"]", "", "get_weather "+args, "get_weather "+args)
	f(Mistral, "[TOOL_CALLS] [\n "+mistral+"]", "", "get_weather "+args)
	f(Mistral, "I see.\n["+mistral+"]\n", "I see.", "get_weather "+args)
	f(Mistral, "I see: ["+mistral+"]", "I see: ["+mistral+"]")
	f(Mistral, " [1]: a [link](x)", " [1]: a [link](x)")
	f(Mistral, "[TOOL", "[TOOL")
	f(Mistral, "[[TOOL_CALLS]["+mistral+"]", "[[TOOL_CALLS]["+mistral+"]")

	// Text before, between and after.
	f(Hermes, "I'll look. <b> {x}\n\n"+hermes, "I'll look. <b> {x}", "get_weather "+args)
	f(Hermes, hermes+"\n"+hermes, "", "get_weather "+args, "get_weather "+args)
	f(Hermes, hermes+hermes+"\nDone. ", "Done. ", "get_weather "+args, "get_weather "+args)
	f(Llama, "Let me see.\n\n"+llama, "Let me see.", "get_weather "+args)
	f(Llama, llama+"; "+llama+"\n"+llama, "", "get_weather "+args, "get_weather "+args, "get_weather "+args)
	f(Llama, "\n\n"+llama, "", "get_weather "+args)

	// Variants that models write.
	f(Hermes, `<tool_call>{"arguments": {}, "name": "now"}</tool_call>`, "", "now {}")
	f(Hermes, `<tool_call>{"name": "now"}</tool_call>`, "", "now {}")
	f(Hermes, `<tool_call> {"name": "now", "arguments": null}`, "", "now {}")
	f(Hermes, `<tool_call>{"name": "now", "arguments": "{\"a\": 1}"}</tool_call>`, "", `now {"a": 1}`)
	f(Hermes, `<tool_call>{"type": "function", "function": {"name": "now", "arguments": {}}}</tool_call>`, "", "now {}")
	f(Hermes, `<tool_call>[{"name": "now", "arguments": {}}, {"name": "get_weather", "arguments": {"city":"x"}}]</tool_call>`, "", "now {}", `get_weather {"city":"x"}`)
	f(Hermes, `<tool_call>{"name": "now", "parameters": {}}`+"\n<tool_call>"+`{"name": "now", "arguments": {"b":2}}`, "", "now {}", `now {"b":2}`)
	f(Llama, `{"type": "function", "name": "now", "parameters": {}}`, "", "now {}")
	f(Generic, `{"name": "now", "arguments": {}}`, "", "now {}")
	f(Generic, "Yes:\n"+`[{"name": "now", "arguments": {}}, {"name": "now", "arguments": {"a":1}}]`, "Yes:", "now {}", `now {"a":1}`)

	// What looks like a call and is none is text, to the byte.
	for _, s := range []string{
		"", " ", "\n\nHi \n", "a < b <tool> <tool_cal", "<tool_call>", "<tool_call>\n", "<tool_call> not JSON", "<<tool_call>x",
		`<tool_call>{"name": "now", "arguments": {}`, `<tool_call>{"name": "now", "arguments": {]}}</tool_call>`,
		`<tool_call>{"name": "other", "arguments": {}}</tool_call>`, `<tool_call>{"name": "now", "arguments": [1]}</tool_call>`,
		`<tool_call>{"name": "now", "arguments": "x"}</tool_call>`, `<tool_call>{"name": "now", "arguments": 7}</tool_call>`,
		`<tool_call>{"name": 5, "arguments": {}}</tool_call>`, `<tool_call>[]</tool_call>`, `<tool_call>{}</tool_call>`,
		`<tool_call>[{"name": "now", "arguments": {}}, 5]</tool_call>`, "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": \"\n\"}}",
		`<tool_call>{'name': 'now'}</tool_call>`, `text {"name": "now", "arguments": {}}`,
		"{\n  int x;\n}", `{"city": "Bern"}`, `{"name": "Bob", "age": 3}`, `{"type": "object"}`, `{"name" "now"}`, `[1, 2, 3]`, "[link](x)",
		`{"nam`, `{"name": "no`, "{", "<|python_tag|>print(1)", "Zürich – 你好 👋🏽\n",
	} {
		for _, format := range []Format{Generic, Hermes, Llama, Mistral} {
			f(format, s, s)
		}
	}
	f(Hermes, llama, llama)
	f(Llama, "<tool_call>"+llama+"</tool_call>", "<tool_call>"+llama+"</tool_call>")
	f(Llama, "```json\n[1]\n```", "```json\n[1]\n```")
	f(Hermes, "<tool_call>oh <tool_call>"+`{"name": "now", "arguments": {}}`, "<tool_call>oh", "now {}")
}

// With live the arguments come as they are written, and a call that is cut stays open.
func TestParserLive(t *testing.T) {
	f := func(format Format, answer, wantText string, wantCalls ...string) {
		t.Helper()
		text, calls := split(t, format, true, answer)
		if text != wantText || !cmp.Equal(calls, wantCalls) {
			t.Errorf("%s, %q:\n got %q %q\nwant %q %q", format, answer, text, calls, wantText, wantCalls)
		}
	}
	for _, format := range []Format{Generic, Hermes, Llama, Mistral} {
		before, between, after := format.Around()
		one := format.Begin("now") + `{"a": "}"}` + format.End()
		f(format, before+one+after, "", `now {"a": "}"}`)
		f(format, before+one+between+one+after, "", `now {"a": "}"}`, `now {"a": "}"}`)
		f(format, "Yes.\n"+before+one+after, "Yes.", `now {"a": "}"}`)
		f(format, before+format.Begin("now")+`{"a": "b`, "", `now {"a": "b+`)
		f(format, before+format.Begin("now")+`{"a": 1}`, "", `now {"a": 1}+`)
		other := before + format.Begin("other") + `{}` + format.End() + after
		f(format, other, other)
	}

	p := NewParser(Hermes, []string{"now"}, true)
	var got []Piece
	for _, s := range []string{"<tool", "_call>\n{\"na", `me": "now", "argu`, `ments": {`, `"a": `, `"x`, `y"}`, "}\n</tool", "_call>"} {
		got = append(got, p.Write(s)...)
	}
	want := []Piece{{Begin, 0, "now"}, {Arguments, 0, "{"}, {Arguments, 0, `"a": `}, {Arguments, 0, `"x`}, {Arguments, 0, `y"}`}, {End, 0, ""}}
	if diff := cmp.Diff(want, append(got, p.Close()...)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Text is held back only while it may become a call.
func TestParserHolds(t *testing.T) {
	f := func(format Format, written, wantText string) {
		t.Helper()
		p := NewParser(format, []string{"now"}, false)
		if got, _ := folded(t, p.Write(written)); got != wantText {
			t.Errorf("%s, %q: %q at once, want %q", format, written, got, wantText)
		}
	}
	f(Hermes, "Hello", "Hello")
	f(Hermes, "Hello <tool", "Hello")
	f(Hermes, "Hello <tools>", "Hello <tools>")
	f(Hermes, `<tool_call>{"name": "x`, "")
	f(Hermes, `{"name": "now"`, `{"name": "now"`)
	f(Llama, `{"name": "no`, "")
	f(Llama, `{"name": "nob`, `{"name": "nob`)
	f(Llama, `{"a`, "")
	f(Llama, `{"ab`, `{"ab`)
	f(Llama, "```\n{\nx", "```\n{\nx")
}

// FuzzParser: pieces put together are the answer, and calls are right, whatever comes.
func FuzzParser(f *testing.F) {
	for _, s := range []string{`<tool_call>{"name": "now", "arguments": {}}</tool_call>`, `{"name": "now", "parameters": {"a": [1]}}`, "<|python_tag|>x", "{[\"\\"} {
		f.Add(s, uint8(0), false)
	}
	f.Fuzz(func(t *testing.T, s string, format uint8, live bool) {
		text, calls := split(t, Format(format%3), live, s)
		if len(calls) == 0 && text != s {
			t.Errorf("%q became %q", s, text)
		}
		if len(text) > len(s) || strings.Count(strings.Join(calls, ""), "now")+strings.Count(strings.Join(calls, ""), "get_weather") < len(calls) {
			t.Errorf("%q became %q %q", s, text, calls)
		}
	})
}

// White space after a call, byte by byte, is not looked at again and again: a guard against that alone, which would take minutes.
func TestParserWhiteSpace(t *testing.T) {
	p := NewParser(Hermes, []string{"now"}, false)
	pieces := p.Write("<tool_call>{\"name\": \"now\", \"arguments\": {}}")
	end := time.Now().Add(20 * time.Second)
	for i := range 1 << 20 {
		pieces = append(pieces, p.Write(" \n"[i%2:i%2+1])...)
		if i%1024 == 0 && time.Now().After(end) {
			t.Fatalf("%d bytes of white space took 20 s", i)
		}
	}
	text, calls := folded(t, append(append(pieces, p.Write("</tool_call> x")...), p.Close()...))
	if text != "x" || !cmp.Equal(calls, []string{"now {}"}) {
		t.Errorf("%q %q", text, calls)
	}
}
