package routes

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// TestForcedToolCallBytes: a model that would say something else is kept to calls, whose arguments stream as they come.
func TestForcedToolCallBytes(t *testing.T) {
	tools := strings.Replace(openaiTools, `{"type":"string"}`, `{"enum":["Bern"]}`, 1)
	tools = strings.Replace(tools, `"properties":{"city"`, `"required":["city"],"properties":{"city"`, 1)
	named := `,"tool_choice":{"type":"function","function":{"name":"get"}}`
	for _, source := range []string{"", hermesTemplate, llamaTemplate, mistralTemplate} {
		var release chan<- struct{}
		w := newWorld(t, "No.", withTemplate(source), func(w *world, _ *Options) { release = gate(t, w) })
		const head = `data: {"id":"chatcmpl-` + fixedID + `","object":"chat.completion.chunk","created":1787306400,"model":"tiny:1b","system_fingerprint":"fp_test","choices":[{"index":0,"delta":`
		delta := func(d string) string {
			return head + `{"tool_calls":[{"index":0,` + d + `}]},"finish_reason":null}]}` + "\n\n"
		}
		want := head + `{"role":"assistant","content":null},"finish_reason":null}]}` + "\n\n" +
			delta(`"id":"call_0123456789abcdef01230000","type":"function","function":{"name":"get","arguments":""}`) + "ARGUMENTS" +
			head + `{},"finish_reason":"tool_calls"}]}` + "\n\ndata: [DONE]\n\n"
		r := w.streamOf(release, "/v1/chat/completions", `{"model":"tiny:1b","stream":true,"temperature":0,`+userAsks+`,`+tools+named+`}`, step{64, `"arguments":"{`})
		pieces := regexp.MustCompile(`(?m)^data: .*"function":{"arguments":"(.*)"}}]},"finish_reason":null}]}\n\n`)
		args := ""
		for _, m := range pieces.FindAllStringSubmatch(r.body, -1) {
			args += m[1]
		}
		n := len(pieces.FindAllString(r.body, -1))
		if got := pieces.ReplaceAllString(r.body, ""); got != strings.Replace(want, "ARGUMENTS", "", 1) || spaces.ReplaceAllString(args, "") != `{\"city\":\"Bern\"}` || n < 2 {
			t.Errorf("%d pieces of arguments: %s\n got %s\nwant %s", n, args, got, want)
		}
	}

	// By every dialect, for each way to force.
	w := newWorld(t, "No.", withTemplate(hermesTemplate))
	f := func(path, body, want string) {
		t.Helper()
		if r := w.post(path, body); r.status != http.StatusOK || !strings.Contains(spaces.ReplaceAllString(r.body, ""), want) {
			t.Errorf("%s %s: %d %s, want %s", path, body, r.status, r.body, want)
		}
	}
	const cold = `"temperature":0,"model":"tiny:1b",`
	f("/v1/chat/completions", `{`+cold+userAsks+`,`+tools+named+`}`, `"content":null,"tool_calls":[{"id":"call_0123456789abcdef01230000","type":"function","function":{"name":"get","arguments":"{\"city\":\"Bern\"}"}}]`)
	f("/v1/chat/completions", `{`+cold+userAsks+`,`+tools+`,"tool_choice":"required","parallel_tool_calls":false}`, `"finish_reason":"tool_calls"`)
	f("/api/chat", `{"stream":false,"options":{"temperature":0},"model":"tiny:1b",`+userAsks+`,`+tools+named+`}`, `"tool_calls":[{"id":"call_0123456789abcdef01230000","function":{"index":0,"name":"get","arguments":{"city":"Bern"}}}]`)
	f("/v1/responses", `{`+cold+`"input":"hi",`+responseTools+`,"tool_choice":{"type":"function","name":"now"}}`, `"status":"completed","arguments":"{}","call_id":"call_0123456789abcdef01230000","name":"now"}]`)
	f("/v1/messages", `{`+cold+`"max_tokens":200,`+userAsks+`,`+anthropicTools+`,"tool_choice":{"type":"tool","name":"now"}}`, `"content":[{"type":"tool_use","id":"toolu_0123456789abcdef01230000","name":"now","input":{}}],"stop_reason":"tool_use"`)
	f("/v1/messages", `{`+cold+`"max_tokens":200,`+userAsks+`,`+anthropicTools+`,"tool_choice":{"type":"any","disable_parallel_tool_use":true}}`, `"stop_reason":"tool_use"`)
}

// TestStrictTools: the model decides whether it calls, and what it calls with is right.
func TestStrictTools(t *testing.T) {
	strict := `"tools":[{"type":"function","function":{"name":"get","strict":true,"parameters":{"type":"object","properties":{"city":{"enum":["Bern"]}},"required":["city"]}}}]`
	f := func(source, answer, fields, want string) {
		t.Helper()
		w := newWorld(t, answer, withTemplate(source))
		r := w.post("/v1/chat/completions", `{"temperature":0,"max_tokens":120,`+userAsks+`,`+strict+fields+`}`)
		if r.status != http.StatusOK || !strings.Contains(spaces.ReplaceAllString(r.body, ""), want) {
			t.Errorf("%.40s %s: %d %s, want %s", source, answer, r.status, r.body, want)
		}
	}
	const call = `"function":{"name":"get","arguments":"{\"city\":\"Bern\"}"}}]`
	for source, begin := range map[string]string{
		"": "<tool_call>\n{\"name\": \"get\", \"arguments\": {\"city\": \"", hermesTemplate: "<tool_call>\n{\"name\": \"get\", \"arguments\": {\"city\": \"",
		llamaTemplate: "{\"name\": \"get\", \"parameters\": {\"city\": \"", mistralTemplate: "[{\"name\": \"get\", \"arguments\": {\"city\": \"",
	} {
		f(source, "No <b>, <tool> {x} [y] <tool_cal.", "", `"content":"No<b>,<tool>{x}[y]<tool_cal."`)
		end := "\"}}"
		if source == mistralTemplate {
			end += "]"
		}
		f(source, begin+"Rome"+end, "", `"content":null,"tool_calls":[{"id":"call_0123456789abcdef01230000","type":"function",`+call)
		f(source, "Yes.\n"+begin+"Rome"+end, "", `"content":"Yes.","tool_calls":[{"id":"call_0123456789abcdef01230000","type":"function",`+call)
		// What the answer must be otherwise holds for an answer without a call.
		f(source, "No", `,"guided_choice":["Nono"]`, `"content":"Nono"`)
		f(source, begin+"Rome"+end, `,"guided_choice":["Nono"]`, call)
	}
	// Where calls are objects alone, a line of text may begin with a list, a link or a reference.
	f(llamaTemplate, "[1] A.\n [b](c)\n[{}]", "", `"content":"[1]A.[b](c)[{}]"`)
}

// TestFormatBesideTools: where a request wants a format and offers tools, the answer is a call or has the format; a call that is forced comes first.
func TestFormatBesideTools(t *testing.T) {
	tools := `"tools":[{"type":"function","function":{"name":"get","parameters":{"type":"object","properties":{"city":{"enum":["Bern"]}},"required":["city"]}}}]`
	const openaiFormat = `,"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object","properties":{"a":{"enum":[1]}},"required":["a"]}}}`
	const ollamaFormat = `,"format":{"type":"object","properties":{"a":{"enum":[1]}},"required":["a"]}`
	const call, object = `"function":{"name":"get","arguments":"{\"city\":\"Bern\"}"}}]`, `"content":"{\"a\":1}"`
	f := func(source, answer, choice, want string) {
		t.Helper()
		w := newWorld(t, answer, withTemplate(source))
		r := w.post("/v1/chat/completions", `{"temperature":0,"max_tokens":120,`+userAsks+`,`+tools+openaiFormat+choice+`}`)
		if r.status != http.StatusOK || !strings.Contains(spaces.ReplaceAllString(r.body, ""), want) {
			t.Errorf("%.40s %s%s: %d %s, want %s", source, answer, choice, r.status, r.body, want)
		}
		want = strings.NewReplacer(`"arguments":"{\"city\":\"Bern\"}"`, `"index":0,"name":"get","arguments":{"city":"Bern"}`, `"name":"get",`, "").Replace(want)
		r = w.post("/api/chat", `{"model":"tiny:1b","stream":false,"options":{"temperature":0,"num_predict":120},`+userAsks+`,`+tools+ollamaFormat+choice+`}`)
		if r.status != http.StatusOK || !strings.Contains(spaces.ReplaceAllString(r.body, ""), want) {
			t.Errorf("%.40s %s%s: %d %s, want %s", source, answer, choice, r.status, r.body, want)
		}
	}
	for source, begin := range map[string]string{
		"": "<tool_call>\n{\"name\": \"get\", \"arguments\": {\"city\": \"", hermesTemplate: "<tool_call>\n{\"name\": \"get\", \"arguments\": {\"city\": \"",
		llamaTemplate: "{\"name\": \"get\", \"parameters\": {\"city\": \"", mistralTemplate: "[{\"name\": \"get\", \"arguments\": {\"city\": \"",
	} {
		end := "\"}}"
		if source == mistralTemplate {
			end += "]"
		}
		f(source, begin+"Bern"+end, "", call)
		f(source, `{"a":1}`, "", object)
		f(source, `{"a":1}`, `,"tool_choice":"auto"`, object)
		f(source, "No", `,"tool_choice":"none"`, object)
		f(source, `{"a":1}`, `,"tool_choice":"required","parallel_tool_calls":false`, call)
		f(source, `{"a":1}`, `,"tool_choice":{"type":"function","function":{"name":"get"}}`, call)
	}
}

// TestWithoutTag compares the expression with what it stands for.
func TestWithoutTag(t *testing.T) {
	re := regexp.MustCompile("^(?s:" + withoutTag("<ab>") + ")$")
	var try func(s string, n int)
	try = func(s string, n int) {
		if got, want := re.MatchString(s), !strings.Contains(s, "<ab>"); got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
		for i := 0; n > 0 && i < 5; i++ {
			try(s+"<ab>x"[i:i+1], n-1)
		}
	}
	try("", 7)
}
