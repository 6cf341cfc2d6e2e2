package routes

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"ortserve/template"
)

// openaiRequest is what the bodies of OpenAI's routes for completions have in common.
type openaiRequest struct {
	model        string
	stream       bool
	includeUsage bool
	usageInAll   bool // in each chunk of a stream, if includeUsage
	sampling     sampling
	cacheSalt    string
	fresh        bool // cache_prompt is false
	progress     bool
	n, bestOf    int // 0 is not said
	priority     *int64
	requestID    string // of the answer, in place of a random one
	report       reporting
	prompt       reporting // of the prompt's tokens
}

// chatRequest is the body of POST /v1/chat/completions.
type chatRequest struct {
	openaiRequest
	conversation conversation

	maxTokens, maxCompletionTokens *int64
}

// limit returns how many tokens the answer may have; 0 is as many as the window holds. The newer name wins.
func (r *chatRequest) limit() int {
	for _, n := range []*int64{r.maxCompletionTokens, r.maxTokens} {
		if n != nil {
			return int(max(*n, 0))
		}
	}
	return 0
}

// id returns the answer's id, but for its prefix.
func (r *openaiRequest) id(s *server) (string, error) {
	if r.requestID != "" {
		return r.requestID, nil
	}
	return s.newID()
}

// rank is the request's priority.
func (r *openaiRequest) rank() int {
	if r.priority == nil {
		return 0
	}
	return int(*r.priority)
}

// maxChoices is how many answers to one prompt a request may ask for. Each takes a slot.
const maxChoices = 8

// check refuses what the fields together do not allow.
func (r *openaiRequest) check() error {
	if r.bestOf > max(r.n, 1) {
		return notSupported("best_of", "best_of is %d and n is %d: answers are not compared, so that best_of can be at most n", r.bestOf, max(r.n, 1))
	}
	switch {
	case r.prompt.on && r.stream:
		return notSupported("prompt_logprobs", "prompt_logprobs is not supported in a stream")
	case r.prompt.on && r.n > 1:
		return notSupported("prompt_logprobs", "prompt_logprobs is not supported where n is above 1")
	}
	return r.report.check()
}

// openaiFields are the rows that OpenAI's routes for completions share: OpenAI's own, and what vLLM and llama.cpp add to them.
func openaiFields[T any](of func(*T) *openaiRequest) []field[T] {
	return slices.Concat([]field[T]{
		textField("model", func(r *T) *string { return &of(r).model }),
		boolField("stream", func(r *T) *bool { return &of(r).stream }),
		objectField("stream_options", newTable([]field[T]{
			boolField("include_usage", func(r *T) *bool { return &of(r).includeUsage }),
			boolField("continuous_usage_stats", func(r *T) *bool { return &of(r).usageInAll }),
		}, inertFields[T]("include_obfuscation"))),
		textField("cache_salt", func(r *T) *string { return &of(r).cacheSalt }),
		integerField("priority", math.MinInt32, math.MaxInt32, func(r *T) **int64 { return &of(r).priority }),
		{name: "request_id", schema: textSchema, read: func(_ *decoder, at string, v value, r *T) error {
			if v.kind != kindText {
				return wrongType(at, "a string", v)
			}
			if v.text != "" && !plainID(v.text) {
				return invalid(at, "%s is %s, must be at most 128 letters, digits, and of -_.", at, quote(v.text))
			}
			of(r).requestID = v.text
			return nil
		}},
		withoutField("cache_prompt", func(r *T) *bool { return &of(r).fresh }),
		boolField("return_progress", func(r *T) *bool { return &of(r).progress }),
		smallField("n", maxChoices, func(r *T) *int { return &of(r).n }),
		smallField("best_of", maxChoices, func(r *T) *int { return &of(r).bestOf }),
		aliasField("repetition_penalty", "repeat_penalty", func(r *T) *sampling { return &of(r).sampling }, func(s *sampling) **float64 { return &s.repeatPenalty }),
		countedField("prompt_logprobs", func(r *T) *reporting { return &of(r).prompt }),
		onlyField[T]("skip_special_tokens", "control tokens are never shown", isTrue),
		formatField("response_format", "json_schema", func(r *T) *sampling { return &of(r).sampling }),
	},
		samplingFields(func(r *T) *sampling { return &of(r).sampling }),
		chainFields(func(r *T) *sampling { return &of(r).sampling }),
		llamaGrammarFields(func(r *T) *sampling { return &of(r).sampling }),
		vllmGrammarFields(func(r *T) *sampling { return &of(r).sampling }),
		refusedFields[T](
			"bad_words", "dynatemp_range",
			"include_stop_str_in_output", "lora", "n_probs",
			"return_token_ids", "use_beam_search",
		),
		inertFields[T](
			"id_slot", "keep_alive", "metadata", "prompt_cache_key", "prompt_cache_retention",
			"safety_identifier", "service_tier", "store", "timings_per_token", "user",
		))
}

// smallField is a row of a count between 1 and highest.
func smallField[T any](name string, highest int64, of func(*T) *int) field[T] {
	return field[T]{name: name, schema: integerSchema(1, highest), read: func(_ *decoder, at string, v value, dst *T) error {
		n, err := integer(at, v, 1, highest)
		*of(dst) = int(n)
		return err
	}}
}

// chatFields are the fields of a chat completion.
var chatFields = newTable(
	[]field[chatRequest]{
		{name: "messages", schema: listOf(openaiMessageFields.schema()), read: func(d *decoder, at string, v value, r *chatRequest) (err error) {
			r.conversation.messages, err = readMessages(d, openaiMessageFields, at, v)
			return err
		}},
		tokenLimitField("max_tokens", func(r *chatRequest) **int64 { return &r.maxTokens }),
		tokenLimitField("max_completion_tokens", func(r *chatRequest) **int64 { return &r.maxCompletionTokens }),
		variablesField(func(r *chatRequest) *conversation { return &r.conversation }),
		onlyField[chatRequest]("add_generation_prompt", "an answer is always begun anew", isTrue),
		refusedField[chatRequest]("function_call", "use tool_choice", isText("none", "auto")),
		refusedField[chatRequest]("functions", "use tools"),
		refusedField[chatRequest]("modalities", "the answer is text", isListOf("text")),
		refusedField[chatRequest]("chat_template", "the model's own is used"),
	},
	openaiFields(func(r *chatRequest) *openaiRequest { return &r.openaiRequest }),
	logprobFields(func(r *chatRequest) *reporting { return &r.report }),
	toolRows(chatToolFields, func(r *chatRequest) *toolbox { return &r.conversation.tools }),
	refusedFields[chatRequest]("audio", "continue_final_message", "documents", "echo", "web_search_options"),
	thinkFields(func(r *chatRequest) *thinkWish { return &r.conversation.think }),
	thoughtFields(func(r *chatRequest) *thinkWish { return &r.conversation.think }),
	inertFields[chatRequest]("prediction", "verbosity"),
)

// variablesField is the row of what a template is given besides the messages.
func variablesField[T any](of func(*T) *conversation) field[T] {
	return field[T]{name: "chat_template_kwargs", schema: objectSchema, read: func(_ *decoder, at string, v value, r *T) error {
		if v.kind != kindObject {
			return wrongType(at, "an object", v)
		}
		of(r).variables = map[string]any{}
		for _, m := range v.members {
			of(r).variables[m.name] = m.value.plain()
		}
		return nil
	}}
}

// tokenLimitField is a row of a limit of tokens. -1 is "no limit" for the peers.
func tokenLimitField[T any](name string, of func(*T) **int64) field[T] {
	return field[T]{name: name, schema: integerSchema(-1, math.MaxInt32), read: func(_ *decoder, at string, v value, r *T) error {
		n, err := integer(at, v, -1, math.MaxInt32)
		if err == nil && n == 0 {
			return invalid(at, "%s is 0, must be at least 1, or -1 for as many tokens as the window holds", at)
		}
		*of(r) = &n
		return err
	}}
}

// wireMessage is a message of either dialect.
type wireMessage struct {
	template.Message
	role   bool               // it has one
	before []template.Message // results of tools that came in the same message
	only   bool               // it has nothing but those
}

// openaiMessageFields are the fields of a message. Clients send back what they received, so most of what a message may hold besides
// these is ignored, and listed.
var openaiMessageFields = newReplayedTable([]field[wireMessage]{
	roleField("system", "user", "assistant", "tool", "function", "developer"),
	{name: "content", schema: contentSchema(partFields.schema()), read: readContent},
	keyField("name", "name"),
	callsField,
	keyField("tool_call_id", "tool_call_id"),
	refusedField[wireMessage]("function_call", "use tool_calls"),
})

// roleField is the row of a message's role.
func roleField(roles ...string) field[wireMessage] {
	return field[wireMessage]{name: "role", schema: schema{"type": "string", "enum": roles}, read: func(_ *decoder, at string, v value, m *wireMessage) error {
		if v.kind != kindText {
			return wrongType(at, "a string", v)
		}
		if !isText(roles...)(v) {
			return invalid(at, "%s is %s, must be one of %s", at, quote(v.text), strings.Join(roles, ", "))
		}
		m.Role, m.role = v.text, true
		if m.Role == "developer" { // OpenAI's newer name
			m.Role = "system"
		}
		return nil
	}}
}

// readMessages reads a list of messages.
func readMessages(d *decoder, t *table[wireMessage], at string, v value) ([]template.Message, error) {
	if v.kind != kindList {
		return nil, wrongType(at, "a list", v)
	}
	messages := make([]template.Message, 0, len(v.list))
	for i, of := range v.list {
		at := fmt.Sprintf("%s[%d]", at, i)
		var m wireMessage
		if err := t.object(d, at, of, &m); err != nil {
			return nil, err
		}
		if !m.role {
			return nil, invalid(at+".role", "%s.role is missing", at)
		}
		if len(callsOf(m.Message)) > 0 && m.Role != "assistant" {
			return nil, invalid(at+".tool_calls", "%s.tool_calls: only a message of the assistant's has calls", at)
		}
		messages = append(messages, m.before...)
		if !m.only {
			messages = append(messages, m.Message)
		}
	}
	return messages, nil
}

// readContent reads a message's content: a string, or a list of text parts, which a line break joins.
func readContent(d *decoder, at string, v value, m *wireMessage) error {
	switch v.kind {
	case kindText:
		m.Content = v.text
		return nil
	case kindList:
	default:
		return wrongType(at, "a string or a list of parts", v)
	}
	parts := make([]string, 0, len(v.list))
	for i, of := range v.list {
		at := fmt.Sprintf("%s[%d]", at, i)
		if of.kind == kindObject && of.get("type").kind == kindText && !isText("text")(of.get("type")) {
			return unsupportedPart(at, of.get("type").text)
		}
		var p contentPart
		if err := partFields.object(d, at, of, &p); err != nil {
			return err
		}
		if p.text == nil {
			return invalid(at+".text", "%s.text is missing", at)
		}
		parts = append(parts, *p.text)
	}
	m.Content = strings.Join(parts, "\n")
	return nil
}

// contentPart is a part of a message's content.
type contentPart struct{ text *string }

var partFields = newReplayedTable([]field[contentPart]{
	{name: "type", schema: textSchema, read: func(_ *decoder, at string, v value, _ *contentPart) error {
		if v.kind != kindText {
			return wrongType(at, "a string", v)
		}
		return nil // looked at before
	}},
	{name: "text", schema: textSchema, read: func(_ *decoder, at string, v value, p *contentPart) error {
		if v.kind != kindText {
			return wrongType(at, "a string", v)
		}
		p.text = &v.text
		return nil
	}},
})

// unsupportedPart is the error of a part that is not text.
func unsupportedPart(at, typ string) error {
	what := "content of the type " + quote(typ)
	switch typ {
	case "image_url", "image", "input_image":
		what = "image input"
	case "input_audio":
		what = "audio input"
	case "file", "input_file":
		what = "file input"
	}
	return notSupported(at, "%s: %s is not supported", at, what)
}
