package routes

import (
	"fmt"
	"slices"
	"strings"

	"ortserve/template"
)

// responsesRequest is the body of POST /v1/responses.
type responsesRequest struct {
	model        string
	instructions *string
	messages     []template.Message
	tools        toolbox
	think        thinkWish
	stream       bool
	maxTokens    *int64
	sampling     sampling
	report       reporting
	format       *value // of the text
	metadata     *value
	user         *string
	cacheSalt    string
}

// responsesFields are the fields of OpenAI's responses. Nothing is kept between requests, so that what refers to another response is
// refused, and store is not.
var responsesFields = newTable(
	[]field[responsesRequest]{
		textField("model", func(r *responsesRequest) *string { return &r.model }),
		{name: "input", schema: contentSchema(inputFields.schema()), read: readInput},
		reasoningField(func(r *responsesRequest) *thinkWish { return &r.think }),
		optionalText("instructions", func(r *responsesRequest) **string { return &r.instructions }),
		boolField("stream", func(r *responsesRequest) *bool { return &r.stream }),
		objectField("stream_options", newTable(inertFields[responsesRequest]("include_obfuscation"))),
		tokenLimitField("max_output_tokens", func(r *responsesRequest) **int64 { return &r.maxTokens }),
		{name: "include", schema: listOf(textSchema), read: func(_ *decoder, at string, v value, r *responsesRequest) error {
			if v.kind != kindList {
				return wrongType(at, "a list of strings", v)
			}
			for _, of := range v.list { // what else there is to include belongs to tools that OpenAI runs
				r.report.on = r.report.on || isText("message.output_text.logprobs")(of)
			}
			return nil
		}},
		integerField("top_logprobs", 0, maxTopLogprobs, func(r *responsesRequest) **int64 { return &r.report.top }),
		textField("cache_salt", func(r *responsesRequest) *string { return &r.cacheSalt }),
		{name: "metadata", schema: objectSchema, read: func(_ *decoder, at string, v value, r *responsesRequest) error {
			if v.kind != kindObject {
				return wrongType(at, "an object", v)
			}
			r.metadata = &v
			return nil
		}},
		optionalText("user", func(r *responsesRequest) **string { return &r.user }),
		objectField("text", newTable([]field[responsesRequest]{
			{name: "format", schema: formatSchema, read: func(d *decoder, at string, v value, r *responsesRequest) error {
				r.format = &v
				return readFormat(d, at, "", v, &r.sampling)
			}},
		}, inertFields[responsesRequest]("verbosity"))),
		refusedField[responsesRequest]("truncation", "what is too long is refused", isText("disabled")),
		refusedField[responsesRequest]("previous_response_id", "responses are not stored; send the conversation as input"),
		refusedField[responsesRequest]("conversation", "conversations are not stored; send them as input"),
		refusedField[responsesRequest]("background", "responses are not stored"),
		refusedField[responsesRequest]("prompt", "prompts are not stored; send instructions and input"),
	},
	samplingFields(func(r *responsesRequest) *sampling { return &r.sampling }),
	toolRows(responseToolFields, func(r *responsesRequest) *toolbox { return &r.tools }),
	refusedFields[responsesRequest]("context_management"),
	inertFields[responsesRequest](
		"max_tool_calls", "moderation", "prompt_cache_key", "prompt_cache_retention",
		"safety_identifier", "service_tier", "store",
	),
)

// readInput reads a response's input: a text of the user's, or a list of items.
func readInput(d *decoder, at string, v value, r *responsesRequest) error {
	switch v.kind {
	case kindText:
		r.messages = []template.Message{{Role: "user", Content: v.text}}
		return nil
	case kindList:
	default:
		return wrongType(at, "a string or a list of items", v)
	}
	r.messages = nil
	for i, of := range v.list {
		at := fmt.Sprintf("%s[%d]", at, i)
		if typ := of.get("type"); typ.kind == kindText {
			switch typ.text {
			case "message":
			case "function_call":
				var call wireCall
				if err := readCallItem(d, at, of, &call); err != nil {
					return err
				}
				r.addCall(call)
				continue
			case "function_call_output":
				var result toolResult
				if err := resultItemFields.object(d, at, of, &result); err != nil {
					return err
				}
				if result.id == "" {
					return invalid(at+".call_id", "%s.call_id is missing", at)
				}
				r.messages = append(r.messages, result.message())
				continue
			case "reasoning", "compaction":
				d.ignored = append(d.ignored, at)
				continue
			default:
				return notSupported(at, "%s: an item of the type %s is not supported", at, quote(typ.text))
			}
		}
		var m wireMessage
		if err := inputFields.object(d, at, of, &m); err != nil {
			return err
		}
		if !m.role {
			return invalid(at+".role", "%s.role is missing", at)
		}
		r.messages = append(r.messages, m.Message)
	}
	return nil
}

// inputFields are the fields of a message among the input's items.
var inputFields = newReplayedTable([]field[wireMessage]{
	roleField("system", "user", "assistant", "developer"),
	{name: "type", schema: textSchema, read: func(*decoder, string, value, *wireMessage) error { return nil }}, // looked at before
	{name: "content", schema: contentSchema(partFields.schema()), read: readInputContent},
}, inertFields[wireMessage]("id", "phase", "status"))

// callItemFields are the fields of a call among the input's items.
var callItemFields = newReplayedTable([]field[wireCall]{
	typeField[wireCall](),
	textField("call_id", func(c *wireCall) *string { return &c.id }),
	textField("name", func(c *wireCall) *string { return &c.name }),
	{name: "arguments", schema: textSchema, read: readArguments},
}, inertFields[wireCall]("id", "status"))

func readCallItem(d *decoder, at string, v value, c *wireCall) error {
	c.arguments = template.Object{}
	if err := callItemFields.object(d, at, v, c); err != nil {
		return err
	}
	if c.name == "" {
		return invalid(at+".name", "%s.name is missing", at)
	}
	return nil
}

// addCall adds a call to the assistant's message that it follows, or begins one.
func (r *responsesRequest) addCall(c wireCall) {
	n := len(r.messages)
	if n == 0 || r.messages[n-1].Role != "assistant" {
		r.messages = append(r.messages, template.Message{Role: "assistant"})
		n++
	}
	m := wireMessage{Message: r.messages[n-1]}
	m.set("tool_calls", append(callsOf(m.Message), callObject(c.id, c.name, c.arguments)))
	r.messages[n-1] = m.Message
}

// resultItemFields are the fields of a call's result among the input's items.
var resultItemFields = newReplayedTable([]field[toolResult]{
	typeField[toolResult](),
	textField("call_id", func(r *toolResult) *string { return &r.id }),
	{name: "output", schema: contentSchema(partFields.schema()), read: func(d *decoder, at string, v value, r *toolResult) (err error) {
		r.content, err = readTexts(d, at, v)
		return err
	}},
}, inertFields[toolResult]("id", "status"))

func readInputContent(d *decoder, at string, v value, m *wireMessage) (err error) {
	m.Content, err = readTexts(d, at, v)
	return err
}

// readTexts reads a string, or a list of texts of either side.
func readTexts(d *decoder, at string, v value) (string, error) {
	switch v.kind {
	case kindText:
		return v.text, nil
	case kindList:
	default:
		return "", wrongType(at, "a string or a list of parts", v)
	}
	var texts []string
	for i, of := range v.list {
		at := fmt.Sprintf("%s[%d]", at, i)
		if typ := of.get("type"); of.kind == kindObject && typ.kind == kindText && !isText("input_text", "output_text", "text")(typ) {
			return "", unsupportedPart(at, typ.text)
		}
		var p contentPart
		if err := partFields.object(d, at, of, &p); err != nil {
			return "", err
		}
		if p.text == nil {
			return "", invalid(at+".text", "%s.text is missing", at)
		}
		texts = append(texts, *p.text)
	}
	return strings.Join(texts, "\n"), nil
}

// talk returns the request's conversation, with the instructions as its first message.
func (r *responsesRequest) talk() (conversation, error) {
	if len(r.messages) == 0 {
		return conversation{}, invalid("input", "input is missing; it is a string or a list of items")
	}
	messages := r.messages
	if r.instructions != nil && *r.instructions != "" {
		messages = slices.Insert(slices.Clone(messages), 0, template.Message{Role: "system", Content: *r.instructions})
	}
	return conversation{messages: messages, tools: r.tools, think: r.think}, r.tools.check()
}
