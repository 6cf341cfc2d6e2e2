package clients

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ollama/ollama/api"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/shared"
)

// TestOpenAITools: the client gets a call that is forced, typed, whole and streamed, and sends its result back.
func TestOpenAITools(t *testing.T) {
	client := openai.NewClient(option.WithBaseURL(start(t).URL+"/v1"), option.WithAPIKey("none"))
	params := openai.ChatCompletionNewParams{
		Model:       "tiny",
		Messages:    []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Go.")},
		Temperature: openai.Float(0),
		Tools: []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
			Name: "get",
			Parameters: shared.FunctionParameters{
				"type": "object", "properties": map[string]any{"city": map[string]any{"enum": []string{"Bern"}}}, "required": []string{"city"},
			},
		})},
		ToolChoice: openai.ToolChoiceOptionFunctionToolChoice(openai.ChatCompletionNamedToolChoiceFunctionParam{Name: "get"}),
	}
	check := func(c openai.ChatCompletionChoice) {
		t.Helper()
		var args struct{ City string }
		calls := c.Message.ToolCalls
		if len(calls) != 1 || calls[0].Function.Name != "get" || calls[0].ID == "" || c.FinishReason != "tool_calls" ||
			json.Unmarshal([]byte(calls[0].Function.Arguments), &args) != nil || args.City != "Bern" {
			t.Errorf("%+v", c)
		}
	}
	whole, err := client.Chat.Completions.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	check(whole.Choices[0])
	stream := client.Chat.Completions.NewStreaming(t.Context(), params)
	var acc openai.ChatCompletionAccumulator
	finished := 0
	for stream.Next() {
		if !acc.AddChunk(stream.Current()) {
			t.Errorf("the client's accumulator refuses %s", stream.Current().RawJSON())
		}
		if call, ok := acc.JustFinishedToolCall(); ok && call.Name == "get" {
			finished++
		}
	}
	if err := stream.Err(); err != nil || finished != 1 {
		t.Fatalf("%v, %d calls finished", err, finished)
	}
	check(acc.Choices[0])
	params.Messages = append(params.Messages, whole.Choices[0].Message.ToParam(), openai.ToolMessage("Sun.", whole.Choices[0].Message.ToolCalls[0].ID))
	params.Tools, params.ToolChoice, params.MaxTokens = nil, openai.ChatCompletionToolChoiceOptionUnionParam{}, openai.Int(5)
	if a, err := client.Chat.Completions.New(t.Context(), params); err != nil || a.Usage.CompletionTokens != 5 {
		t.Errorf("the result sent back: %v, %v", a, err)
	}
}

// forced adds to a request what Ollama's API has no field for: by it the server forces a call.
type forced struct{}

func (forced) RoundTrip(r *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if s := string(b); strings.Contains(s, `"tools"`) {
		b = []byte(strings.TrimSuffix(strings.TrimSpace(s), "}") + `,"tool_choice":"required","parallel_tool_calls":false}`)
	}
	r = r.Clone(r.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
	return http.DefaultTransport.RoundTrip(r)
}

// TestOllamaTools: the client gets a call, typed, whole and streamed, and sends its result back.
func TestOllamaTools(t *testing.T) {
	base, err := url.Parse(start(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	client := api.NewClient(base, &http.Client{Transport: forced{}})
	var tools api.Tools
	if err := json.Unmarshal([]byte(`[{"type":"function","function":{"name":"get","parameters":{"type":"object","required":["city"],"properties":{"city":{"type":"string","enum":["Bern"]}}}}}]`), &tools); err != nil {
		t.Fatal(err)
	}
	messages := []api.Message{{Role: "user", Content: "Go."}}
	for _, stream := range []bool{false, true} {
		var calls []api.ToolCall
		var last api.ChatResponse
		err := client.Chat(t.Context(), &api.ChatRequest{Model: "tiny", Messages: messages, Tools: tools, Stream: &stream, Options: map[string]any{"temperature": 0}},
			func(r api.ChatResponse) error {
				calls = append(calls, r.Message.ToolCalls...)
				last = r
				return nil
			})
		if err != nil {
			t.Fatal(err)
		}
		if len(calls) != 1 || calls[0].Function.Name != "get" || calls[0].Function.Arguments.ToMap()["city"] != "Bern" || calls[0].ID == "" || last.DoneReason != "stop" {
			t.Errorf("stream %v: %+v, last %+v", stream, calls, last)
		}
		back := append(messages[:1:1], api.Message{Role: "assistant", ToolCalls: calls}, api.Message{Role: "tool", ToolName: "get", ToolCallID: calls[0].ID, Content: "Sun."})
		no := false
		err = client.Chat(t.Context(), &api.ChatRequest{Model: "tiny", Messages: back, Stream: &no, Options: map[string]any{"num_predict": 5}}, func(r api.ChatResponse) error {
			last = r
			return nil
		})
		if err != nil || last.EvalCount != 5 {
			t.Errorf("the result sent back: %v, %+v", err, last)
		}
	}
}
