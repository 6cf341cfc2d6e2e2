package test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type chatUsage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

type chatCompletion struct {
	ID                string `json:"id"`
	Object            string `json:"object"`
	Created           int64  `json:"created"`
	Model             string `json:"model"`
	SystemFingerprint string `json:"system_fingerprint"`
	Choices           []struct {
		Index   int `json:"index"`
		Message struct {
			Role    string `json:"role"`
			Content string `json:"content"`
		} `json:"message"`
		Delta struct {
			Role    string  `json:"role"`
			Content *string `json:"content"`
		} `json:"delta"`
		FinishReason *string `json:"finish_reason"`
	} `json:"choices"`
	Usage *chatUsage `json:"usage"`
}

// chatStream reads a stream of chunks and checks its form to the byte: events of one "data: " line and a blank line, the
// role first and once, then text, then the finish reason, then the usage if it was asked for, then [DONE].
func chatStream(t *testing.T, a answer, wantUsage bool) (text, finish string, last *chatUsage) {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	if got := a.header.Get("Content-Type"); !strings.HasPrefix(got, "text/event-stream") {
		t.Errorf("Content-Type is %q", got)
	}
	body, ok := strings.CutSuffix(a.body, "data: [DONE]\n\n")
	if !ok {
		t.Fatalf("the stream does not end with [DONE] and a blank line: %q", a.body)
	}
	var head chatCompletion
	roles := 0
	for i, event := range strings.SplitAfter(body, "\n\n") {
		if event == "" || strings.HasPrefix(event, ":") {
			continue
		}
		data, ok := strings.CutPrefix(event, "data: ")
		if !ok || strings.Count(event, "\n") != 2 {
			t.Fatalf("event %d is %q", i, event)
		}
		var c chatCompletion
		if err := json.Unmarshal([]byte(data), &c); err != nil {
			t.Fatalf("%v in %s", err, data)
		}
		if i == 0 {
			head = c
		}
		if c.ID != head.ID || c.Created != head.Created || c.Model != head.Model || c.SystemFingerprint != head.SystemFingerprint ||
			c.Object != "chat.completion.chunk" {
			t.Errorf("event %d has another head than the first: %s", i, data)
		}
		if strings.Contains(data, `"error"`) {
			t.Errorf("a chunk has the key error: %s", data)
		}
		if len(c.Choices) == 0 {
			last = c.Usage
			continue
		}
		choice := c.Choices[0]
		if finish != "" || last != nil {
			t.Errorf("event %d comes after the finish reason: %s", i, data)
		}
		if choice.Delta.Role != "" {
			if i != 0 || choice.Delta.Role != "assistant" {
				t.Errorf("event %d has the role %q", i, choice.Delta.Role)
			}
			roles++
		}
		if choice.Delta.Content != nil {
			text += *choice.Delta.Content
		}
		if choice.FinishReason != nil {
			finish = *choice.FinishReason
		}
	}
	if roles != 1 {
		t.Errorf("%d events have a role, want the first alone", roles)
	}
	if !strings.HasPrefix(head.ID, "chatcmpl-") || head.Created == 0 || head.SystemFingerprint == "" {
		t.Errorf("incomplete head: %+v", head)
	}
	if (last != nil) != wantUsage {
		t.Errorf("usage is %+v, wanted: %v", last, wantUsage)
	}
	return text, finish, last
}

func TestChatCompletion(t *testing.T) {
	s := startTiny(t)
	url := s.URL + "/v1/chat/completions"
	const body = `{"model":"tiny","messages":[{"role":"user","content":"Say it."}],"max_tokens":20,"temperature":0`

	whole := decode[chatCompletion](t, post(t, url, body+"}"))
	if whole.Object != "chat.completion" || whole.Model != "tiny" || len(whole.Choices) != 1 || whole.Usage == nil {
		t.Fatalf("incomplete: %+v", whole)
	}
	choice := whole.Choices[0]
	if choice.Message.Role != "assistant" || choice.Message.Content == "" || choice.FinishReason == nil || *choice.FinishReason != "length" {
		t.Errorf("choice is %+v, want some text of an assistant that max_tokens ended", choice)
	}
	if u := *whole.Usage; u.CompletionTokens != 20 || u.PromptTokens == 0 || u.TotalTokens != u.PromptTokens+20 {
		t.Errorf("usage is %+v, want 20 completion tokens and a sum", u)
	}

	text, finish, _ := chatStream(t, post(t, url, body+`,"stream":true}`), false)
	if text != choice.Message.Content || finish != "length" {
		t.Errorf("streamed %q (%s), not streamed %q", text, finish, choice.Message.Content)
	}
	_, _, usage := chatStream(t, post(t, url, body+`,"stream":true,"stream_options":{"include_usage":true}}`), true)
	if diff := cmp.Diff(whole.Usage, usage); diff != "" {
		t.Errorf("usage of the stream (-not streamed +streamed):\n%s", diff)
	}

	// No model named: the first one serves.
	unnamed := decode[chatCompletion](t, post(t, url, strings.Replace(body, `"model":"tiny",`, "", 1)+"}"))
	if strings.TrimSuffix(unnamed.Model, ":latest") != "tiny" || unnamed.Choices[0].Message.Content != choice.Message.Content {
		t.Errorf("without a name %q answered %q", unnamed.Model, unnamed.Choices[0].Message.Content)
	}

	// The text ends before a stop string.
	stop := regexp.MustCompile(`[a-z]{2}`).FindString(choice.Message.Content)
	if stop == "" {
		t.Fatalf("no letters in %q", choice.Message.Content)
	}
	text, finish, _ = chatStream(t, post(t, url, body+`,"stream":true,"stop":`+marshal(t, stop)+"}"), false)
	if want, _, _ := strings.Cut(choice.Message.Content, stop); text != want || finish != "stop" {
		t.Errorf("with stop %q streamed %q (%s), want %q (stop)", stop, text, finish, want)
	}
}

func TestSeed(t *testing.T) {
	s := startTiny(t)
	say := func(seed string) string {
		t.Helper()
		c := decode[chatCompletion](t, post(t, s.URL+"/v1/chat/completions",
			`{"messages":[{"role":"user","content":"Say it."}],"max_tokens":30,"temperature":2,"seed":`+seed+`}`))
		return c.Choices[0].Message.Content
	}
	if a, b := say("7"), say("7"); a != b {
		t.Errorf("one seed said %q and %q", a, b)
	}
	if a, b := say("7"), say("8"); a == b {
		t.Errorf("two seeds said the same: %q", a)
	}
}

func TestListsOfModels(t *testing.T) {
	s := startTiny(t)
	type list struct {
		Object string `json:"object"`
		Data   []struct {
			ID     string `json:"id"`
			Object string `json:"object"`
		} `json:"data"`
	}
	l := decode[list](t, get(t, s.URL+"/v1/models"))
	if l.Object != "list" || len(l.Data) != 1 || l.Data[0].Object != "model" || strings.TrimSuffix(l.Data[0].ID, ":latest") != "tiny" {
		t.Errorf("/v1/models is %+v", l)
	}
	type tags struct {
		Models []struct {
			Name       string `json:"name"`
			Model      string `json:"model"`
			ModifiedAt string `json:"modified_at"`
			Size       int64  `json:"size"`
			Digest     string `json:"digest"`
		} `json:"models"`
	}
	m := decode[tags](t, get(t, s.URL+"/api/tags"))
	if len(m.Models) != 1 || strings.TrimSuffix(m.Models[0].Name, ":latest") != "tiny" || m.Models[0].Size == 0 || m.Models[0].Digest == "" {
		t.Errorf("/api/tags is %+v", m)
	}
	version := decode[map[string]string](t, get(t, s.URL+"/api/version"))
	if v := version["version"]; strings.Count(v, ".") != 2 || strings.Trim(v, "0123456789.") != "" {
		t.Errorf("/api/version is %v, want three numbers that clients can compare", version)
	}
	if a := get(t, s.URL+"/"); a.status != http.StatusOK || !strings.Contains(a.body, "Ollama is running") {
		t.Errorf("/ is %d %q", a.status, a.body)
	}
	if a := call(t, http.MethodHead, s.URL+"/", ""); a.status != http.StatusOK {
		t.Errorf("HEAD / is %d", a.status)
	}
	if a := get(t, s.URL+"/livez"); a.status != http.StatusOK {
		t.Errorf("/livez is %d %q", a.status, a.body)
	}
}
