package clients

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/ollama/ollama/api"
)

func ollamaClient(t *testing.T) *api.Client {
	t.Helper()
	base, err := url.Parse(start(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	return api.NewClient(base, http.DefaultClient)
}

func TestOllama(t *testing.T) {
	client := ollamaClient(t)
	if err := client.Heartbeat(t.Context()); err != nil {
		t.Errorf("heartbeat: %v", err)
	}
	if v, err := client.Version(t.Context()); err != nil || v == "" {
		t.Errorf("version %q, %v", v, err)
	}
	list, err := client.List(t.Context())
	if err != nil || len(list.Models) != 1 || list.Models[0].ModifiedAt.IsZero() {
		t.Fatalf("list: %+v, %v", list, err)
	}

	generate := func(stream *bool) (text string, pieces int, last api.GenerateResponse) {
		t.Helper()
		err := client.Generate(t.Context(), &api.GenerateRequest{
			Model: "tiny", Prompt: "Say it.", System: "Be brief.", Stream: stream,
			Options: map[string]any{"temperature": 0, "num_predict": 20},
		}, func(r api.GenerateResponse) error {
			text += r.Response
			pieces++
			last = r
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return text, pieces, last
	}
	text, pieces, last := generate(nil)
	if text == "" || pieces < 2 || !last.Done || last.DoneReason != "length" || last.EvalCount != 20 || last.PromptEvalCount == 0 ||
		last.TotalDuration <= 0 || len(last.Context) == 0 {
		t.Errorf("streamed %q in %d pieces, last %+v", text, pieces, last)
	}
	no := false
	if whole, pieces, _ := generate(&no); whole != text || pieces != 1 {
		t.Errorf("not streamed %q in %d pieces, streamed %q", whole, pieces, text)
	}

	// A client that stops in the middle.
	stop := errors.New("enough")
	err = client.Generate(t.Context(), &api.GenerateRequest{Model: "tiny", Prompt: "Go on."}, func(api.GenerateResponse) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("stopped in the middle: %v", err)
	}
}

func TestOllamaErrors(t *testing.T) {
	client := ollamaClient(t)
	f := func(r api.GenerateRequest, status int, says string) {
		t.Helper()
		err := client.Generate(context.Background(), &r, func(r api.GenerateResponse) error {
			t.Errorf("an answer: %+v", r)
			return nil
		})
		var e api.StatusError
		if !errors.As(err, &e) {
			t.Errorf("error is %v, want one of the client's type", err)
			return
		}
		if e.StatusCode != status || !strings.Contains(e.ErrorMessage, says) {
			t.Errorf("%d %q, want %d and %q", e.StatusCode, e.ErrorMessage, status, says)
		}
	}
	f(api.GenerateRequest{Model: "other", Prompt: "Hi"}, http.StatusNotFound, "'other' not found")
	f(api.GenerateRequest{Model: "tiny", Prompt: "Hi", Options: map[string]any{"top_k": "x"}}, http.StatusBadRequest, "options.top_k")
	f(api.GenerateRequest{Model: "tiny", Prompt: "Hi", Suffix: "there"}, http.StatusBadRequest, "suffix")
	f(api.GenerateRequest{Model: "tiny", Prompt: strings.Repeat("1 2 3 ", 500)}, http.StatusBadRequest, "512 tokens")
	f(api.GenerateRequest{Model: "tiny", Prompt: strings.Repeat("x", 17<<20)}, http.StatusRequestEntityTooLarge, "bytes")

	nobody := api.NewClient(&url.URL{Scheme: "http", Host: "127.0.0.1:9"}, http.DefaultClient)
	if err := nobody.Heartbeat(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("where nobody listens: %v", err)
	}
}
