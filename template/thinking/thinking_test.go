package thinking

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
)

// whole splits an answer that is all there, by regular expressions.
func whole(at Place, s string) (thoughts, answer string) {
	switch {
	case at == Before:
		if m := regexp.MustCompile(`^\s*<think>`).FindString(s); m != "" {
			return whole(Inside, s[len(m):])
		}
		return "", s
	case at == Answer:
		return "", s
	}
	m := regexp.MustCompile(`(?s)^\s*(.*?)\s*(?:</think>\s*(.*))?$`).FindStringSubmatch(s)
	if before, after, ok := strings.Cut(s, Close); ok {
		return strings.TrimSpace(before), strings.TrimLeft(after, space)
	}
	return m[1], m[2]
}

func TestSplitter(t *testing.T) {
	f := func(at Place, s, thoughts, answer string) {
		t.Helper()
		if a, b := whole(at, s); a != thoughts || b != answer {
			t.Errorf("%d %q: the reference gives %q and %q", at, s, a, b)
		}
		for range 50 {
			splitter := NewSplitter(at)
			var a, b strings.Builder
			add := func(x, y string) {
				if x != "" && b.Len() > 0 {
					t.Errorf("%d %q: thoughts after the answer", at, s)
				}
				a.WriteString(x)
				b.WriteString(y)
			}
			for rest := s; rest != ""; {
				n := 1 + rand.IntN(min(len(rest), 9))
				add(splitter.Write(rest[:n]))
				rest = rest[n:]
			}
			add(splitter.End())
			if a.String() != thoughts || b.String() != answer {
				t.Fatalf("%d %q: %q and %q, want %q and %q", at, s, a.String(), b.String(), thoughts, answer)
			}
		}
	}
	// A prompt that opens the thoughts, as DeepSeek's R1.
	f(Inside, "Hm.\n\nA < b.\n</think>\n\nYes. \n", "Hm.\n\nA < b.", "Yes. \n")
	f(Inside, "\n\n</think>\n\nYes.", "", "Yes.")
	f(Inside, "\n cut in the </thin", "cut in the </thin", "")
	f(Inside, "cut ", "cut", "")
	f(Inside, "a</think>b</think><think>c</think>", "a", "b</think><think>c</think>")
	// A model that opens them itself, as Qwen 3.
	f(Before, "<think>\nHm.\n</think>\n\nYes.", "Hm.", "Yes.")
	f(Before, "\n<think></think>Yes.", "", "Yes.")
	f(Before, "<think", "", "<think")
	f(Before, "<thinker> Yes.", "", "<thinker> Yes.")
	f(Before, " \n Yes <think>x</think>", "", " \n Yes <think>x</think>")
	f(Before, "  ", "", "  ")
	f(Before, "", "", "")
	// Thinking is off.
	f(Answer, " <think>x</think> Yes.", "", " <think>x</think> Yes.")
	f(Inside, "Zürich 你好\n</think>\n👋🏽", "Zürich 你好", "👋🏽")
}

// Any text, however it is cut, is split as the whole is.
func TestSplitterRandom(t *testing.T) {
	parts := []string{"<", "<think>", "</think>", "</", "think>", " ", "\n", "x", "é", "</thin", "<thi"}
	for range 20_000 {
		var s string
		for range rand.IntN(8) {
			s += parts[rand.IntN(len(parts))]
		}
		at := Place(rand.IntN(3))
		splitter := NewSplitter(at)
		var a, b string
		for i := range len(s) {
			x, y := splitter.Write(s[i : i+1])
			a, b = a+x, b+y
		}
		x, y := splitter.End()
		a, b = a+x, b+y
		if wantA, wantB := whole(at, s); a != wantA || b != wantB {
			t.Fatalf("%d %q: %q and %q, want %q and %q", at, s, a, b, wantA, wantB)
		}
	}
}

// White space without end, byte by byte, is not looked at again and again: a guard against that alone, which would take minutes.
func TestSplitterWhiteSpace(t *testing.T) {
	const n = 1 << 20
	for begun, at := range map[string]Place{"": Before, "<think>x": Before, "x<": Inside, "x</think>y": Inside} {
		s := NewSplitter(at)
		thoughts, answer := s.Write(begun)
		var a, b strings.Builder
		a.WriteString(thoughts)
		b.WriteString(answer)
		end := time.Now().Add(20 * time.Second)
		for i := range n {
			if thoughts, answer := s.Write(" \n"[i%2 : i%2+1]); thoughts+answer != "" {
				a.WriteString(thoughts)
				b.WriteString(answer)
			}
			if i%1024 == 0 && time.Now().After(end) {
				t.Fatalf("%q: %d bytes of white space took 20 s", begun, i)
			}
		}
		for _, more := range []string{"z", ""} {
			thoughts, answer := s.Write(more)
			if more == "" {
				thoughts, answer = s.End()
			}
			a.WriteString(thoughts)
			b.WriteString(answer)
		}
		if wantA, wantB := whole(at, begun+strings.Repeat(" \n", n/2)+"z"); a.String() != wantA || b.String() != wantB {
			t.Errorf("%q: %d and %d bytes, want %d and %d", begun, a.Len(), b.Len(), len(wantA), len(wantB))
		}
	}
}

func TestBegun(t *testing.T) {
	for prompt, want := range map[string]Place{
		"<|Assistant|><think>\n": Inside, "assistant\n<think>\n\n</think>\n\n": Answer, "assistant\n": Before, "": Before,
	} {
		if got := Begun(prompt); got != want {
			t.Errorf("%q: %d, want %d", prompt, got, want)
		}
		if got := Begun(prompt + Skip(want)); got != Answer {
			t.Errorf("%q: after skipping %d", prompt, got)
		}
	}
}

func TestSwitches(t *testing.T) {
	for template, want := range map[string]string{
		`{% if enable_thinking is defined and not enable_thinking %}`:               "enable_thinking",
		`{%- if not thinking is defined -%}{%- set thinking = false -%}`:            "thinking",
		`{% if enable_thinking or thinking %}`:                                      "enable_thinking thinking",
		`{% if keep_past_thinking and message.thinking or m['thinking'] %}</think>`: "",
	} {
		if got := strings.Join(Switches(template), " "); got != want {
			t.Errorf("%s: %q, want %q", template, got, want)
		}
	}
}
