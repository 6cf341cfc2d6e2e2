package routes

import (
	"encoding/json"

	"github.com/gofiber/fiber/v2"
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
	Output             []outputItem       `json:"output"`
	ParallelToolCalls  bool               `json:"parallel_tool_calls"`
	PreviousResponseID *string            `json:"previous_response_id"`
	Reasoning          responseReasoning  `json:"reasoning"`
	Store              bool               `json:"store"`
	Temperature        float64            `json:"temperature"`
	Text               responseText       `json:"text"`
	ToolChoice         any                `json:"tool_choice"`
	Tools              []responseTool     `json:"tools"`
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
		Format any `json:"format"` // as it was sent
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
	responseTool struct {
		Type        string  `json:"type"`
		Name        string  `json:"name"`
		Description *string `json:"description"`
		Parameters  any     `json:"parameters"`
		Strict      bool    `json:"strict"`
	}
	namedTool struct {
		Type string `json:"type"`
		Name string `json:"name"`
	}

	// outputItem is what the model thinks, a message, or a call of a tool.
	outputItem struct {
		ID        string        `json:"id"`
		Type      string        `json:"type"`
		Status    string        `json:"status"`
		Role      string        `json:"role,omitempty"`
		Summary   *[]struct{}   `json:"summary,omitempty"` // of thoughts: none is made
		Content   *[]outputText `json:"content,omitempty"`
		Arguments *string       `json:"arguments,omitempty"`
		CallID    string        `json:"call_id,omitempty"`
		Name      string        `json:"name,omitempty"`
	}
	outputText struct {
		Type        string          `json:"type"`
		Annotations *[]struct{}     `json:"annotations,omitempty"` // of a message's part, as logprobs
		Logprobs    *[]tokenLogprob `json:"logprobs,omitempty"`
		Text        string          `json:"text"`
	}
)

// responseEvent is an event of a stream. What an event does not have is left out.
type responseEvent struct {
	Type           string          `json:"type"`
	SequenceNumber int             `json:"sequence_number"`
	Response       *response       `json:"response,omitempty"`
	ItemID         string          `json:"item_id,omitempty"`
	OutputIndex    *int            `json:"output_index,omitempty"`
	ContentIndex   *int            `json:"content_index,omitempty"`
	Item           *outputItem     `json:"item,omitempty"`
	Part           *outputText     `json:"part,omitempty"`
	Delta          string          `json:"delta,omitempty"`
	Text           *string         `json:"text,omitempty"`
	Logprobs       *[]tokenLogprob `json:"logprobs,omitempty"`
	Name           string          `json:"name,omitempty"`
	Arguments      *string         `json:"arguments,omitempty"`
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
		if err := g.constrainAnswer(&conv.tools, &req.sampling); err != nil {
			return order{}, nil, err
		}
		req.report.on = req.report.on || req.report.top != nil && *req.report.top > 0
		o := order{logprobs: req.report.order(), prompts: [][]int32{prompt}, sampling: &req.sampling, defaults: openaiDefaults}
		if req.maxTokens != nil {
			o.limits.maxTokens = int(max(*req.maxTokens, 0))
		}
		id, err := s.newID()
		return o, &responseFrames{spelling: spelling{g.Loaded}, held: heldLogprobs{}, response: g.response(&req, id), id: id, calls: g.reader(&req.tools, &req.think, "call_", id)}, err
	}})
}

// response returns the answer's head.
func (g *generation) response(req *responsesRequest, id string) response {
	p := req.sampling.params(g.Model.Generation, openaiDefaults)
	r := response{
		ID: "resp_" + id, Object: "response", CreatedAt: g.server.now().Unix(), Status: "in_progress",
		Instructions: req.instructions, MaxOutputTokens: req.maxTokens, Model: g.name, Output: []outputItem{}, ParallelToolCalls: !req.tools.single,
		Temperature: p.Temperature, Text: responseText{req.textFormat()}, ToolChoice: req.tools.echo(), Tools: []responseTool{}, TopP: p.TopP,
		Truncation: "disabled", User: req.user, Metadata: map[string]any{},
	}
	for _, t := range req.tools.all {
		of := responseTool{Type: "function", Name: t.name, Parameters: t.parameterSchema().json(), Strict: t.strict}
		if t.description != "" {
			of.Description = &t.description
		}
		r.Tools = append(r.Tools, of)
	}
	if req.metadata != nil {
		for _, m := range req.metadata.members {
			r.Metadata[m.name] = m.value.json()
		}
	}
	return r
}

// echo is the choice as responses tell it.
func (t *toolbox) echo() any {
	if t.choice == chooseNamed {
		return namedTool{"function", t.named}
	}
	return map[toolChoice]string{chooseAuto: "auto", chooseNone: "none", chooseRequired: "required"}[t.choice]
}

// textFormat is the format of the text, as the answer tells it.
func (r *responsesRequest) textFormat() json.RawMessage {
	if r.format == nil {
		return json.RawMessage(`{"type":"text"}`)
	}
	return r.format.appendJSON(nil)
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
