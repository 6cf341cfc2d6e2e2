package routes

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// decode reads body by a table, as decodeBody does.
func decode[T any](t *table[T], body string) (dst T, ignored []string, err error) {
	v, err := parseJSON([]byte(body))
	if err != nil {
		return dst, nil, err
	}
	var d decoder
	err = t.object(&d, "", v, &dst)
	return dst, d.ignored, err
}

// checkTable holds every row of a table to what its class promises.
func checkTable[T any](t *testing.T, name string, tab *table[T], without ...string) {
	t.Helper()
	if len(tab.at) != len(tab.rows) {
		t.Errorf("%s: %d rows of %d names", name, len(tab.rows), len(tab.at))
	}
	for _, f := range tab.rows {
		if slices.Contains(without, f.name) {
			continue
		}
		accepts := func(v string) {
			t.Helper()
			if _, _, err := decode(tab, `{"`+f.name+`":`+v+`}`); err != nil {
				t.Errorf("%s: %s: %s: %v", name, f.name, v, err)
			}
		}
		refuses := func(v string, kind errorKind) {
			t.Helper()
			_, _, err := decode(tab, `{"`+f.name+`":`+v+`}`)
			var api *apiError
			switch {
			case !errors.As(err, &api):
				t.Errorf("%s: %s: %s is accepted", name, f.name, v)
			case api.kind != kind || !strings.HasPrefix(api.param, f.name) || !strings.Contains(api.message, f.name):
				t.Errorf("%s: %s: %s: kind %d of %q: %s", name, f.name, v, api.kind, api.param, api.message)
			}
		}
		accepts("null")
		switch f.class {
		case honoured:
			if f.why != "" { // only one value
				refuses(`"no such"`, kindNotSupported)
				continue
			}
			bad := 0
			for _, v := range []string{`true`, `"x"`, `7.5`, `{}`, `[{}]`} {
				_, _, err := decode(tab, `{"`+f.name+`":`+v+`}`)
				var api *apiError
				if errors.As(err, &api) {
					bad++
					refuses(v, kindInvalid)
				}
			}
			if bad < 3 {
				t.Errorf("%s: %s takes values of more than two types", name, f.name)
			}
		case inert:
			for _, v := range []string{`true`, `"x"`, `7.5`, `{"a":1}`, `[{}]`} {
				accepts(v)
			}
		case refused:
			for _, v := range []string{`false`, `""`, `0`, `{}`, `[]`} {
				accepts(v)
			}
			for _, v := range []string{`true`, `"no such"`, `7.5`, `{"a":1}`, `[{}]`} {
				refuses(v, kindNotSupported)
			}
		}
		if up := strings.ToUpper(f.name); up != f.name {
			_, _, err := decode(tab, `{"`+up+`":1}`)
			if err == nil || !strings.Contains(err.Error(), "is spelled \""+f.name+"\"") {
				t.Errorf("%s: %s: %v", name, up, err)
			}
		}
	}
	_, ignored, err := decode(tab, `{"no_such_name":{"x":[1]},"zz":null}`)
	if diff := cmp.Diff([]string{"no_such_name", "zz"}, ignored); err != nil || diff != "" {
		t.Errorf("%s: %v, ignored (-want +got):\n%s", name, err, diff)
	}
}

func TestTables(t *testing.T) {
	checkTable(t, "chat completions", chatFields)
	checkTable(t, "completions", completionFields)
	checkTable(t, "completion", llamaFields)
	checkTable(t, "tokenize", tokenizeFields)
	checkTable(t, "detokenize", detokenizeFields)
	checkTable(t, "apply-template", applyTemplateFields)
	checkTable(t, "Anthropic's messages", messagesFields)
	checkTable(t, "messages of Anthropic's", anthropicMessageFields)
	checkTable(t, "blocks", blockFields)
	checkTable(t, "responses", responsesFields, "type")
	checkTable(t, "items", inputFields, "type")
	checkTable(t, "messages", openaiMessageFields)
	checkTable(t, "parts", partFields)
	checkTable(t, "score", scoreFields)
	checkTable(t, "generate", generateFields)
	checkTable(t, "chat", ollamaChatFields)
	checkTable(t, "options", optionFields)
	checkTable(t, "Ollama's messages", ollamaMessageFields)
	checkTable(t, "show", showFields)
	checkTable(t, "pull", pullFields)
	checkTable(t, "create", createFields)
	checkTable(t, "parameters of create", createParameterFields)
	checkTable(t, "copy", copyFields)
	checkTable(t, "delete", deleteFields)
	checkTable(t, "tools of chat", chatToolFields, "type")
	checkTable(t, "functions", functionFields)
	checkTable(t, "tools of responses", responseToolFields, "type")
	checkTable(t, "Anthropic's tools", anthropicToolFields, "type")
	checkTable(t, "Anthropic's tool_choice", anthropicChoiceFields, "type")
	checkTable(t, "calls", wireCallFields, "type")
	checkTable(t, "functions of calls", wireFunctionFields)
	checkTable(t, "blocks of calls", toolUseFields, "type")
	checkTable(t, "blocks of results", toolResultFields, "type")
	checkTable(t, "items of calls", callItemFields, "type")
	checkTable(t, "items of results", resultItemFields, "type")
}

// Every number of both dialects, with the values that peers fall over.
func TestNumbers(t *testing.T) {
	f := func(body, param, want string) {
		t.Helper()
		var err error
		if strings.HasPrefix(body, `{"options"`) {
			_, _, err = decode(generateFields, body)
		} else {
			_, _, err = decode(chatFields, body)
		}
		var api *apiError
		if !errors.As(err, &api) {
			t.Errorf("%s is accepted", body)
			return
		}
		if api.kind != kindInvalid || api.param != param || api.message != want {
			t.Errorf("%s: kind %d of %q: %s, want %s", body, api.kind, api.param, api.message, want)
		}
	}
	f(`{"temperature":"7"}`, "temperature", "temperature must be a number, not a string")
	f(`{"temperature":1e400}`, "temperature", "temperature is 1e400, which is out of range")
	f(`{"top_k":40.5}`, "top_k", "top_k is 40.5, must be an integer")
	f(`{"top_k":-2}`, "top_k", "top_k is -2, must be between -1 and 2147483647")
	f(`{"top_k":2147483648}`, "top_k", "top_k is 2147483648, must be between -1 and 2147483647")
	f(`{"top_k":1e400}`, "top_k", "top_k is 1e400, must be between -1 and 2147483647")
	f(`{"max_tokens":0}`, "max_tokens", "max_tokens is 0, must be at least 1, or -1 for as many tokens as the window holds")
	f(`{"max_completion_tokens":-2}`, "max_completion_tokens", "max_completion_tokens is -2, must be between -1 and 2147483647")
	f(`{"seed":9223372036854775808}`, "seed", "seed is 9223372036854775808, must be between -9223372036854775808 and 9223372036854775807")
	f(`{"seed":true}`, "seed", "seed must be an integer, not a boolean")
	f(`{"options":{"top_k":"40"}}`, "options.top_k", "options.top_k must be an integer, not a string")
	f(`{"options":{"num_predict":-3}}`, "options.num_predict", "options.num_predict is -3, must be between -2 and 2147483647")
	f(`{"options":{"num_ctx":1e99}}`, "options.num_ctx", "options.num_ctx is 1e99, must be between -1 and 2147483647")
	f(`{"options":[]}`, "options", "options must be an object, not a list")
	f(`{"stop":[7]}`, "stop[0]", "stop[0] must be a string, not a number")
	f(`{"stop":`+list(33, `"x"`)+`}`, "stop", "stop holds 33 strings, at most 32 are allowed")
	f(`{"stop":"`+strings.Repeat("x", 257)+`"}`, "stop[0]", "stop[0] has 257 bytes, at most 256 are allowed")
	f(`{"repeat_penalty":1.1,"repetition_penalty":1.1}`, "repetition_penalty", "repetition_penalty has two names, and both are there; send one of them")
	f(`[]`, "", "the body must be an object, not a list")
}

func list(n int, v string) string {
	return "[" + strings.TrimSuffix(strings.Repeat(v+",", n), ",") + "]"
}

func TestMessages(t *testing.T) {
	type want = map[string]string // role: content
	f := func(messages string, roles ...want) {
		t.Helper()
		r, _, err := decode(chatFields, `{"messages":`+messages+`}`)
		if err != nil {
			t.Errorf("%s: %v", messages, err)
			return
		}
		var got []want
		for _, m := range r.conversation.messages {
			got = append(got, want{m.Role: m.Content})
		}
		if diff := cmp.Diff(roles, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", messages, diff)
		}
	}
	f(`[{"role":"user","content":"hi"}]`, want{"user": "hi"})
	f(`[{"role":"developer","content":"be kind"},{"role":"user","content":null}]`, want{"system": "be kind"}, want{"user": ""})
	f(`[{"role":"assistant"}]`, want{"assistant": ""})
	f(`[{"role":"user","content":[{"type":"text","text":"a"},{"text":"b","type":"text"}]}]`, want{"user": "a\nb"})
	f(`[{"role":"user","content":[]}]`, want{"user": ""})
	f(`[{"role":"assistant","content":"x","tool_calls":[],"function_call":null,"refusal":null,"annotations":[1]}]`, want{"assistant": "x"})

	g := func(messages, param, want string) {
		t.Helper()
		_, _, err := decode(chatFields, `{"messages":`+messages+`}`)
		var api *apiError
		if !errors.As(err, &api) || api.param != param || api.message != want {
			t.Errorf("%s: %v, want %s", messages, err, want)
		}
	}
	g(`"hi"`, "messages", "messages must be a list, not a string")
	g(`["hi"]`, "messages[0]", "messages[0] must be an object, not a string")
	g(`[{"content":"hi"}]`, "messages[0].role", "messages[0].role is missing")
	g(`[{"role":"robot"}]`, "messages[0].role",
		`messages[0].role is "robot", must be one of system, user, assistant, tool, function, developer`)
	g(`[{"role":"user","content":7}]`, "messages[0].content", "messages[0].content must be a string or a list of parts, not a number")
	g(`[{"role":"user","content":[{"type":"text"}]}]`, "messages[0].content[0].text", "messages[0].content[0].text is missing")
	g(`[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]`, "messages[0].content[0]",
		"messages[0].content[0]: image input is not supported")
	g(`[{"role":"user","content":"a"},{"role":"user","Content":"hi"}]`, "messages[1].content",
		`the field "Content" of messages[1] is spelled "content"`)
	g(`[{"role":"assistant","tool_calls":[{"id":"x"}]}]`, "messages[0].tool_calls[0].function.name", "messages[0].tool_calls[0].function.name is missing")
	g(`[{"role":"user","tool_calls":[{"function":{"name":"x"}}]}]`, "messages[0].tool_calls", "messages[0].tool_calls: only a message of the assistant's has calls")
	g(`[{"role":"assistant","tool_calls":[{"type":"custom"}]}]`, "messages[0].tool_calls[0]", `messages[0].tool_calls[0]: a call of the type "custom" is not supported`)
	g(`[{"role":"assistant","function_call":{"name":"x"}}]`, "messages[0].function_call", "messages[0].function_call is not supported: use tool_calls")
}

func TestIgnoredNamesAreListed(t *testing.T) {
	_, ignored, err := decode(chatFields, `{"foo":1,"stream_options":{"bar":2},"messages":[{"role":"user","refusal":null,
		"content":[{"type":"text","text":"x","cache_control":{}}]}]}`)
	want := []string{"foo", "stream_options.bar", "messages[0].refusal", "messages[0].content[0].cache_control"}
	slices.Sort(want)
	slices.Sort(ignored)
	if diff := cmp.Diff(want, ignored); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
