package clients

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ollama/ollama/api"

	"ortserve/internal/testenv"
	"ortserve/internal/testhub"
)

// TestOllamaStore: Ollama's client brings a model from a hub, copies it, makes another of it, runs and unloads that, and deletes all.
func TestOllamaStore(t *testing.T) {
	hub := testhub.New(t, testhub.TinyModel(t))
	t.Setenv("ORTSERVE_ONNXRUNTIME", testenv.Runtime(t)) // found in the usual home
	t.Setenv("ORTSERVE_HOME", t.TempDir())
	t.Setenv("HF_ENDPOINT", hub.URL)
	base, err := url.Parse(testenv.Start(t, binary).URL)
	if err != nil {
		t.Fatal(err)
	}
	client := api.NewClient(base, http.DefaultClient)
	names := func(want ...string) {
		t.Helper()
		list, err := client.List(t.Context())
		var got []string
		if err == nil {
			for _, m := range list.Models {
				got = append(got, m.Name)
			}
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("the list is %q, %v, want %q", got, err, want)
		}
	}
	names()

	var said []string
	var most int64
	if err := client.Pull(t.Context(), &api.PullRequest{Model: testhub.Repo}, func(p api.ProgressResponse) error {
		said = append(said, p.Status)
		if p.Digest != "" {
			most = max(most, p.Completed)
		}
		return nil
	}); err != nil {
		t.Fatalf("pull: %v", err)
	}
	if said[0] != "pulling manifest" || said[len(said)-1] != "success" || most == 0 {
		t.Errorf("pull says %q, at most %d bytes of a file", said, most)
	}
	names("org/tiny-onnx:latest")
	if err := client.Copy(t.Context(), &api.CopyRequest{Source: testhub.Repo, Destination: "tiny"}); err != nil {
		t.Errorf("copy: %v", err)
	}
	if err := client.Create(t.Context(), &api.CreateRequest{
		Model: "poet", From: "tiny", System: "You are a poet.", Parameters: map[string]any{"temperature": 0, "num_ctx": 64},
	}, func(api.ProgressResponse) error { return nil }); err != nil {
		t.Errorf("create: %v", err)
	}
	names("org/tiny-onnx:latest", "poet:latest", "tiny:latest")
	if shown, err := client.Show(t.Context(), &api.ShowRequest{Model: "poet"}); err != nil || shown.System != "You are a poet." ||
		shown.Details.ParentModel != "tiny:latest" || !strings.Contains(shown.Parameters, "num_ctx") {
		t.Errorf("show: %+v, %v", shown, err)
	}

	stream := false
	evaluated := map[string]int{}
	for _, name := range []string{"tiny", "poet"} {
		if err := client.Generate(t.Context(), &api.GenerateRequest{
			Model: name, Prompt: "1 2", Stream: &stream, Options: map[string]any{"num_predict": 3}, KeepAlive: &api.Duration{Duration: time.Hour},
		}, func(r api.GenerateResponse) error {
			evaluated[name] = r.PromptEvalCount
			return nil
		}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if evaluated["poet"] <= evaluated["tiny"] {
		t.Errorf("prompts of %v tokens: the system prompt is not in", evaluated)
	}
	running, err := client.ListRunning(t.Context())
	if err != nil || len(running.Models) != 2 || running.Models[0].Name != "poet:latest" || running.Models[0].ContextLength != 64 ||
		time.Until(running.Models[0].ExpiresAt) < 50*time.Minute || running.Models[0].Size == 0 {
		t.Errorf("running: %+v, %v", running, err)
	}
	reason := ""
	if err := client.Generate(t.Context(), &api.GenerateRequest{Model: "poet", KeepAlive: &api.Duration{}}, func(r api.GenerateResponse) error {
		reason = r.DoneReason
		return nil
	}); err != nil || reason != "unload" {
		t.Errorf("unload: %q, %v", reason, err)
	}
	if running, err := client.ListRunning(t.Context()); err != nil || len(running.Models) != 1 {
		t.Errorf("running after it: %+v, %v", running, err)
	}

	for _, name := range []string{testhub.Repo, "tiny", "poet"} {
		if err := client.Delete(t.Context(), &api.DeleteRequest{Model: name}); err != nil {
			t.Errorf("delete %s: %v", name, err)
		}
	}
	names()
	var status api.StatusError
	if err := client.Delete(t.Context(), &api.DeleteRequest{Model: "tiny"}); !errors.As(err, &status) || status.StatusCode != http.StatusNotFound {
		t.Errorf("delete of what is not there: %v", err)
	}
	if err := client.Pull(t.Context(), &api.PullRequest{Model: "org/absent"}, func(api.ProgressResponse) error { return nil }); err == nil || !strings.Contains(err.Error(), "no such repository") {
		t.Errorf("pull of what is not there: %v", err)
	}
}
