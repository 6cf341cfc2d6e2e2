package routes

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"ortserve/engine"
)

// response is the answer of POST /v1/responses, and part of events of its stream.
type response struct {
	ID                 string             `json:"id"`
	Object             string             `json:"object"`
	CreatedAt          int64              `json:"created_at"`
	Status             string             `json:"status"`
	Background         bool               `json:"background"`
	Error              *responseError     `json:"error"`
	IncompleteDetails  *incompleteDetails `json:"incomplete_details"`
	Instructions       *string            `json:"instructions"`
	MaxOutputTokens    *int64             `json:"max_output_tokens"`
	Model              string             `json:"model"`
	Output             []outputMessage    `json:"output"`
	ParallelToolCalls  bool               `json:"parallel_tool_calls"`
	PreviousResponseID *string            `json:"previous_response_id"`
	Reasoning          responseReasoning  `json:"reasoning"`
	Store              bool               `json:"store"`
	Temperature        float64            `json:"temperature"`
	Text               responseText       `json:"text"`
	ToolChoice         string             `json:"tool_choice"`
	Tools              []struct{}         `json:"tools"`
	TopP               float64            `json:"top_p"`
	Truncation         string             `json:"truncation"`
	Usage              *responseUsage     `json:"usage"`
	User               *string            `json:"user"`
	Metadata           map[string]any     `json:"metadata"`
}

type (
	responseError struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	incompleteDetails struct {
		Reason string `json:"reason"`
	}
	responseReasoning struct {
		Effort  *string `json:"effort"`
		Summary *string `json:"summary"`
	}
	responseText struct {
		Format responseFormat `json:"format"`
	}
	responseFormat struct {
		Type string `json:"type"`
	}
	responseUsage struct {
		InputTokens         int                `json:"input_tokens"`
		InputTokensDetails  promptTokenDetails `json:"input_tokens_details"`
		OutputTokens        int                `json:"output_tokens"`
		OutputTokensDetails reasoningTokens    `json:"output_tokens_details"`
		TotalTokens         int                `json:"total_tokens"`
	}
	reasoningTokens struct {
		ReasoningTokens int `json:"reasoning_tokens"`
	}
	outputMessage struct {
		ID      string       `json:"id"`
		Type    string       `json:"type"`
		Status  string       `json:"status"`
		Role    string       `json:"role"`
		Content []outputText `json:"content"`
	}
	outputText struct {
		Type        string     `json:"type"`
		Annotations []struct{} `json:"annotations"`
		Logprobs    []struct{} `json:"logprobs"`
		Text        string     `json:"text"`
	}
)

// responseEvent is an event of a stream. What an event does not have is left out.
type responseEvent struct {
	Type           string         `json:"type"`
	SequenceNumber int            `json:"sequence_number"`
	Response       *response      `json:"response,omitempty"`
	ItemID         string         `json:"item_id,omitempty"`
	OutputIndex    *int           `json:"output_index,omitempty"`
	ContentIndex   *int           `json:"content_index,omitempty"`
	Item           *outputMessage `json:"item,omitempty"`
	Part           *outputText    `json:"part,omitempty"`
	Delta          string         `json:"delta,omitempty"`
	Text           *string        `json:"text,omitempty"`
	Logprobs       *[]struct{}    `json:"logprobs,omitempty"`
}

// responseFailure is the event of an error inside a stream.
type responseFailure struct {
	Type           string  `json:"type"`
	SequenceNumber int     `json:"sequence_number"`
	Code           *string `json:"code"`
	Message        string  `json:"message"`
	Param          *string `json:"param"`
}

// responses serves POST /v1/responses. Nothing of it is stored.
func (s *server) responses(c *fiber.Ctx) error {
	var req responsesRequest
	if err := decodeBody(s, c, responsesFields, &req); err != nil {
		return err
	}
	conv, err := req.talk()
	if err != nil {
		return err
	}
	return s.answer(c, work{model: req.model, salt: req.cacheSalt, stream: req.stream, order: func(g *generation) (order, form, error) {
		prompt, err := g.chatPrompt(conv)
		if err != nil {
			return order{}, nil, err
		}
		o := order{prompts: [][]int32{prompt}, sampling: &req.sampling, defaults: openaiDefaults}
		if req.maxTokens != nil {
			o.limits.maxTokens = int(max(*req.maxTokens, 0))
		}
		id, err := s.newID()
		return o, &responseFrames{response: g.response(&req, id), item: outputMessage{
			ID: "msg_" + id, Type: "message", Status: "in_progress", Role: "assistant", Content: []outputText{},
		}}, err
	}})
}

// response returns the answer's head.
func (g *generation) response(req *responsesRequest, id string) response {
	p := req.sampling.params(g.Model.Generation, openaiDefaults)
	r := response{
		ID: "resp_" + id, Object: "response", CreatedAt: g.server.now().Unix(), Status: "in_progress",
		Instructions: req.instructions, MaxOutputTokens: req.maxTokens, Model: g.name, Output: []outputMessage{}, ParallelToolCalls: true,
		Temperature: p.Temperature, Text: responseText{responseFormat{"text"}}, ToolChoice: "auto", Tools: []struct{}{}, TopP: p.TopP,
		Truncation: "disabled", User: req.user, Metadata: map[string]any{},
	}
	if req.metadata != nil {
		for _, m := range req.metadata.members {
			r.Metadata[m.name] = m.value.json()
		}
	}
	return r
}

// countResponse serves POST /v1/responses/input_tokens.
func (s *server) countResponse(c *fiber.Ctx) error {
	var req responsesRequest
	if err := decodeBody(s, c, responsesFields, &req); err != nil {
		return err
	}
	conv, err := req.talk()
	if err != nil {
		return err
	}
	return s.countChat(c, req.model, conv)
}

// responseFrames writes a response.
type responseFrames struct {
	response response
	item     outputMessage
	next     int // sequence number
	begun    bool
	text     strings.Builder
	ended    engine.FinishReason
}

func (f *responseFrames) whole(answers []answer, u engine.Usage) any {
	f.finish(answers[0].text, answers[0].finish, u)
	return f.response
}

// finish fills in what is known at the end.
func (f *responseFrames) finish(text string, reason engine.FinishReason, u engine.Usage) {
	f.item.Status = "completed"
	f.response.Status = "completed"
	if reason == engine.FinishLength {
		f.item.Status, f.response.Status = "incomplete", "incomplete"
		f.response.IncompleteDetails = &incompleteDetails{"max_output_tokens"}
	}
	f.item.Content = []outputText{part(text)}
	f.response.Output = []outputMessage{f.item}
	f.response.Usage = &responseUsage{
		InputTokens: u.PromptTokens, InputTokensDetails: promptTokenDetails{u.CachedTokens},
		OutputTokens: u.CompletionTokens, TotalTokens: u.PromptTokens + u.CompletionTokens,
	}
}

// part is the answer's only part.
func part(text string) outputText {
	return outputText{Type: "output_text", Annotations: []struct{}{}, Logprobs: []struct{}{}, Text: text}
}

// send writes an event under the next sequence number.
func (f *responseFrames) send(w *frameWriter, ev responseEvent) {
	ev.SequenceNumber = f.next
	f.next++
	w.named(ev.Type, ev)
}

// inPart writes an event of the answer's only part.
func (f *responseFrames) inPart(w *frameWriter, ev responseEvent) {
	zero := 0
	ev.ItemID, ev.OutputIndex, ev.ContentIndex = f.item.ID, &zero, &zero
	f.send(w, ev)
}

func (f *responseFrames) event(w *frameWriter, _ int, ev engine.Event) {
	if !f.begun {
		f.begun = true
		f.begin(w)
	}
	f.text.WriteString(ev.Text)
	if ev.Text != "" {
		f.inPart(w, responseEvent{Type: "response.output_text.delta", Delta: ev.Text, Logprobs: &[]struct{}{}})
	}
	f.ended = ev.Finish
}

func (f *responseFrames) begin(w *frameWriter) {
	head, item, zero, empty := f.response, f.item, 0, part("")
	f.send(w, responseEvent{Type: "response.created", Response: &head})
	f.send(w, responseEvent{Type: "response.in_progress", Response: &head})
	f.send(w, responseEvent{Type: "response.output_item.added", OutputIndex: &zero, Item: &item})
	f.inPart(w, responseEvent{Type: "response.content_part.added", Part: &empty})
}

func (f *responseFrames) end(w *frameWriter, u engine.Usage) {
	text := f.text.String()
	f.finish(text, f.ended, u)
	whole, zero := part(text), 0
	f.inPart(w, responseEvent{Type: "response.output_text.done", Text: &text, Logprobs: &[]struct{}{}})
	f.inPart(w, responseEvent{Type: "response.content_part.done", Part: &whole})
	f.send(w, responseEvent{Type: "response.output_item.done", OutputIndex: &zero, Item: &f.item})
	f.send(w, responseEvent{Type: "response." + f.response.Status, Response: &f.response})
}

func (f *responseFrames) fail(w *frameWriter, err *apiError) {
	body := err.openaiBody().Error
	w.named("error", responseFailure{"error", f.next, body.Code, body.Message, body.Param})
	f.next++
	f.response.Status, f.response.Error = "failed", &responseError{Code: "server_error", Message: err.message}
	f.send(w, responseEvent{Type: "response.failed", Response: &f.response})
}
