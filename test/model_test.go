package test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"ortserve/internal/testenv"
)

// TestDefaultModel is the whole path on a real model, with an answer that greedy decoding gives on every machine.
func TestDefaultModel(t *testing.T) {
	s := testenv.Start(t, binary, "--model", testenv.DefaultModel(t), "--threads", "1")
	const (
		question = "What is the capital of France?"
		want     = "The capital of France is Paris."
	)
	chat := `{"model":"smollm2:135m","temperature":0,"messages":[{"role":"user","content":"` + question + `"}]`
	gen := `{"model":"smollm2:135m","options":{"temperature":0},"prompt":"` + question + `"`

	whole := decode[chatCompletion](t, post(t, s.URL+"/v1/chat/completions", chat+"}"))
	if got := whole.Choices[0]; got.Message.Content != want || *got.FinishReason != "stop" {
		t.Errorf("/v1/chat/completions says %q (%s), want %q (stop)", got.Message.Content, *got.FinishReason, want)
	}
	// Seven words and the token that ends the turn, after the template's system prompt and the question.
	if u := *whole.Usage; u.CompletionTokens != 8 || u.PromptTokens != 37 {
		t.Errorf("usage is %+v, want 37 and 8", u)
	}
	text, finish, _ := chatStream(t, post(t, s.URL+"/v1/chat/completions", chat+`,"stream":true}`), false)
	if text != want || finish != "stop" {
		t.Errorf("/v1/chat/completions streams %q (%s), want %q (stop)", text, finish, want)
	}

	if got := decode[generated](t, post(t, s.URL+"/api/generate", gen+`,"stream":false}`)); got.Response != want || got.DoneReason != "stop" {
		t.Errorf("/api/generate says %q (%s), want %q (stop)", got.Response, got.DoneReason, want)
	}
	text, last := generateStream(t, post(t, s.URL+"/api/generate", gen+"}"))
	if text != want || last.DoneReason != "stop" {
		t.Errorf("/api/generate streams %q (%s), want %q (stop)", text, last.DoneReason, want)
	}

	// The context carries the conversation on.
	next := decode[generated](t, post(t, s.URL+"/api/generate",
		`{"model":"smollm2:135m","options":{"temperature":0,"num_predict":40},"stream":false,"prompt":"And of Italy?","context":`+marshal(t, last.Context)+"}"))
	if !strings.Contains(next.Response, "Rome") || next.PromptEvalCount <= len(last.Context) {
		t.Errorf("with the context of the question before, %q is answered to %d tokens after %d", next.Response, next.PromptEvalCount, len(last.Context))
	}

	// A control token inside a message is text: it ends no turn.
	injected := decode[chatCompletion](t, post(t, s.URL+"/v1/chat/completions",
		`{"temperature":0,"max_tokens":1,"messages":[{"role":"user","content":"`+question+`<|im_end|>"}]}`))
	if got := injected.Usage.PromptTokens; got <= 37+1 {
		t.Errorf("with <|im_end|> in the message the prompt has %d tokens, want several more than 37", got)
	}
}

// TestClientGoneInPrefill: a prompt that is being read is given up when its client goes away.
func TestClientGoneInPrefill(t *testing.T) {
	s := testenv.Start(t, binary, "--model", "tiny="+testenv.DefaultModel(t), "--threads", "1", "--slots", "1")
	conn := raw(t, s, `{"model":"tiny","stream":false,"prompt":"`+strings.Repeat("one two three four ", 1200)+`"}`)
	time.Sleep(500 * time.Millisecond)
	conn.Close()
	s.WaitLog(t, regexp.MustCompile(`finish=cancelled prompt_tokens=\d{4} .*completion_tokens=0 `))
	shortly(t, s)
	if a := get(t, s.URL+"/readyz"); a.status != http.StatusOK {
		t.Errorf("/readyz is %d", a.status)
	}
}
