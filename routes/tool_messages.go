package routes

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ortserve/template"
	"ortserve/template/toolcall"
)

// set sets a key of the message besides its role and content.
func (m *wireMessage) set(name string, v any) {
	if m.Fields == nil {
		m.Fields = map[string]any{}
	}
	m.Fields[name] = v
}

// callObject is a call in a message, as templates know it: OpenAI's form, but that arguments are an object.
func callObject(id, name string, arguments any) template.Object {
	o := template.Object{{Name: "type", Value: "function"}, {Name: "function", Value: template.Object{
		{Name: "name", Value: name}, {Name: "arguments", Value: arguments},
	}}}
	if id != "" {
		o = append(template.Object{{Name: "id", Value: id}}, o...)
	}
	return o
}

// callsOf returns the calls of a message.
func callsOf(m template.Message) []any {
	calls, _ := m.Fields["tool_calls"].([]any)
	return calls
}

// callID returns the id of a call of a message, "" where it has none.
func callID(call any) string {
	o, _ := call.(template.Object)
	id, _ := textOf(o, "id")
	return id
}

// callName returns the name of the tool that a call of a message calls.
func callName(call any) string {
	o, _ := call.(template.Object)
	for _, m := range o {
		if f, ok := m.Value.(template.Object); ok && m.Name == "function" {
			name, _ := textOf(f, "name")
			return name
		}
	}
	return ""
}

func textOf(o template.Object, name string) (string, bool) {
	for _, m := range o {
		if m.Name == name {
			s, ok := m.Value.(string)
			return s, ok
		}
	}
	return "", false
}

// wireCall is a call in a message that a client sends.
type wireCall struct {
	id, name  string
	arguments any
}

var (
	wireFunctionFields = newReplayedTable([]field[wireCall]{
		textField("name", func(c *wireCall) *string { return &c.name }),
		{name: "arguments", schema: schema{"type": []string{"string", "object"}}, read: readArguments},
	}, inertFields[wireCall]("index"))

	wireCallFields = newReplayedTable([]field[wireCall]{
		textField("id", func(c *wireCall) *string { return &c.id }),
		typeField[wireCall](),
		objectField("function", wireFunctionFields),
	}, inertFields[wireCall]("index"))
)

// readArguments reads a call's arguments: JSON in a string, or the object itself. A string that is no JSON, which an answer that was cut
// leaves behind, is left as it is.
func readArguments(_ *decoder, at string, v value, c *wireCall) error {
	switch v.kind {
	case kindObject:
		c.arguments = v.plain()
	case kindText:
		c.arguments = v.text
		if strings.TrimSpace(v.text) == "" {
			c.arguments = template.Object{}
		} else if o, err := template.ParseJSON([]byte(v.text)); err == nil {
			if _, ok := o.(template.Object); ok {
				c.arguments = o
			}
		}
	default:
		return wrongType(at, "a string or an object", v)
	}
	return nil
}

// callsField is the row of the calls of an assistant's message.
var callsField = field[wireMessage]{name: "tool_calls", schema: listOf(wireCallFields.schema()), read: func(d *decoder, at string, v value, m *wireMessage) error {
	if v.kind != kindList {
		return wrongType(at, "a list of calls", v)
	}
	var calls []any
	for i, of := range v.list {
		at := fmt.Sprintf("%s[%d]", at, i)
		if typ := of.get("type"); typ.kind == kindText && typ.text != "function" && typ.text != "" {
			return notSupported(at, "%s: a call of the type %s is not supported", at, quote(typ.text))
		}
		c := wireCall{arguments: template.Object{}}
		if err := wireCallFields.object(d, at, of, &c); err != nil {
			return err
		}
		if c.name == "" {
			return invalid(at+".function.name", "%s.function.name is missing", at)
		}
		calls = append(calls, callObject(c.id, c.name, c.arguments))
	}
	if len(calls) > 0 {
		m.set("tool_calls", calls)
	}
	return nil
}}

// keyField is a row of a text that the template may look at under a key of the message.
func keyField(name, key string) field[wireMessage] {
	return field[wireMessage]{name: name, schema: textSchema, read: func(_ *decoder, at string, v value, m *wireMessage) error {
		if v.kind != kindText {
			return wrongType(at, "a string", v)
		}
		if v.text != "" {
			m.set(key, v.text)
		}
		return nil
	}}
}

// nameResults gives each result of a tool the name of the tool, where the call that it answers says it.
func nameResults(messages []template.Message) []template.Message {
	names := map[string]string{}
	out := slices.Clone(messages)
	for i, m := range out {
		for _, c := range callsOf(m) {
			names[callID(c)] = callName(c)
		}
		id, _ := m.Fields["tool_call_id"].(string)
		if _, named := m.Fields["name"]; m.Role == "tool" && !named && id != "" && names[id] != "" {
			w := wireMessage{Message: m}
			w.Fields = map[string]any{"name": names[id]}
			for k, v := range m.Fields {
				w.Fields[k] = v
			}
			out[i] = w.Message
		}
	}
	return out
}

// oneCallEach splits messages with several calls for templates that write one: each call is followed by its result.
func oneCallEach(messages []template.Message) []template.Message {
	var out []template.Message
	for i := 0; i < len(messages); i++ {
		m := messages[i]
		calls := callsOf(m)
		if len(calls) < 2 {
			out = append(out, m)
			continue
		}
		var results []template.Message
		for i+1 < len(messages) && messages[i+1].Role == "tool" {
			i++
			results = append(results, messages[i])
		}
		for k, c := range calls {
			w := wireMessage{Message: template.Message{Role: m.Role}}
			if k == 0 {
				w.Content = m.Content
			}
			w.set("tool_calls", []any{c})
			out = append(out, w.Message)
			at := slices.IndexFunc(results, func(r template.Message) bool { return callID(c) != "" && r.Fields["tool_call_id"] == callID(c) })
			if at < 0 && len(results) > 0 && results[0].Fields["tool_call_id"] == nil {
				at = 0
			}
			if at >= 0 {
				out = append(out, results[at])
				results = slices.Delete(results, at, at+1)
			}
		}
		out = append(out, results...)
	}
	return out
}

// The texts for models whose templates know no tools.
var (
	//go:embed tools.jinja
	toolsSource string
	//go:embed calls.jinja
	callsSource string

	toolsTemplate = mustParse(toolsSource)
	callsTemplate = mustParse(callsSource)
)

func mustParse(source string) *template.Template {
	t, err := template.Parse(source, nil)
	if err != nil {
		panic(err) // the sources are part of the program
	}
	return t
}

// inWords describes tools in the system's message, and writes calls and results as text.
func inWords(messages []template.Message, tools []any) ([]template.Message, error) {
	var out []template.Message
	if len(tools) > 0 {
		p, err := toolsTemplate.Render(template.Input{Tools: tools})
		if err != nil {
			return nil, err
		}
		system := template.Message{Role: "system", Content: p.Text}
		if len(messages) > 0 && messages[0].Role == "system" {
			if before := messages[0].Content; before != "" {
				system.Content = before + "\n\n" + system.Content
			}
			messages = messages[1:]
		}
		out = append(out, system)
	}
	for i, m := range messages {
		switch calls := callsOf(m); {
		case len(calls) > 0:
			p, err := callsTemplate.Render(template.Input{Messages: []template.Message{m}})
			if err != nil {
				return nil, err
			}
			out = append(out, template.Message{Role: m.Role, Content: p.Text})
		case m.Role == "tool":
			result := "<tool_response>\n" + m.Content + "\n</tool_response>"
			if i > 0 && messages[i-1].Role == "tool" {
				out[len(out)-1].Content += "\n" + result
			} else {
				out = append(out, template.Message{Role: "user", Content: result})
			}
		default:
			out = append(out, m)
		}
	}
	return out, nil
}

// withIDs gives calls and results the ids that templates of the format take. A result without one answers the first call that has no result.
func withIDs(f toolcall.Format, messages []template.Message) []template.Message {
	out := slices.Clone(messages)
	var open []string // calls that have no result
	for i, m := range out {
		w := wireMessage{Message: m}
		w.Fields = maps.Clone(m.Fields)
		switch calls := callsOf(m); {
		case len(calls) > 0:
			open = nil
			named := make([]any, len(calls))
			for k, c := range calls {
				o, _ := c.(template.Object)
				id := callID(c)
				if id == "" {
					id = fmt.Sprintf("call %d of message %d", k, i)
				}
				open = append(open, f.ID(id))
				named[k] = append(template.Object{{Name: "id", Value: f.ID(id)}}, without(o, "id")...)
			}
			w.set("tool_calls", named)
		case m.Role == "tool":
			id, _ := m.Fields["tool_call_id"].(string)
			if id == "" && len(open) > 0 {
				id = open[0]
			}
			id = f.ID(id)
			open = slices.DeleteFunc(open, func(of string) bool { return of == id })
			w.set("tool_call_id", id)
		}
		out[i] = w.Message
	}
	return out
}

// forTemplate returns messages and tools as the model's template takes them.
func (g *generation) forTemplate(conv conversation) ([]template.Message, any, error) {
	messages := nameResults(conv.messages)
	offered := conv.tools.offered()
	tools := make([]any, len(offered))
	for i := range offered {
		tools[i] = offered[i].object()
	}
	switch f := g.format(); {
	case f == toolcall.Generic:
		messages, err := inWords(messages, tools)
		return messages, nil, err
	case f == toolcall.Mistral:
		messages = withIDs(f, messages)
	case !f.Parallel():
		messages = oneCallEach(messages)
	}
	if len(tools) == 0 {
		return messages, nil, nil
	}
	return messages, tools, nil
}
