package template

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/ardanlabs/jinja"
)

// Template is a parsed chat template.
type Template struct {
	compiled *jinja.Template
	special  *regexp.Regexp // what is replaced by a stand-in in text from outside
	prefixes []string       // proper beginnings of control tokens
}

// Parse parses the Jinja source of a chat template. special holds the texts of the model's control tokens.
func Parse(source string, special []string) (*Template, error) {
	c, err := jinja.Compile(source)
	if err != nil {
		return nil, fmt.Errorf("chat template: %w", err)
	}
	sorted := slices.DeleteFunc(slices.Clone(special), func(s string) bool { return s == "" })
	sort.Slice(sorted, func(i, j int) bool { return len(sorted[i]) > len(sorted[j]) })
	pattern := "[\uFDD0-\uFDEF]"
	t := &Template{compiled: c}
	for _, s := range sorted {
		pattern += "|" + regexp.QuoteMeta(s)
		for i := 1; i < len(s); i++ {
			t.prefixes = append(t.prefixes, s[:i])
		}
	}
	t.special = regexp.MustCompile(pattern)
	return t, nil
}

// Render makes the prompt. An error of the input or the template's own is an *Error.
func (t *Template) Render(in Input) (p Prompt, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &Error{Text: fmt.Sprintf("chat template: %v", r)}
		}
	}()
	o := &outside{t: t}
	messages := make([]jinja.Value, 0, len(in.Messages))
	for _, m := range in.Messages {
		messages = append(messages, o.message(m))
	}
	vars := map[string]jinja.Value{}
	for k, v := range in.Variables {
		vars[k] = o.value(v)
	}
	vars["messages"] = jinja.NewList(messages)
	vars["tools"] = o.value(in.Tools)
	vars["add_generation_prompt"] = jinja.NewBool(in.AddGenerationPrompt)
	vars["bos_token"] = jinja.NewString(in.BOS)
	vars["eos_token"] = jinja.NewString(in.EOS)
	now := in.Now
	if now == nil {
		now = time.Now
	}
	text, err := t.compiled.RenderValues(vars)
	if err != nil {
		return Prompt{}, &Error{Text: "chat template: " + err.Error()}
	}
	return o.restore(text), nil
}

// outside replaces what looks like a control token in text from outside by stand-ins of noncharacters.
type outside struct {
	t    *Template
	kept []string
}

func (o *outside) message(m Message) jinja.Value {
	all := Object{{"role", m.Role}, {"content", m.Content}}
	names := make([]string, 0, len(m.Fields))
	for k := range m.Fields {
		names = append(names, k)
	}
	sort.Strings(names)
	for _, k := range names {
		if i := slices.IndexFunc(all, func(m Member) bool { return m.Name == k }); i >= 0 {
			all[i].Value = m.Fields[k]
		} else {
			all = append(all, Member{k, m.Fields[k]})
		}
	}
	all = slices.DeleteFunc(all, func(m Member) bool { return m.Value == Absent{} })
	return o.value(all)
}

func (o *outside) value(v any) jinja.Value {
	switch v := v.(type) {
	case string:
		return jinja.NewString(o.text(v))
	case []any:
		items := make([]jinja.Value, 0, len(v))
		for _, e := range v {
			items = append(items, o.value(e))
		}
		return jinja.NewList(items)
	case Object:
		d := jinja.NewDict()
		for _, m := range v {
			d.AsDict().Set(o.text(m.Name), o.value(m.Value))
		}
		return d
	case map[string]any:
		names := make([]string, 0, len(v))
		for k := range v {
			names = append(names, k)
		}
		sort.Strings(names)
		var all Object
		for _, k := range names {
			all = append(all, Member{k, v[k]})
		}
		return o.value(all)
	case json.Number:
		return jinja.FromGoValue(v)
	default:
		return jinja.FromGoValue(v)
	}
}

func (o *outside) text(s string) string {
	s = o.t.special.ReplaceAllStringFunc(s, o.standIn)
	trimmed := strings.TrimSpace(s)
	for _, p := range o.t.prefixes {
		if strings.HasSuffix(trimmed, p) {
			at := strings.LastIndex(s, p)
			return s[:at] + o.standIn(p) + s[at+len(p):]
		}
	}
	return s
}

func (o *outside) standIn(s string) string {
	var b strings.Builder
	b.WriteRune('\uFDD0')
	for _, c := range strconv.Itoa(len(o.kept)) {
		b.WriteRune('\uFDD1' + c - '0')
	}
	b.WriteRune('\uFDEF')
	o.kept = append(o.kept, s)
	return b.String()
}

var standIns = regexp.MustCompile("\uFDD0[\uFDD1-\uFDDA]+\uFDEF")

func (o *outside) restore(text string) Prompt {
	var b strings.Builder
	var literal [][2]int
	last := 0
	for _, m := range standIns.FindAllStringIndex(text, -1) {
		b.WriteString(text[last:m[0]])
		last = m[1]
		n := 0
		for _, r := range strings.Trim(text[m[0]:m[1]], "\uFDD0\uFDEF") {
			n = n*10 + int(r-'\uFDD1')
		}
		from := b.Len()
		b.WriteString(o.kept[n])
		literal = append(literal, [2]int{from, b.Len()})
	}
	b.WriteString(text[last:])
	return Prompt{Text: b.String(), Literal: literal}
}
