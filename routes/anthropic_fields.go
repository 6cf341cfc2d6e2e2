package routes

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"ortserve/template"
)

// messagesRequest is the body of POST /v1/messages.
type messagesRequest struct {
	model        string
	system       string
	conversation conversation
	maxTokens    *int64
	stream       bool
	sampling     sampling
}

// messagesFields are the fields of Anthropic's messages.
var messagesFields = newTable(
	[]field[messagesRequest]{
		textField("model", func(r *messagesRequest) *string { return &r.model }),
		{name: "system", schema: contentSchema(blockFields.schema()), read: func(d *decoder, at string, v value, r *messagesRequest) (err error) {
			r.system, err = readBlocks(d, at, v)
			return err
		}},
		{name: "messages", schema: listOf(anthropicMessageFields.schema()), read: func(d *decoder, at string, v value, r *messagesRequest) (err error) {
			r.conversation.messages, err = readMessages(d, anthropicMessageFields, at, v)
			return err
		}},
		integerField("max_tokens", 1, math.MaxInt32, func(r *messagesRequest) **int64 { return &r.maxTokens }),
		boolField("stream", func(r *messagesRequest) *bool { return &r.stream }),
		numberField("temperature", func(r *messagesRequest) **float64 { return &r.sampling.temperature }),
		numberField("top_p", func(r *messagesRequest) **float64 { return &r.sampling.topP }),
		integerField("top_k", -1, math.MaxInt32, func(r *messagesRequest) **int64 { return &r.sampling.topK }),
		{name: "stop_sequences", schema: listOf(textSchema), read: func(_ *decoder, at string, v value, r *messagesRequest) (err error) {
			r.sampling.stop, err = readStops(at, v)
			return err
		}},
		variablesField(func(r *messagesRequest) *conversation { return &r.conversation }),
		toolsRow(anthropicToolFields, func(r *messagesRequest) *toolbox { return &r.conversation.tools }),
		{name: "thinking", schema: anthropicThinkingFields.schema(), read: func(d *decoder, at string, v value, r *messagesRequest) error {
			return readAnthropicThinking(d, at, v, &r.conversation.think)
		}},
		{name: "tool_choice", schema: anthropicChoiceFields.schema(), read: readAnthropicChoice},
		formatField("output_format", "", func(r *messagesRequest) *sampling { return &r.sampling }),
		objectField("output_config", newTable([]field[messagesRequest]{
			formatField("format", "", func(r *messagesRequest) *sampling { return &r.sampling }),
		}, inertFields[messagesRequest]("effort"))),
	},
	refusedFields[messagesRequest]("container", "mcp_servers"),
	inertFields[messagesRequest]("cache_control", "context_management", "inference_geo", "metadata", "service_tier"),
)

// anthropicMessageFields are the fields of a message. Claude Code sends the system's in the middle of a conversation too.
var anthropicMessageFields = newReplayedTable([]field[wireMessage]{
	roleField("user", "assistant", "system"),
	{name: "content", schema: contentSchema(oneSchema(blockFields.schema(), toolUseFields.schema(), toolResultFields.schema())), read: readMessageBlocks},
})

// blockFields are the fields of a block of text.
var blockFields = newReplayedTable(partFields.rows, inertFields[contentPart]("cache_control", "citations"))

// readBlocks reads a string or a list of blocks of text, which a line break joins. Blocks of a model's thinking are left out and listed:
// clients send them back, and models that think expect them gone too.
func readBlocks(d *decoder, at string, v value) (string, error) {
	return readBlocksAnd(nil, d, at, v)
}

// readBlocksAnd is readBlocks where other blocks may be too, each of which goes to the reader of its type.
func readBlocksAnd(others map[string]func(d *decoder, at string, v value) error, d *decoder, at string, v value) (string, error) {
	switch v.kind {
	case kindText:
		return v.text, nil
	case kindList:
	default:
		return "", wrongType(at, "a string or a list of blocks", v)
	}
	var texts []string
	for i, of := range v.list {
		at := fmt.Sprintf("%s[%d]", at, i)
		if typ := of.get("type"); of.kind == kindObject && typ.kind == kindText {
			if read := others[typ.text]; read != nil {
				if err := read(d, at, of); err != nil {
					return "", err
				}
				continue
			}
			switch typ.text {
			case "text":
			case "thinking", "redacted_thinking":
				d.ignored = append(d.ignored, at)
				continue
			case "tool_use", "tool_result":
				return "", invalid(at, "%s: a block of the type %s cannot be here", at, quote(typ.text))
			case "document":
				return "", notSupported(at, "%s: file input is not supported", at)
			default:
				return "", unsupportedPart(at, typ.text)
			}
		}
		var p contentPart
		if err := blockFields.object(d, at, of, &p); err != nil {
			return "", err
		}
		if p.text == nil {
			return "", invalid(at+".text", "%s.text is missing", at)
		}
		texts = append(texts, *p.text)
	}
	return strings.Join(texts, "\n"), nil
}

// talk checks a request and returns its conversation, with the system prompt as its first message.
func (r *messagesRequest) talk() (conversation, error) {
	messages := r.conversation.messages
	switch n := len(messages); {
	case n == 0:
		return conversation{}, invalid("messages", "messages: at least one message is required")
	case messages[n-1].Role == "assistant":
		return conversation{}, notSupported("messages", "messages: the last message is the assistant's, and continuing it is not supported")
	}
	conv := r.conversation
	if err := conv.tools.check(); err != nil {
		return conversation{}, err
	}
	if r.system != "" {
		conv.messages = slices.Insert(slices.Clone(messages), 0, template.Message{Role: "system", Content: r.system})
	}
	return conv, nil
}
