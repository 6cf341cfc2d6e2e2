package routes

import (
	"ortserve/template"
)

// anthropicChoice is Anthropic's tool_choice.
type anthropicChoice struct {
	name   string
	single bool
}

var anthropicChoiceFields = newTable([]field[anthropicChoice]{
	typeField[anthropicChoice](),
	textField("name", func(c *anthropicChoice) *string { return &c.name }),
	boolField("disable_parallel_tool_use", func(c *anthropicChoice) *bool { return &c.single }),
})

// readAnthropicChoice reads Anthropic's tool_choice.
func readAnthropicChoice(d *decoder, at string, v value, r *messagesRequest) error {
	var c anthropicChoice
	if err := anthropicChoiceFields.object(d, at, v, &c); err != nil {
		return err
	}
	choices := map[string]toolChoice{"auto": chooseAuto, "none": chooseNone, "any": chooseRequired, "tool": chooseNamed}
	choice, ok := choices[v.get("type").text]
	t := &r.conversation.tools
	switch {
	case !ok:
		return invalid(at+".type", "%s.type is %s, must be auto, any, tool or none", at, quote(v.get("type").text))
	case choice == chooseNamed && c.name == "":
		return invalid(at+".name", "%s.name is missing", at)
	}
	t.choice, t.single = choice, c.single
	if choice == chooseNamed {
		t.named = c.name
	}
	return nil
}

// toolUseFields are the fields of a call in an assistant's message.
var toolUseFields = newReplayedTable([]field[wireCall]{
	typeField[wireCall](),
	textField("id", func(c *wireCall) *string { return &c.id }),
	textField("name", func(c *wireCall) *string { return &c.name }),
	{name: "input", schema: objectSchema, read: func(_ *decoder, at string, v value, c *wireCall) error {
		if v.kind != kindObject {
			return wrongType(at, "an object", v)
		}
		c.arguments = v.plain()
		return nil
	}},
}, inertFields[wireCall]("cache_control", "caller"))

// toolResult is what a tool returned.
type toolResult struct {
	id, content string
	failed      bool
}

// toolResultFields are the fields of a result in a user's message.
var toolResultFields = newReplayedTable([]field[toolResult]{
	typeField[toolResult](),
	textField("tool_use_id", func(r *toolResult) *string { return &r.id }),
	{name: "content", schema: contentSchema(blockFields.schema()), read: func(d *decoder, at string, v value, r *toolResult) (err error) {
		r.content, err = readBlocks(d, at, v)
		return err
	}},
	boolField("is_error", func(r *toolResult) *bool { return &r.failed }),
}, inertFields[toolResult]("cache_control"))

// message is the result as templates know it. None has a place for its failure, so that the text says it.
func (r *toolResult) message() template.Message {
	m := wireMessage{Message: template.Message{Role: "tool", Content: r.content}}
	if r.failed {
		m.Content = "Error: " + r.content
	}
	m.set("tool_call_id", r.id)
	return m.Message
}

// readMessageBlocks reads a message's content: text, and the calls of an assistant or the results that a user sends.
func readMessageBlocks(d *decoder, at string, v value, m *wireMessage) (err error) {
	var calls []any
	m.Content, err = readBlocksAnd(map[string]func(*decoder, string, value) error{
		"tool_use": func(d *decoder, at string, v value) error {
			c := wireCall{arguments: template.Object{}}
			if err := toolUseFields.object(d, at, v, &c); err != nil {
				return err
			}
			if c.name == "" {
				return invalid(at+".name", "%s.name is missing", at)
			}
			calls = append(calls, callObject(c.id, c.name, c.arguments))
			return nil
		},
		"tool_result": func(d *decoder, at string, v value) error {
			var r toolResult
			if err := toolResultFields.object(d, at, v, &r); err != nil {
				return err
			}
			if r.id == "" {
				return invalid(at+".tool_use_id", "%s.tool_use_id is missing", at)
			}
			m.before = append(m.before, r.message())
			return nil
		},
	}, d, at, v)
	if len(calls) > 0 {
		m.set("tool_calls", calls)
	}
	m.only = len(m.before) > 0 && m.Content == ""
	return err
}
