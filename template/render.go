package template

import (
	"fmt"
	"slices"
)

// Template is a parsed chat template.
type Template struct {
	body    []stmt
	hidden  []string
	special *matcher
}

// Parse parses the Jinja source of a chat template. special holds the texts of the model's control tokens.
func Parse(source string, special []string) (*Template, error) {
	if len(source) > maxText {
		return nil, fmt.Errorf("chat template: has %d bytes, at most %d are read", len(source), maxText)
	}
	body, err := parse(source)
	if err != nil {
		return nil, fmt.Errorf("chat template: %w", err)
	}
	return &Template{body: body, hidden: analyze(body), special: newMatcher(special)}, nil
}

// Render makes the prompt. A fault of the input, or of the template with this input, is an *Error.
func (t *Template) Render(in Input) (p Prompt, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("chat template: panic: %v", r)
		}
	}()
	context, err := variables(in)
	if err != nil {
		return Prompt{}, err
	}
	e := newEvaluator(context, in.Now)
	e.hide(t.hidden)
	if _, err := e.run(t.body); err != nil {
		return Prompt{}, e.where(err)
	}
	out := e.out.text()
	return Prompt{Text: out.s, Literal: t.special.literal(out)}, nil
}

// variables are what transformers gives a template.
func variables(in Input) (*scope, error) {
	s := &scope{parent: globals}
	for _, name := range sortedKeys(in.Variables) {
		v, err := fromOutside(in.Variables[name], 0)
		if err != nil {
			return nil, err
		}
		s.set(name, v)
	}
	messages := make([]value, 0, len(in.Messages))
	for _, m := range in.Messages {
		v, err := fromOutside(m.object(), 0)
		if err != nil {
			return nil, err
		}
		messages = append(messages, v)
	}
	tools, err := fromOutside(in.Tools, 0)
	if err != nil {
		return nil, err
	}
	s.set("messages", newList(messages))
	s.set("tools", tools)
	if in.Variables["documents"] == nil {
		s.set("documents", nil)
	}
	s.set("add_generation_prompt", in.AddGenerationPrompt)
	for name, token := range map[string]string{"bos_token": in.BOS, "eos_token": in.EOS} {
		if token != "" {
			s.set(name, own(token))
		}
	}
	return s, nil
}

// object is the message as the template sees it.
func (m Message) object() Object {
	o := Object{{"role", m.Role}, {"content", m.Content}}
	for _, name := range sortedKeys(m.Fields) {
		i := slices.IndexFunc(o, func(m Member) bool { return m.Name == name })
		if i < 0 {
			i = len(o)
			o = append(o, Member{Name: name})
		}
		o[i].Value = m.Fields[name]
	}
	return slices.DeleteFunc(o, func(m Member) bool { return m.Value == Absent{} })
}

// matcher finds control tokens: a tree of their bytes.
type matcher struct {
	next    map[byte]*matcher
	end     bool
	longest int // of the root: bytes of the longest token
}

func newMatcher(tokens []string) *matcher {
	root := &matcher{}
	for _, token := range tokens {
		m := root
		for i := range len(token) {
			if m.next == nil {
				m.next = map[byte]*matcher{}
			}
			if m.next[token[i]] == nil {
				m.next[token[i]] = &matcher{}
			}
			m = m.next[token[i]]
		}
		m.end = m != root
		root.longest = max(root.longest, len(token))
	}
	return root
}

// literal returns the bytes of t from outside that are in what looks like a control token, wholly or partly.
func (root *matcher) literal(t text) [][2]int {
	var ranges [][2]int
	done := 0 // tokens that begin before it were looked for
	for i, o := range t.out {
		for at := max(done, o.from-root.longest+1, 0); at < o.to; at++ {
			done = at + 1
			m := root
			for end := at; m != nil; end++ {
				if m.end && end > o.from {
					ranges = mark(ranges, t.out[i:], at, end)
				}
				if end == len(t.s) {
					break
				}
				m = m.next[t.s[end]]
			}
		}
	}
	return ranges
}

// mark adds the parts of [from, to) that are in spans, which begin with the first that it can touch.
func mark(ranges [][2]int, spans []span, from, to int) [][2]int {
	for _, o := range spans {
		if o.from >= to {
			break
		}
		a, b := max(o.from, from), min(o.to, to)
		if n := len(ranges); n > 0 && a <= ranges[n-1][1] {
			ranges[n-1][1] = max(ranges[n-1][1], b)
		} else {
			ranges = append(ranges, [2]int{a, b})
		}
	}
	return ranges
}
