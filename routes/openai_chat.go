package routes

import (
	"fmt"
	"time"

	"github.com/gofiber/fiber/v2"

	"ortserve/engine"
	"ortserve/template/toolcall"
)

// chatCompletion is the answer that is not streamed.
type chatCompletion struct {
	ID                string       `json:"id"`
	Object            string       `json:"object"`
	Created           int64        `json:"created"`
	Model             string       `json:"model"`
	SystemFingerprint string       `json:"system_fingerprint"`
	Choices           []chatChoice `json:"choices"`
	Usage             openaiUsage  `json:"usage"`

	PromptLogprobs []any `json:"prompt_logprobs,omitempty"`
}

type chatChoice struct {
	Index        int           `json:"index"`
	Message      chatMessage   `json:"message"`
	Logprobs     *chatLogprobs `json:"logprobs"`
	FinishReason string        `json:"finish_reason"`
}

// chatMessage is the message of an answer. Its content is null where it has calls and no text.
type chatMessage struct {
	Role      string     `json:"role"`
	Content   *string    `json:"content"`
	Reasoning string     `json:"reasoning_content,omitempty"`
	ToolCalls []chatCall `json:"tool_calls,omitempty"`
	Refusal   *string    `json:"refusal"`
}

// chatCall is a call of a tool.
type chatCall struct {
	ID       string       `json:"id"`
	Type     string       `json:"type"`
	Function chatFunction `json:"function"`
}

type chatFunction struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

// chatChunk is an event of the answer that is streamed.
type chatChunk struct {
	ID                string          `json:"id"`
	Object            string          `json:"object"`
	Created           int64           `json:"created"`
	Model             string          `json:"model"`
	SystemFingerprint string          `json:"system_fingerprint"`
	Choices           []chunkChoice   `json:"choices"`
	Usage             *openaiUsage    `json:"usage,omitempty"`
	Progress          *promptProgress `json:"prompt_progress,omitempty"`
}

type chunkChoice struct {
	Index        int           `json:"index"`
	Delta        any           `json:"delta"`
	Logprobs     *chatLogprobs `json:"logprobs,omitempty"`
	FinishReason *string       `json:"finish_reason"`
}

// The deltas: the role, once and first; a piece of thought; a piece of text; a call's beginning; a piece of its arguments; nothing, with the finish reason.
type (
	roleDelta struct {
		Role    string  `json:"role"`
		Content *string `json:"content"`
	}
	thoughtDelta struct {
		Reasoning string `json:"reasoning_content"`
	}
	textDelta struct {
		Content string `json:"content"`
	}
	callDelta struct {
		ToolCalls [1]any `json:"tool_calls"` // of callBegin or callPiece
	}
	callBegin struct {
		Index int `json:"index"`
		chatCall
	}
	callPiece struct {
		Index    int           `json:"index"`
		Function argumentPiece `json:"function"`
	}
	argumentPiece struct {
		Arguments string `json:"arguments"`
	}
	lastDelta struct{}
)

// openaiUsage is what a request took, in tokens.
type openaiUsage struct {
	PromptTokens        int                 `json:"prompt_tokens"`
	CompletionTokens    int                 `json:"completion_tokens"`
	TotalTokens         int                 `json:"total_tokens"`
	PromptTokensDetails *promptTokenDetails `json:"prompt_tokens_details,omitempty"` // known at the end
	AnswerTokensDetails *reasoningTokens    `json:"completion_tokens_details,omitempty"`
}

// thinking adds how many of the tokens were thoughts, where any were.
func (u openaiUsage) thinking(tokens int) openaiUsage {
	if tokens > 0 {
		u.AnswerTokensDetails = &reasoningTokens{tokens}
	}
	return u
}

type promptTokenDetails struct {
	CachedTokens int `json:"cached_tokens"`
}

func usageOf(u engine.Usage) openaiUsage {
	return openaiUsage{
		PromptTokens:        u.PromptTokens,
		CompletionTokens:    u.CompletionTokens,
		TotalTokens:         u.PromptTokens + u.CompletionTokens,
		PromptTokensDetails: &promptTokenDetails{CachedTokens: u.CachedTokens},
	}
}

// runningUsage is what each chunk of a stream says of its answer, where stream_options has continuous_usage_stats, as vLLM's do.
type runningUsage struct {
	prompt  func(choice int) int // tokens of an answer's prompt; nil where no usage is wanted
	sampled map[int]int          // tokens of each answer
}

// newRunningUsage returns that of a request.
func (r *openaiRequest) newRunningUsage(g *generation) runningUsage {
	if !r.includeUsage || !r.usageInAll {
		return runningUsage{}
	}
	return runningUsage{sampled: map[int]int{}, prompt: func(choice int) int { return len(g.prompts[choice/g.perPrompt]) }}
}

// add counts tokens of an answer.
func (r runningUsage) add(choice int, ev engine.Event) {
	if r.prompt != nil {
		r.sampled[choice] += len(ev.Tokens)
	}
}

// of returns what a chunk of an answer says.
func (r runningUsage) of(choice int) *openaiUsage {
	if r.prompt == nil {
		return nil
	}
	prompt, sampled := r.prompt(choice), r.sampled[choice]
	return &openaiUsage{PromptTokens: prompt, CompletionTokens: sampled, TotalTokens: prompt + sampled}
}

// chatCompletions serves POST /v1/chat/completions.
func (s *server) chatCompletions(c *fiber.Ctx) error {
	var req chatRequest
	if err := decodeBody(s, c, chatFields, &req); err != nil {
		return err
	}
	if len(req.conversation.messages) == 0 {
		return invalid("messages", "messages is empty; it needs at least one message")
	}
	if err := req.check(); err != nil {
		return err
	}
	if err := req.conversation.tools.check(); err != nil {
		return err
	}
	return s.answer(c, work{model: req.model, salt: req.cacheSalt, stream: req.stream, order: func(g *generation) (order, form, error) {
		prompt, err := g.chatPrompt(req.conversation)
		if err != nil {
			return order{}, nil, err
		}
		if err := g.constrainAnswer(&req.conversation.tools, &req.sampling); err != nil {
			return order{}, nil, err
		}
		id, err := req.id(s)
		f := &chatFrames{spelling: spelling{g.Loaded}, report: req.report.order(), prompt: req.prompt.order(), held: heldLogprobs{}, calls: g.reader(&req.conversation.tools, &req.conversation.think, "call_", id), usage: req.includeUsage, running: req.newRunningUsage(g), begun: map[int]bool{}, chunk: chatChunk{
			ID: "chatcmpl-" + id, Object: "chat.completion.chunk", Created: s.now().Unix(), Model: g.name, SystemFingerprint: g.Fingerprint,
		}}
		return order{
			logprobs: f.report, scores: scores(1, f.prompt), prompts: [][]int32{prompt}, n: req.n, sampling: &req.sampling, defaults: openaiDefaults, limits: limits{maxTokens: req.limit()},
			fresh: req.fresh, progress: req.progress && req.stream, priority: req.rank(),
		}, f, err
	}})
}

// chatFrames writes a chat completion.
type chatFrames struct {
	spelling
	report  *engine.Logprobs // nil where they are not wanted
	prompt  *engine.Logprobs // likewise, of the prompt
	held    heldLogprobs
	calls   *callReader
	chunk   chatChunk // what all chunks have in common
	usage   bool      // a chunk with the usage is wanted
	running runningUsage
	begun   map[int]bool // the answers whose role has been sent

	progress *promptProgress // of the next chunk
}

func (f *chatFrames) whole(answers []answer, u engine.Usage) any {
	choices := make([]chatChoice, len(answers))
	for i, a := range answers {
		thoughts, text, calls := f.calls.read(i, a)
		m := chatMessage{Role: "assistant", Reasoning: thoughts}
		if text != "" || len(calls) == 0 {
			m.Content = &text
		}
		for _, c := range calls {
			m.ToolCalls = append(m.ToolCalls, chatCall{c.id, "function", chatFunction{c.name, c.arguments}})
		}
		choices[i] = chatChoice{Index: i, Message: m, FinishReason: f.calls.finish(i, a.finish)}
		if f.report != nil {
			choices[i].Logprobs = &chatLogprobs{Content: f.spelling.tokens(a.logprobs)}
		}
	}
	var ofPrompt []any
	if f.prompt != nil {
		ofPrompt = f.spelling.prompt(answers[0].prompt, f.prompt.Top)
	}
	return chatCompletion{
		PromptLogprobs: ofPrompt,
		ID:             f.chunk.ID, Object: "chat.completion", Created: f.chunk.Created, Model: f.chunk.Model, SystemFingerprint: f.chunk.SystemFingerprint,
		Choices: choices,
		Usage:   usageOf(u).thinking(f.calls.thought()),
	}
}

func (f *chatFrames) event(w *frameWriter, choice int, ev engine.Event) {
	f.held.add(choice, ev.Logprobs)
	f.progress = progressOf(ev)
	switch {
	case !f.begun[choice]:
		f.begun[choice] = true
		f.send(w, choice, roleDelta{Role: "assistant"}, nil)
	case f.progress != nil:
		f.send(w, choice, lastDelta{}, nil) // a second role would be added to the first
	}
	f.progress = nil
	f.running.add(choice, ev)
	for _, p := range f.calls.pieces(choice, ev) {
		switch p.Kind {
		case toolcall.Thought:
			f.send(w, choice, thoughtDelta{Reasoning: p.Text}, nil)
		case toolcall.Text:
			f.send(w, choice, textDelta{Content: p.Text}, nil)
		case toolcall.Begin:
			f.send(w, choice, callDelta{[1]any{callBegin{p.Call, chatCall{f.calls.callID(choice, p.Call), "function", chatFunction{Name: p.Text}}}}}, nil)
		case toolcall.Arguments:
			f.send(w, choice, callDelta{[1]any{callPiece{p.Call, argumentPiece{p.Text}}}}, nil)
		}
	}
	if ev.Finish != "" {
		reason := f.calls.finish(choice, ev.Finish)
		f.send(w, choice, lastDelta{}, &reason)
	}
}

func (f *chatFrames) end(w *frameWriter, u engine.Usage) {
	if f.usage {
		last := f.chunk
		usage := usageOf(u).thinking(f.calls.thought())
		last.Choices, last.Usage = []chunkChoice{}, &usage
		w.sse(last)
	}
	w.sseText("[DONE]")
}

func (f *chatFrames) send(w *frameWriter, choice int, delta any, finish *string) {
	chunk := f.chunk
	of := chunkChoice{Index: choice, Delta: delta, FinishReason: finish}
	if _, begins := delta.(roleDelta); !begins && f.progress == nil && len(f.held[choice]) > 0 {
		of.Logprobs = &chatLogprobs{Content: f.spelling.tokens(f.held.take(choice))}
	}
	chunk.Choices, chunk.Progress, chunk.Usage = []chunkChoice{of}, f.progress, f.running.of(choice)
	w.sse(chunk)
}

// fail tells the error as openai's clients look for it, and ends the stream as all others do.
func (f *chatFrames) fail(w *frameWriter, err *apiError) {
	w.sse(err.openaiBody())
	w.sseText("[DONE]")
}

// serverTiming says where the time went: W3C Server Timing, durations in milliseconds.
func serverTiming(u engine.Usage) string {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return fmt.Sprintf("queue;dur=%.3f, prefill;dur=%.3f, decode;dur=%.3f", ms(u.Queue), ms(u.Prefill), ms(u.Decode))
}
