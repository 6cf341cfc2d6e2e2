package routes

import (
	"math"
	"strconv"
)

// ollamaOptions are the options of a request for generation.
type ollamaOptions struct {
	sampling   sampling
	numPredict *int64
	numCtx     *int64
}

// limits returns the bounds that the options set. -1 and 0 are "none", and so is num_predict -2, "until the window is full".
func (o *ollamaOptions) limits() limits {
	l := limits{name: "options.num_ctx"}
	if o.numPredict != nil {
		l.maxTokens = int(max(*o.numPredict, 0))
	}
	if o.numCtx != nil {
		l.window = int(max(*o.numCtx, 0))
	}
	return l
}

// generateRequest is the body of POST /api/generate.
type generateRequest struct {
	model, prompt, system string
	stream, raw           bool
	context               []int32
	options               ollamaOptions
}

// ollamaChatRequest is the body of POST /api/chat.
type ollamaChatRequest struct {
	model        string
	conversation conversation
	stream       bool
	options      ollamaOptions
}

// optionFields are the fields of the object "options".
var optionFields = newTable(
	samplingFields(func(o *ollamaOptions) *sampling { return &o.sampling }),
	[]field[ollamaOptions]{
		integerField("num_predict", -2, math.MaxInt32, func(o *ollamaOptions) **int64 { return &o.numPredict }),
		integerField("num_ctx", -1, math.MaxInt32, func(o *ollamaOptions) **int64 { return &o.numCtx }),
		refusedField[ollamaOptions]("tfs_z", "use top_p or min_p", isNumber(1)),
	},
	inertFields[ollamaOptions](
		"draft_num_predict", "embedding_only", "f16_kv", "logits_all", "low_vram", "main_gpu", "mirostat_eta", "mirostat_tau", "num_batch",
		"num_gpu", "num_keep", "num_thread", "numa", "penalize_newline", "use_mlock", "use_mmap", "vocab_only",
	),
)

// generateFields are the fields of POST /api/generate. A prompt that is too long is always an error, so that truncate and shift change
// nothing.
var generateFields = newTable(
	[]field[generateRequest]{
		textField("model", func(r *generateRequest) *string { return &r.model }),
		textField("prompt", func(r *generateRequest) *string { return &r.prompt }),
		textField("system", func(r *generateRequest) *string { return &r.system }),
		boolField("stream", func(r *generateRequest) *bool { return &r.stream }),
		boolField("raw", func(r *generateRequest) *bool { return &r.raw }),
		{name: "context", read: func(_ *decoder, at string, v value, r *generateRequest) (err error) {
			r.context, err = readTokens(at, v)
			return err
		}},
		optionsField(func(r *generateRequest) *ollamaOptions { return &r.options }),
		refusedField[generateRequest]("suffix", "the models of this server continue a text, they do not insert into one"),
		refusedField[generateRequest]("template", "the model's own is used; with raw the prompt is taken as it is"),
		refusedField[generateRequest]("images", "image input is not supported"),
	},
	answerFields[generateRequest](),
	inertFields[generateRequest]("keep_alive", "truncate", "shift"),
)

// ollamaChatFields are the fields of POST /api/chat.
var ollamaChatFields = newTable(
	[]field[ollamaChatRequest]{
		textField("model", func(r *ollamaChatRequest) *string { return &r.model }),
		{name: "messages", read: func(d *decoder, at string, v value, r *ollamaChatRequest) (err error) {
			r.conversation.messages, err = readMessages(d, ollamaMessageFields, at, v)
			return err
		}},
		boolField("stream", func(r *ollamaChatRequest) *bool { return &r.stream }),
		optionsField(func(r *ollamaChatRequest) *ollamaOptions { return &r.options }),
		refusedField[ollamaChatRequest]("tools", "the answer is text"),
	},
	answerFields[ollamaChatRequest](),
	inertFields[ollamaChatRequest]("keep_alive", "truncate", "shift"),
)

// answerFields are the rows of what both routes may ask of an answer and do not get yet.
func answerFields[T any]() []field[T] {
	return []field[T]{
		refusedField[T]("format", "the answer is text"),
		refusedField[T]("think", "the models of this server do not think"),
		refusedField[T]("logprobs", ""),
		refusedField[T]("top_logprobs", ""),
	}
}

// optionsField is the row of "options".
func optionsField[T any](of func(*T) *ollamaOptions) field[T] {
	return field[T]{name: "options", read: func(d *decoder, at string, v value, dst *T) error {
		return optionFields.object(d, at, v, of(dst))
	}}
}

// ollamaMessageFields are the fields of a message.
var ollamaMessageFields = newReplayedTable([]field[wireMessage]{
	roleField("system", "user", "assistant", "tool"),
	{name: "content", read: func(_ *decoder, at string, v value, m *wireMessage) error {
		if v.kind != kindText {
			return wrongType(at, "a string", v)
		}
		m.Content = v.text
		return nil
	}},
	refusedField[wireMessage]("images", "image input is not supported"),
	refusedField[wireMessage]("tool_calls", "tools are not supported"),
}, inertFields[wireMessage]("tool_name", "tool_call_id"))

// readTokens reads a list of token ids. Whether the model has them is the engine's to say.
func readTokens(at string, v value) ([]int32, error) {
	if v.kind != kindList {
		return nil, wrongType(at, "a list of token ids", v)
	}
	tokens := make([]int32, len(v.list))
	for i, of := range v.list {
		n, err := integer(at+"["+strconv.Itoa(i)+"]", of, 0, math.MaxInt32)
		if err != nil {
			return nil, err
		}
		tokens[i] = int32(n)
	}
	return tokens, nil
}
