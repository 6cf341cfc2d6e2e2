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
	e := newEvaluator(context, in)
	e.hide(t.hidden)
	if _, err := e.run(t.body); err != nil {
		return Prompt{}, e.where(err)
	}
	out := e.out.text()
	return Prompt{Text: out.s, Literal: t.special.literal(out)}, nil
}

// size returns how many bytes of text and how many values a template is given.
func (in Input) size() (bytes, values int) {
	var count func(v any)
	count = func(v any) {
		values++
		switch v := v.(type) {
		case string:
			bytes += len(v)
		case []any:
			for _, of := range v {
				count(of)
			}
		case map[string]any:
			for name, of := range v {
				bytes += len(name)
				count(of)
			}
		case Object:
			for _, m := range v {
				bytes += len(m.Name)
				count(m.Value)
			}
		}
	}
	for _, m := range in.Messages {
		count(m.Role)
		count(m.Content)
		count(m.Fields)
	}
	count(in.Tools)
	count(in.Variables)
	return bytes, values
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
func (m Message) object() Object { return reasoned(m.members()) }

// reasoned gives a message that has its reasoning under one of the names for it the others that templates read, as transformers'
// apply_chat_template does.
func reasoned(o Object) Object {
	at := func(name string) int { return slices.IndexFunc(o, func(m Member) bool { return m.Name == name }) }
	for _, name := range []string{"reasoning_content", "thinking", "reasoning"} {
		i := at(name)
		if i < 0 {
			continue
		}
		reasoning := o[i].Value
		if i := at("thinking"); i >= 0 {
			thinking := o[i]
			o = slices.Insert(slices.Delete(o, i, i+1), 0, thinking)
		} else {
			o = slices.Insert(o, 0, Member{"thinking", reasoning})
		}
		if i := at("reasoning_content"); i >= 0 {
			o[i].Value = reasoning
		} else {
			o = append(o, Member{"reasoning_content", reasoning})
		}
		break
	}
	return o
}

// members are the message's keys. Those without a value are left out, as transformers' apply_chat_template does.
func (m Message) members() Object {
	o := Object{{"role", m.Role}, {"content", m.Content}}
	for _, name := range sortedKeys(m.Fields) {
		i := slices.IndexFunc(o, func(m Member) bool { return m.Name == name })
		if i < 0 {
			i = len(o)
			o = append(o, Member{Name: name})
		}
		o[i].Value = m.Fields[name]
	}
	return slices.DeleteFunc(o, func(m Member) bool { return m.Value == nil || m.Value == Absent{} })
}
