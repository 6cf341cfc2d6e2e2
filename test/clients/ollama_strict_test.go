package clients

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ollama/ollama/api"
)

// TestOllamaChat: the client's other routes.
func TestOllamaChat(t *testing.T) {
	client := ollamaClient(t)
	chat := func(stream *bool, messages ...api.Message) (text string, last api.ChatResponse) {
		t.Helper()
		err := client.Chat(t.Context(), &api.ChatRequest{
			Model: "tiny", Messages: messages, Stream: stream, Options: map[string]any{"temperature": 0, "num_predict": 20},
		}, func(r api.ChatResponse) error {
			text += r.Message.Content
			last = r
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return text, last
	}
	no := false
	hi := api.Message{Role: "user", Content: "Say it."}
	text, last := chat(nil, hi)
	if text == "" || !last.Done || last.DoneReason != "length" || last.EvalCount != 20 || last.PromptEvalCount == 0 {
		t.Errorf("streamed %q, last %+v", text, last)
	}
	if whole, _ := chat(&no, hi); whole != text {
		t.Errorf("whole %q, streamed %q", whole, text)
	}
	if _, last := chat(nil, hi, api.Message{Role: "assistant", Content: text}, api.Message{Role: "user", Content: "And?"}); !last.Done {
		t.Errorf("a second turn: %+v", last)
	}
	if _, last := chat(nil); last.DoneReason != "load" {
		t.Errorf("no messages: %+v", last)
	}

	show, err := client.Show(t.Context(), &api.ShowRequest{Model: "tiny"})
	if err != nil || show.ModelInfo["llama.context_length"] != 512.0 || len(show.Capabilities) == 0 {
		t.Errorf("show: %v, %+v", err, show)
	}
	running, err := client.ListRunning(t.Context())
	if err != nil || len(running.Models) != 1 || running.Models[0].ContextLength != 512 || running.Models[0].ExpiresAt.IsZero() {
		t.Errorf("ps: %v, %+v", err, running)
	}
	var e api.StatusError
	if _, err := client.Show(t.Context(), &api.ShowRequest{Model: "other"}); !errors.As(err, &e) || e.StatusCode != http.StatusNotFound {
		t.Errorf("show of another: %v", err)
	}
	if _, err := client.Embed(t.Context(), &api.EmbedRequest{Model: "tiny", Input: "hi"}); !errors.As(err, &e) || e.StatusCode != http.StatusBadRequest {
		t.Errorf("embed: %v", err)
	}
}

// keyed sends a key with every request, which the client does only for hosts of its own.
type keyed string

func (k keyed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(k))
	return http.DefaultTransport.RoundTrip(r)
}

// TestOllamaStrict: keys, a full server, errors inside a stream, a client that gives up.
func TestOllamaStrict(t *testing.T) {
	base, err := url.Parse(startStrict(t, "key").URL)
	if err != nil {
		t.Fatal(err)
	}
	connect := func(key string) *api.Client { return api.NewClient(base, &http.Client{Transport: keyed(key)}) }
	client := connect("key")
	generate := func(ctx context.Context, options map[string]any, stream bool, each func() error) error {
		options["temperature"] = 0
		return client.Generate(ctx, &api.GenerateRequest{Model: "tiny", Prompt: "Go on.", Stream: &stream, Options: options}, func(api.GenerateResponse) error { return each() })
	}
	nothing := func() error { return nil }
	short := func() error { return generate(t.Context(), map[string]any{"num_predict": 1}, false, nothing) }
	is := func(err error, status int) bool {
		var e api.StatusError
		return errors.As(err, &e) && e.StatusCode == status
	}
	busy := func(err error) bool { return is(err, http.StatusServiceUnavailable) }

	var unauthorized api.AuthorizationError
	if _, err := connect("wrong").List(t.Context()); !errors.As(err, &unauthorized) || unauthorized.StatusCode != http.StatusUnauthorized {
		t.Errorf("a wrong key: %T %v", err, err)
	}
	enough := errors.New("enough")
	err = generate(t.Context(), map[string]any{}, true, func() error {
		if err := short(); !busy(err) {
			t.Errorf("beside a stream: %v", err)
		}
		return enough
	})
	if !errors.Is(err, enough) {
		t.Errorf("left: %v", err)
	}
	until(t, short, busy)
	if err := generate(t.Context(), map[string]any{}, true, nothing); err == nil || !strings.Contains(err.Error(), "--request-timeout") {
		t.Errorf("inside a stream: %v", err)
	}
	until(t, short, busy)
	if err := generate(t.Context(), map[string]any{}, false, nothing); !is(err, http.StatusGatewayTimeout) {
		t.Errorf("too long: %v", err)
	}
	until(t, short, busy)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := generate(ctx, map[string]any{}, false, nothing); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("given up: %v", err)
	}
	until(t, short, busy)
	if err := client.Delete(t.Context(), &api.DeleteRequest{Model: "tiny"}); !is(err, http.StatusForbidden) {
		t.Errorf("with a key that is no admin's: %v", err)
	}
	if err := limited(t, short); !is(err, http.StatusTooManyRequests) {
		t.Errorf("too many: %v", err)
	}
}
