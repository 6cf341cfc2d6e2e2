package clients

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

func request() openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model:       "tiny",
		Messages:    []openai.ChatCompletionMessageParamUnion{openai.SystemMessage("Be brief."), openai.UserMessage("Say it.")},
		MaxTokens:   openai.Int(20),
		Temperature: openai.Float(0),
	}
}

func TestOpenAI(t *testing.T) {
	s := start(t)
	client := openai.NewClient(option.WithBaseURL(s.URL+"/v1"), option.WithAPIKey("none"))

	whole, err := client.Chat.Completions.New(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}
	text := whole.Choices[0].Message.Content
	if text == "" || whole.Choices[0].FinishReason != "length" || whole.Usage.CompletionTokens != 20 {
		t.Errorf("not streamed: %s", whole.RawJSON())
	}

	params := request()
	params.StreamOptions.IncludeUsage = openai.Bool(true)
	stream := client.Chat.Completions.NewStreaming(t.Context(), params)
	var acc openai.ChatCompletionAccumulator
	for stream.Next() {
		if !acc.AddChunk(stream.Current()) {
			t.Errorf("the client's accumulator refuses %s", stream.Current().RawJSON())
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	if got := acc.Choices[0].Message; got.Content != text || got.Role != "assistant" {
		t.Errorf("streamed %q of %q, not streamed %q", got.Content, got.Role, text)
	}
	if acc.Choices[0].FinishReason != "length" || acc.Usage.CompletionTokens != 20 || acc.Usage.PromptTokens != whole.Usage.PromptTokens {
		t.Errorf("streamed: finish %q, usage %+v", acc.Choices[0].FinishReason, acc.Usage)
	}

	models, err := client.Models.List(t.Context())
	if err != nil || len(models.Data) != 1 {
		t.Fatalf("models: %+v, %v", models, err)
	}
	if m, err := client.Models.Get(t.Context(), models.Data[0].ID); err != nil || m.ID != models.Data[0].ID {
		t.Errorf("model %q: %+v, %v", models.Data[0].ID, m, err)
	}
}

func TestOpenAIErrors(t *testing.T) {
	s := start(t)
	client := openai.NewClient(option.WithBaseURL(s.URL+"/v1"), option.WithAPIKey("none"), option.WithMaxRetries(0))
	f := func(change func(p *openai.ChatCompletionNewParams), status int, param, code string) {
		t.Helper()
		p := request()
		change(&p)
		_, whole := client.Chat.Completions.New(t.Context(), p)
		stream := client.Chat.Completions.NewStreaming(t.Context(), p)
		for stream.Next() {
			t.Errorf("a chunk: %s", stream.Current().RawJSON())
		}
		for _, err := range []error{whole, stream.Err()} {
			var e *openai.Error
			if !errors.As(err, &e) {
				t.Errorf("error is %v, want one of the client's type", err)
				continue
			}
			if e.StatusCode != status || e.Param != param || e.Code != code || e.Message == "" {
				t.Errorf("%d, param %q, code %q: %s; want %d, %q, %q", e.StatusCode, e.Param, e.Code, e.Message, status, param, code)
			}
		}
	}
	f(func(p *openai.ChatCompletionNewParams) { p.Model = "other" }, 404, "model", "model_not_found")
	f(func(p *openai.ChatCompletionNewParams) { p.Messages = nil }, 400, "messages", "")
	f(func(p *openai.ChatCompletionNewParams) { p.TopP = openai.Float(2) }, 400, "top_p", "")
	f(func(p *openai.ChatCompletionNewParams) { p.N = openai.Int(99) }, 400, "n", "")
	f(func(p *openai.ChatCompletionNewParams) { p.Modalities = []string{"audio"} }, 400, "modalities", "unsupported_parameter")
	f(func(p *openai.ChatCompletionNewParams) {
		p.Messages = []openai.ChatCompletionMessageParamUnion{openai.UserMessage(strings.Repeat("1 2 3 ", 500))}
	}, 400, "", "context_length_exceeded")
	f(func(p *openai.ChatCompletionNewParams) {
		p.Messages = []openai.ChatCompletionMessageParamUnion{openai.UserMessage(strings.Repeat("x", 17<<20))}
	}, 413, "", "request_too_large")

	var e *openai.Error
	if _, err := client.Models.List(t.Context(), option.WithHeader("Origin", "http://evil.example")); !errors.As(err, &e) || e.StatusCode != 403 {
		t.Errorf("from a foreign page: %v", err)
	}
	if _, err := client.Models.List(t.Context(), option.WithBaseURL("http://127.0.0.1:9/v1")); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("where nobody listens: %v", err)
	}
}
