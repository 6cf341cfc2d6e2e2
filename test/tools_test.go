package test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"ortserve/grammar/grammartest"
	"ortserve/internal/testenv"
)

// forcedTools are tools with what schemas of tools have: name and schema of the arguments.
var forcedTools = [][2]string{
	{"get_weather", `{"type":"object","properties":{"city":{"type":"string","maxLength":40},"unit":{"enum":["celsius","fahrenheit"]},"days":{"type":"integer","minimum":1,"maximum":14}},"required":["city","unit"]}`},
	{"send_mail", `{"type":"object","properties":{"to":{"type":"array","items":{"type":"string","pattern":"^[a-z]{1,10}@[a-z]{1,10}\\.org$"},"minItems":1,"maxItems":3},"subject":{"type":"string"},"urgent":{"type":"boolean"}},"required":["to","subject"]}`},
	{"book-room", `{"type":"object","properties":{"from":{"type":"string","format":"date"},"guest":{"$ref":"#/$defs/person"},"extras":{"type":"array","items":{"enum":["tv","desk","view"]},"maxItems":3}},"required":["from","guest"],"additionalProperties":false,"$defs":{"person":{"type":"object","properties":{"name":{"type":"string","minLength":2},"age":{"type":["integer","null"],"minimum":0}},"required":["name"]}}}`},
	{"math.add", `{"type":"object","properties":{"a":{"type":"number"},"b":{"type":"number"}},"required":["a","b"]}`},
	{"now", `{"type":"object","properties":{}}`},
}

// TestForcedToolCalls: calls that tool_choice forces out of the default model, by every dialect, streamed and whole, at random: all of
// them parse, and their arguments are valid by the tools' schemas.
func TestForcedToolCalls(t *testing.T) {
	n := 100
	if testing.Short() {
		n = 10
	}
	s := testenv.Start(t, binary, "--model", "smollm2="+testenv.DefaultModel(t), "--max-len", "2048")
	judges := map[string]*grammartest.Judge{}
	var openai, anthropic []string
	for _, f := range forcedTools {
		var err error
		if judges[f[0]], err = grammartest.NewJudge(f[1]); err != nil {
			t.Fatal(err)
		}
		openai = append(openai, `{"type":"function","function":{"name":"`+f[0]+`","parameters":`+f[1]+`}}`)
		anthropic = append(anthropic, `{"name":"`+f[0]+`","input_schema":`+f[1]+`}`)
	}

	var mu sync.Mutex
	calls, right := 0, 0
	answered := func(at string, got []toolCall, wantName string) {
		mu.Lock()
		defer mu.Unlock()
		calls++
		if len(got) == 0 {
			t.Errorf("%s: no call", at)
			return
		}
		for _, c := range got {
			if judges[c.name] == nil || wantName != "" && c.name != wantName {
				t.Errorf("%s: a call of %q, want %q", at, c.name, wantName)
				return
			}
			if err := judges[c.name].Check([]byte(c.arguments)); err != nil {
				t.Errorf("%s: %s: %v", at, c.name, err)
				return
			}
		}
		right++
	}
	var wait sync.WaitGroup
	free := make(chan struct{}, 8)
	for i := range n {
		wait.Add(1)
		free <- struct{}{}
		go func() {
			defer wait.Done()
			defer func() { <-free }()
			name := forcedTools[i%len(forcedTools)][0]
			stream := i%2 == 0
			ask := fmt.Sprintf(`"messages":[{"role":"user","content":"Please do number %d for me."}],"stream":%t`, i, stream)
			choose := func(named, any string) string {
				if i%4 == 0 {
					name = ""
					return any
				}
				return fmt.Sprintf(named, name)
			}
			var path, body string
			switch i % 3 {
			case 0:
				path, body = "/v1/chat/completions", fmt.Sprintf(`{%s,"seed":%d,"max_tokens":200,"tools":[%s],"tool_choice":%s}`, ask, i, strings.Join(openai, ","),
					choose(`{"type":"function","function":{"name":%q}}`, `"required"`))
			case 1:
				path, body = "/v1/messages", fmt.Sprintf(`{%s,"max_tokens":200,"tools":[%s],"tool_choice":%s}`, ask, strings.Join(anthropic, ","),
					choose(`{"type":"tool","name":%q}`, `{"type":"any","disable_parallel_tool_use":true}`))
			case 2:
				path, body = "/api/chat", fmt.Sprintf(`{%s,"model":"smollm2","options":{"seed":%d,"num_predict":200},"parallel_tool_calls":false,"tools":[%s],"tool_choice":%s}`, ask, i, strings.Join(openai, ","),
					choose(`{"type":"function","function":{"name":%q}}`, `"required"`))
			}
			a := post(t, s.URL+path, body)
			if a.status != http.StatusOK {
				t.Errorf("%s: %d %s", path, a.status, a.body)
				return
			}
			answered(fmt.Sprintf("%s, stream %t, %s", path, stream, a.body), callsIn(t, path, stream, a.body), name)
		}()
	}
	wait.Wait()
	t.Logf("%d of %d forced calls parse and are valid", right, calls)
	if calls != n {
		t.Errorf("%d answers of %d", calls, n)
	}
}

// toolCall is a call as a client puts it together.
type toolCall struct{ name, arguments string }

// callsIn returns the calls of an answer, which must end for their sake.
func callsIn(t *testing.T, path string, stream bool, body string) []toolCall {
	var calls []toolCall
	ended := ""
	type function struct {
		Name      string
		Arguments json.RawMessage
	}
	type message struct {
		ToolCalls []struct {
			Index    *int
			Function function
		} `json:"tool_calls"`
	}
	type block struct {
		Type  string
		Name  string
		Input json.RawMessage
	}
	var event struct {
		Choices []struct {
			Message, Delta message
			FinishReason   *string `json:"finish_reason"`
		}
		Message      message
		DoneReason   string  `json:"done_reason"`
		StopReason   *string `json:"stop_reason"`
		Content      json.RawMessage
		ContentBlock block `json:"content_block"`
		Delta        struct {
			PartialJSON string  `json:"partial_json"`
			StopReason  *string `json:"stop_reason"`
		}
	}
	lines := bufio.NewScanner(strings.NewReader(body))
	for lines.Scan() {
		line := strings.TrimPrefix(lines.Text(), "data: ")
		if !strings.HasPrefix(line, "{") {
			continue
		}
		clear := event
		clear.Choices, clear.Message, clear.Content, clear.ContentBlock = nil, message{}, nil, block{}
		clear.Delta.PartialJSON = ""
		event = clear
		if path == "/v1/messages" {
			var m struct{ Message json.RawMessage }
			if json.Unmarshal([]byte(line), &m) == nil && m.Message != nil {
				continue // message_start
			}
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Errorf("%s: %v", line, err)
			return nil
		}
		text := func(raw json.RawMessage) string {
			var s string
			if json.Unmarshal(raw, &s) == nil {
				return s
			}
			return string(raw)
		}
		for _, c := range event.Choices {
			for _, call := range append(c.Message.ToolCalls, c.Delta.ToolCalls...) {
				if call.Function.Name != "" {
					calls = append(calls, toolCall{name: call.Function.Name})
				}
				calls[len(calls)-1].arguments += text(call.Function.Arguments)
			}
			if c.FinishReason != nil {
				ended = *c.FinishReason
			}
		}
		for _, call := range event.Message.ToolCalls {
			calls = append(calls, toolCall{call.Function.Name, string(call.Function.Arguments)})
		}
		if event.DoneReason == "stop" {
			ended = "tool_calls"
		}
		var blocks []block
		if event.Content != nil && json.Unmarshal(event.Content, &blocks) == nil {
			for _, b := range blocks {
				if b.Type == "tool_use" {
					calls = append(calls, toolCall{b.Name, string(b.Input)})
				}
			}
		}
		if event.ContentBlock.Type == "tool_use" {
			calls = append(calls, toolCall{name: event.ContentBlock.Name})
		}
		if event.Delta.PartialJSON != "" {
			calls[len(calls)-1].arguments += event.Delta.PartialJSON
		}
		for _, reason := range []*string{event.StopReason, event.Delta.StopReason} {
			if reason != nil && *reason == "tool_use" {
				ended = "tool_calls"
			}
		}
	}
	if ended != "tool_calls" {
		t.Errorf("%s, stream %t: ended %q: %s", path, stream, ended, body)
	}
	return calls
}
