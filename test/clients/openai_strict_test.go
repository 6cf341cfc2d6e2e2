package clients

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
)

// TestOpenAICompletions: the client's other routes.
func TestOpenAICompletions(t *testing.T) {
	client := openai.NewClient(option.WithBaseURL(start(t).URL+"/v1"), option.WithAPIKey("none"))
	params := openai.CompletionNewParams{
		Model: "tiny", Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("Say it.")}, MaxTokens: openai.Int(8), Temperature: openai.Float(0),
	}
	whole, err := client.Completions.New(t.Context(), params)
	if err != nil || whole.Choices[0].Text == "" || whole.Usage.CompletionTokens != 8 {
		t.Fatalf("completion: %v, %+v", err, whole)
	}
	var text strings.Builder
	stream := client.Completions.NewStreaming(t.Context(), params)
	for stream.Next() {
		for _, c := range stream.Current().Choices {
			text.WriteString(c.Text)
		}
	}
	if stream.Err() != nil || text.String() != whole.Choices[0].Text {
		t.Errorf("streamed %q, %v; whole %q", text.String(), stream.Err(), whole.Choices[0].Text)
	}

	ask := responses.ResponseNewParams{
		Model: "tiny", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("Say it.")}, MaxOutputTokens: openai.Int(20), Temperature: openai.Float(0),
	}
	response, err := client.Responses.New(t.Context(), ask)
	if err != nil || response.OutputText() == "" || response.Status != "incomplete" {
		t.Fatalf("response: %v, %+v", err, response)
	}
	text.Reset()
	var last string
	events := client.Responses.NewStreaming(t.Context(), ask)
	for events.Next() {
		e := events.Current()
		last = e.Type
		if e.Type == "response.output_text.delta" {
			text.WriteString(e.Delta)
		}
	}
	if events.Err() != nil || text.String() != response.OutputText() || last != "response.incomplete" {
		t.Errorf("streamed %q to %s, %v; whole %q", text.String(), last, events.Err(), response.OutputText())
	}
}

// TestOpenAIStrict: keys, a full server, errors inside a stream, a client that gives up.
func TestOpenAIStrict(t *testing.T) {
	s := startStrict(t, "key")
	connect := func(key string) openai.Client {
		return openai.NewClient(option.WithBaseURL(s.URL+"/v1"), option.WithAPIKey(key), option.WithMaxRetries(0))
	}
	client, wrong := connect("key"), connect("wrong")
	endless := openai.ChatCompletionNewParams{
		Model: "tiny", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Go on.")}, Temperature: openai.Float(0),
	}
	short := func() error {
		p := endless
		p.MaxTokens = openai.Int(1)
		_, err := client.Chat.Completions.New(t.Context(), p)
		return err
	}
	is := func(err error, status int, code string) bool {
		var e *openai.Error
		return errors.As(err, &e) && e.StatusCode == status && e.Code == code
	}
	busy := func(err error) bool { return is(err, 503, "overloaded") }

	if _, err := wrong.Models.List(t.Context()); !is(err, 401, "invalid_api_key") {
		t.Errorf("a wrong key: %v", err)
	}
	stream := client.Chat.Completions.NewStreaming(t.Context(), endless)
	if !stream.Next() {
		t.Fatal(stream.Err())
	}
	if err := short(); !busy(err) {
		t.Errorf("beside a stream: %v", err)
	}
	if err := stream.Close(); err != nil {
		t.Error(err)
	}
	until(t, short, busy)

	stream = client.Chat.Completions.NewStreaming(t.Context(), endless)
	for stream.Next() {
	}
	if err := stream.Err(); err == nil || !strings.Contains(err.Error(), "--request-timeout") {
		t.Errorf("inside a stream: %v", err)
	}
	until(t, short, busy)
	if _, err := client.Chat.Completions.New(t.Context(), endless); !is(err, 504, "request_timeout") {
		t.Errorf("too long: %v", err)
	}
	until(t, short, busy)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := client.Chat.Completions.New(ctx, endless); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("given up: %v", err)
	}
	until(t, short, busy)
	if err := limited(t, short); !is(err, 429, "rate_limit_exceeded") {
		t.Errorf("too many: %v", err)
	}
}
