package routes

import (
	"math"
	"strconv"
	"time"
)

// ollamaOptions are the options of a request for generation.
type ollamaOptions struct {
	sampling   sampling
	numPredict *int64
	numCtx     *int64
	report     reporting
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
	think                 thinkWish
	options               ollamaOptions
	truncate              bool
	keepAlive             *time.Duration
}

// ollamaChatRequest is the body of POST /api/chat.
type ollamaChatRequest struct {
	model        string
	conversation conversation
	stream       bool
	options      ollamaOptions
	truncate     bool
	keepAlive    *time.Duration
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

// generateFields are the fields of POST /api/generate. A prompt that is too long is an error unless truncate asks for a cut. An answer
// ends where the window does, so that shift changes nothing.
var generateFields = newTable(
	[]field[generateRequest]{
		textField("model", func(r *generateRequest) *string { return &r.model }),
		textField("prompt", func(r *generateRequest) *string { return &r.prompt }),
		textField("system", func(r *generateRequest) *string { return &r.system }),
		boolField("stream", func(r *generateRequest) *bool { return &r.stream }),
		boolField("raw", func(r *generateRequest) *bool { return &r.raw }),
		{name: "context", schema: tokensSchema, read: func(_ *decoder, at string, v value, r *generateRequest) (err error) {
			r.context, err = readTokens(at, v)
			return err
		}},
		optionsField(func(r *generateRequest) *ollamaOptions { return &r.options }),
		refusedField[generateRequest]("suffix", "this model does not support insert"),
		refusedField[generateRequest]("template", "the model's own is used; with raw the prompt is taken as it is"),
		refusedField[generateRequest]("images", "image input is not supported"),
		boolField("truncate", func(r *generateRequest) *bool { return &r.truncate }),
		keepAliveField(func(r *generateRequest) **time.Duration { return &r.keepAlive }),
	},
	answerFields(func(r *generateRequest) *sampling { return &r.options.sampling }, func(r *generateRequest) *thinkWish { return &r.think }),
	logprobFields(func(r *generateRequest) *reporting { return &r.options.report }),
	inertFields[generateRequest]("shift"),
)

// ollamaChatFields are the fields of POST /api/chat.
var ollamaChatFields = newTable(
	[]field[ollamaChatRequest]{
		textField("model", func(r *ollamaChatRequest) *string { return &r.model }),
		{name: "messages", schema: listOf(ollamaMessageFields.schema()), read: func(d *decoder, at string, v value, r *ollamaChatRequest) (err error) {
			r.conversation.messages, err = readMessages(d, ollamaMessageFields, at, v)
			return err
		}},
		boolField("stream", func(r *ollamaChatRequest) *bool { return &r.stream }),
		optionsField(func(r *ollamaChatRequest) *ollamaOptions { return &r.options }),
		boolField("truncate", func(r *ollamaChatRequest) *bool { return &r.truncate }),
		keepAliveField(func(r *ollamaChatRequest) **time.Duration { return &r.keepAlive }),
	},
	answerFields(func(r *ollamaChatRequest) *sampling { return &r.options.sampling }, func(r *ollamaChatRequest) *thinkWish { return &r.conversation.think }),
	logprobFields(func(r *ollamaChatRequest) *reporting { return &r.options.report }),
	toolRows(chatToolFields, func(r *ollamaChatRequest) *toolbox { return &r.conversation.tools }),
	inertFields[ollamaChatRequest]("shift"),
)

// answerFields are the rows of what both routes may ask of an answer.
func answerFields[T any](of func(*T) *sampling, think func(*T) *thinkWish) []field[T] {
	return []field[T]{
		ollamaFormatField(of),
		{name: "think", schema: schema{"type": []string{"boolean", "string"}}, read: func(_ *decoder, at string, v value, r *T) error {
			return readThink(at, v, think(r))
		}},
	}
}

// keepAliveField is the row of how long a model stays loaded after a request: seconds, or a text like 5m; less than 0 is for ever.
func keepAliveField[T any](of func(*T) **time.Duration) field[T] {
	return field[T]{name: "keep_alive", schema: schema{"type": []string{"number", "string"}}, read: func(_ *decoder, at string, v value, dst *T) error {
		var d time.Duration
		switch v.kind {
		case kindNumber:
			f, err := strconv.ParseFloat(v.text, 64)
			if err != nil || math.Abs(f) > math.MaxInt32 {
				return invalid(at, "%s is %s, which is out of range", at, clip(v.text))
			}
			d = time.Duration(f * float64(time.Second))
		case kindText:
			if v.text == "" {
				return nil
			}
			var err error
			if d, err = time.ParseDuration(v.text); err != nil {
				f, ferr := strconv.ParseFloat(v.text, 64)
				if ferr != nil || math.Abs(f) > math.MaxInt32 {
					return invalid(at, "%s is %s, must be seconds or a time like 5m", at, quote(v.text))
				}
				d = time.Duration(f * float64(time.Second))
			}
		default:
			return wrongType(at, "a number or a string", v)
		}
		*of(dst) = &d
		return nil
	}}
}

// optionsField is the row of "options".
func optionsField[T any](of func(*T) *ollamaOptions) field[T] {
	return field[T]{name: "options", schema: optionFields.schema(), read: func(d *decoder, at string, v value, dst *T) error {
		return optionFields.object(d, at, v, of(dst))
	}}
}

// ollamaMessageFields are the fields of a message.
var ollamaMessageFields = newReplayedTable([]field[wireMessage]{
	roleField("system", "user", "assistant", "tool"),
	{name: "content", schema: textSchema, read: func(_ *decoder, at string, v value, m *wireMessage) error {
		if v.kind != kindText {
			return wrongType(at, "a string", v)
		}
		m.Content = v.text
		return nil
	}},
	refusedField[wireMessage]("images", "image input is not supported"),
	callsField,
	keyField("tool_name", "name"),
	keyField("tool_call_id", "tool_call_id"),
})

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
