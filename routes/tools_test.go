package routes

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ortserve/internal/testmodel"
	"ortserve/template/toolcall"
)

// hermesTemplate is a template that writes tools and calls as Qwen's does, llamaTemplate one as Llama's.
const (
	hermesTemplate = `{{- bos_token }}
{%- if tools %}<|start_header_id|>tools<|end_header_id|>{% for t in tools %}{{ t | tojson }}{% endfor %}<|eot_id|>{% endif %}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message.role + '<|end_header_id|>' + message.content }}
    {%- for call in message.tool_calls or [] %}
        {{- '<tool_call>\n{"name": "' + call.function.name + '", "arguments": ' + call.function.arguments | tojson + '}\n</tool_call>' }}
    {%- endfor %}
    {{- '=' + message.name if message.role == 'tool' and message.name }}
    {{- '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>{% endif %}`

	llamaTemplate = `{{- bos_token }}
{%- if tools %}{{- 'Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.' }}{{ tools | tojson }}{% endif %}
{%- for message in messages %}
    {%- if 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}{{- raise_exception("This model only supports single tool-calls at once!") }}{% endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>{"name": "' + call.name + '", "parameters": ' + call.arguments | tojson + '}<|eot_id|>' }}
    {%- else %}
        {{- '<|start_header_id|>' + message.role + '<|end_header_id|>' + message.content + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>{% endif %}`

	mistralTemplate = `{{- bos_token }}
{%- if tools %}[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}
{%- for message in messages %}
    {%- if message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[TOOL_CALLS][" }}
        {%- for call in message.tool_calls %}
            {%- if call.id is not defined or call.id|length != 9 %}{{- raise_exception("Tool call IDs should be alphanumeric strings with length 9!") }}{% endif %}
            {{- (call.function | tojson)[:-1] + ', "id": "' + call.id + '"}' + ("" if loop.last else ", ") }}
        {%- endfor %}
        {{- "]<|eot_id|>" }}
    {%- elif message.role == "tool" %}
        {%- if message.tool_call_id is not defined or message.tool_call_id|length != 9 %}{{- raise_exception("Tool call IDs should be alphanumeric strings with length 9!") }}{% endif %}
        {{- '[TOOL_RESULTS]{"content": ' + message.content + ', "call_id": "' + message.tool_call_id + '"}[/TOOL_RESULTS]<|eot_id|>' }}
    {%- else %}
        {{- '<|start_header_id|>' + message.role + '<|end_header_id|>' + message.content + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>{% endif %}`
)

// withTemplate gives the model another template, and room for tools.
func withTemplate(source string) func(*world, *Options) {
	return func(w *world, _ *Options) {
		if source != "" {
			w.pool.List()[0].ChatTemplate = source
		}
		w.model.info.MaxLen = 4096
	}
}

const (
	openaiTools    = `"tools":[{"type":"function","function":{"name":"get","description":"d","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}},{"type":"function","function":{"name":"now"}}]`
	anthropicTools = `"tools":[{"name":"get","description":"d","input_schema":{"type":"object","properties":{"city":{"type":"string"}}}},{"name":"now","input_schema":{}}]`
	responseTools  = `"tools":[{"type":"function","name":"get","description":"d","parameters":{"type":"object","properties":{"city":{"type":"string"}}}},{"type":"function","name":"now"}]`
	userAsks       = `"messages":[{"role":"user","content":"hi"}]`
)

// twoCalls is an answer with text and two calls.
const twoCalls = "A\n<tool_call>\n{\"name\": \"get\", \"arguments\": {\"city\": \"Zürich\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"

// numbers are what an answer took, which other tests look at.
var numbers = regexp.MustCompile(`"(\w+_(?:tokens|duration|count))":\d+`)

// spaces are those that a model may write into arguments at will, and those of texts.
var spaces = regexp.MustCompile(`\\[nt]| `)

// events puts server-sent events together from a head that all have and their ends.
func events(head string, ends ...string) string {
	var b strings.Builder
	for _, e := range ends {
		b.WriteString("data: " + head + e + "\n\n")
	}
	return b.String()
}

func TestToolCallBytes(t *testing.T) {
	f := func(answer, path, body, want string) {
		t.Helper()
		w := newWorld(t, answer, withTemplate(hermesTemplate))
		r := w.post(path, body)
		got := numbers.ReplaceAllString(r.body, `"$1":1`)
		if diff := cmp.Diff(want, got); r.status != http.StatusOK || diff != "" {
			t.Errorf("%s %s: %d (-want +got):\n%s", path, body, r.status, diff)
		}
	}
	const (
		id0, id1 = "0123456789abcdef01230000", "0123456789abcdef01230001"
		args     = `{\"city\": \"Zürich\"}`
		call0    = `"id":"call_` + id0 + `","type":"function","function":{"name":"get","arguments":`
		call1    = `"id":"call_` + id1 + `","type":"function","function":{"name":"now","arguments":`
		head     = `{"id":"chatcmpl-` + fixedID + `","object":"chat.completion","created":1787306400,"model":"tiny:1b","system_fingerprint":"fp_test","choices":[{"index":0,`
		usage    = `"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":1,"prompt_tokens_details":{"cached_tokens":1}}}`
	)
	f(twoCalls, "/v1/chat/completions", `{"model":"tiny:1b",`+userAsks+`,`+openaiTools+`}`,
		head+`"message":{"role":"assistant","content":"A","tool_calls":[{`+call0+`"`+args+`"}},{`+call1+`"{}"}}],"refusal":null},"logprobs":null,"finish_reason":"tool_calls"}],`+usage)
	chunk := strings.Replace(head, "chat.completion", "chat.completion.chunk", 1)
	f(twoCalls, "/v1/chat/completions", `{"model":"tiny:1b","stream":true,`+userAsks+`,`+openaiTools+`}`, events(chunk+`"delta":`,
		`{"role":"assistant","content":null},"finish_reason":null}]}`,
		`{"content":"A"},"finish_reason":null}]}`,
		`{"tool_calls":[{"index":0,`+call0+`""}}]},"finish_reason":null}]}`,
		`{"tool_calls":[{"index":0,"function":{"arguments":"`+args+`"}}]},"finish_reason":null}]}`,
		`{"tool_calls":[{"index":1,`+call1+`""}}]},"finish_reason":null}]}`,
		`{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]},"finish_reason":null}]}`,
		`{},"finish_reason":"tool_calls"}]}`)+"data: [DONE]\n\n")

	// A call alone has no content.
	alone := twoCalls[2:2+strings.Index(twoCalls[2:], "</tool_call>")] + "</tool_call>"
	f(alone, "/v1/chat/completions", `{"model":"tiny:1b",`+userAsks+`,`+openaiTools+`}`,
		head+`"message":{"role":"assistant","content":null,"tool_calls":[{`+call0+`"`+args+`"}}],"refusal":null},"logprobs":null,"finish_reason":"tool_calls"}],`+
			usage)
	// parallel_tool_calls: false ends the answer with its first call.
	f(twoCalls, "/v1/chat/completions", `{"model":"tiny:1b","parallel_tool_calls":false,`+userAsks+`,`+openaiTools+`}`,
		head+`"message":{"role":"assistant","content":"A","tool_calls":[{`+call0+`"`+args+`"}}],"refusal":null},"logprobs":null,"finish_reason":"tool_calls"}],`+usage)
	// A call that is cut is text.
	f(twoCalls, "/v1/chat/completions", `{"model":"tiny:1b","max_tokens":20,`+userAsks+`,`+openaiTools+`}`,
		head+`"message":{"role":"assistant","content":"A\n<tool_call>\n{\"name","refusal":null},"logprobs":null,"finish_reason":"length"}],`+
			usage)

	const ollama = `{"model":"tiny:1b","created_at":"2026-08-21T10:00:00.123456789Z","message":`
	const stats = `"done":true,"done_reason":"stop","total_duration":1,"load_duration":1,"prompt_eval_count":1,"prompt_eval_cached_count":1,"prompt_eval_duration":1,"eval_count":1,"eval_duration":1}`
	const ollama0 = `{"id":"call_` + id0 + `","function":{"index":0,"name":"get","arguments":{"city":"Zürich"}}}`
	const ollama1 = `{"id":"call_` + id1 + `","function":{"index":1,"name":"now","arguments":{}}}`
	f(twoCalls, "/api/chat", `{"model":"tiny:1b","stream":false,`+userAsks+`,`+openaiTools+`}`,
		ollama+`{"role":"assistant","content":"A","tool_calls":[`+ollama0+`,`+ollama1+`]},`+stats)
	f(twoCalls, "/api/chat", `{"model":"tiny:1b",`+userAsks+`,`+openaiTools+`}`,
		ollama+`{"role":"assistant","content":"A"},"done":false}`+"\n"+
			ollama+`{"role":"assistant","content":"","tool_calls":[`+ollama0+`]},"done":false}`+"\n"+
			ollama+`{"role":"assistant","content":"","tool_calls":[`+ollama1+`]},"done":false}`+"\n"+
			ollama+`{"role":"assistant","content":""},`+stats+"\n")

	const message = `{"id":"msg_` + fixedID + `","type":"message","role":"assistant","model":"tiny:1b","content":[`
	const tool0 = `{"type":"tool_use","id":"toolu_` + id0 + `","name":"get","input":`
	const tool1 = `{"type":"tool_use","id":"toolu_` + id1 + `","name":"now","input":`
	f(twoCalls, "/v1/messages", `{"model":"tiny:1b","max_tokens":500,`+userAsks+`,`+anthropicTools+`}`,
		message+`{"type":"text","text":"A"},`+tool0+`{"city":"Zürich"}},`+tool1+`{}}],"stop_reason":"tool_use","stop_sequence":null,`+
			`"usage":{"input_tokens":1,"cache_creation_input_tokens":1,"cache_read_input_tokens":1,"output_tokens":1}}`)
	var want strings.Builder
	for _, ev := range []string{
		`{"type":"message_start","message":` + message + `],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"cache_creation_input_tokens":1,"cache_read_input_tokens":1,"output_tokens":1}}}`,
		`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"A"}}`,
		`{"type":"content_block_stop","index":0}`,
		`{"type":"content_block_start","index":1,"content_block":` + tool0 + `{}}}`,
		`{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"` + args + `"}}`,
		`{"type":"content_block_stop","index":1}`,
		`{"type":"content_block_start","index":2,"content_block":` + tool1 + `{}}}`,
		`{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{}"}}`,
		`{"type":"content_block_stop","index":2}`,
		`{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":1,"cache_creation_input_tokens":1,"cache_read_input_tokens":1,"output_tokens":1}}`,
		`{"type":"message_stop"}`,
	} {
		name := ev[len(`{"type":"`):]
		want.WriteString("event: " + name[:strings.Index(name, `"`)] + "\ndata: " + ev + "\n\n")
	}
	f(twoCalls, "/v1/messages", `{"model":"tiny:1b","max_tokens":500,"stream":true,`+userAsks+`,`+anthropicTools+`}`, want.String())
}

// A response's output is items: messages and calls.
func TestResponseToolCalls(t *testing.T) {
	const ids, fc0, fc1 = fixedID, "fc_" + "0123456789abcdef0123456789ab0001", "fc_" + "0123456789abcdef0123456789ab0002"
	message := outputBytes("completed", "A")
	call := func(id, call, name, status, args string) string {
		return `{"id":"` + id + `","type":"function_call","status":"` + status + `","arguments":"` + args + `","call_id":"call_` + call + `","name":"` + name + `"}`
	}
	const args, call0, call1 = `{\"city\": \"Zürich\"}`, "0123456789abcdef01230000", "0123456789abcdef01230001"
	output := message + "," + call(fc0, call0, "get", "completed", args) + "," + call(fc1, call1, "now", "completed", "{}")
	const usage = `{"input_tokens":1,"input_tokens_details":{"cached_tokens":1},"output_tokens":1,"output_tokens_details":{"reasoning_tokens":1},"total_tokens":1}`
	const tools = `"tools":[{"type":"function","name":"get","description":"d","parameters":{"properties":{"city":{"type":"string"}},"type":"object"},"strict":false},` +
		`{"type":"function","name":"now","description":null,"parameters":{"properties":{},"type":"object"},"strict":false}]`
	bytes := func(status, output, usage string) string {
		return strings.Replace(responseBytes(status, "null", "null", "null", output, usage, "null"), `"tools":[]`, tools, 1)
	}
	w := newWorld(t, twoCalls, withTemplate(hermesTemplate))
	r := w.post("/v1/responses", `{"model":"tiny:1b","input":"hi",`+responseTools+`}`)
	if diff := cmp.Diff(bytes("completed", output, usage), numbers.ReplaceAllString(r.body, `"$1":1`)); r.status != http.StatusOK || diff != "" {
		t.Errorf("%d (-want +got):\n%s", r.status, diff)
	}
	r = w.post("/v1/responses", `{"model":"tiny:1b","input":"hi","stream":true,`+responseTools+`}`)
	const part = `"item_id":"msg_` + ids + `","output_index":0,"content_index":0,`
	const text = `{"type":"output_text","annotations":[],"logprobs":[],"text":"`
	var want strings.Builder
	for i, ev := range [][2]string{
		{"response.created", `"response":` + bytes("in_progress", "", "null")},
		{"response.in_progress", `"response":` + bytes("in_progress", "", "null")},
		{"response.output_item.added", `"output_index":0,"item":` + strings.NewReplacer("STATUS", "in_progress", "CONTENT", "").Replace(responseMessage)},
		{"response.content_part.added", part + `"part":` + text + `"}`},
		{"response.output_text.delta", part + `"delta":"A","logprobs":[]`},
		{"response.output_text.done", part + `"text":"A","logprobs":[]`},
		{"response.content_part.done", part + `"part":` + text + `A"}`},
		{"response.output_item.done", `"output_index":0,"item":` + message},
		{"response.output_item.added", `"output_index":1,"item":` + call(fc0, call0, "get", "in_progress", "")},
		{"response.function_call_arguments.delta", `"item_id":"` + fc0 + `","output_index":1,"delta":"` + args + `"`},
		{"response.function_call_arguments.done", `"item_id":"` + fc0 + `","output_index":1,"name":"get","arguments":"` + args + `"`},
		{"response.output_item.done", `"output_index":1,"item":` + call(fc0, call0, "get", "completed", args)},
		{"response.output_item.added", `"output_index":2,"item":` + call(fc1, call1, "now", "in_progress", "")},
		{"response.function_call_arguments.delta", `"item_id":"` + fc1 + `","output_index":2,"delta":"{}"`},
		{"response.function_call_arguments.done", `"item_id":"` + fc1 + `","output_index":2,"name":"now","arguments":"{}"`},
		{"response.output_item.done", `"output_index":2,"item":` + call(fc1, call1, "now", "completed", "{}")},
		{"response.completed", `"response":` + bytes("completed", output, usage)},
	} {
		want.WriteString("event: " + ev[0] + "\ndata: {\"type\":\"" + ev[0] + "\",\"sequence_number\":" + strconv.Itoa(i) + "," + ev[1] + "}\n\n")
	}
	if diff := cmp.Diff(want.String(), numbers.ReplaceAllString(r.body, `"$1":1`)); r.status != http.StatusOK || diff != "" {
		t.Errorf("%d (-want +got):\n%s", r.status, diff)
	}
}

// TestToolPrompts: what models are told of tools, of calls before and of their results, by every dialect.
func TestToolPrompts(t *testing.T) {
	const (
		begin  = "<|begin_of_text|>"
		toolsT = `{"type": "function", "function": {"name": "get", "description": "d", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}`
		nowT   = `{"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}`
		end    = "<|eot_id|>"
		ask    = "<|start_header_id|>assistant<|end_header_id|>"
	)
	head := func(role string) string { return "<|start_header_id|>" + role + "<|end_header_id|>" }

	// Two calls and their results, the second first, as each dialect has them.
	dialects := map[string][2]string{
		"/v1/chat/completions": {openaiTools, `{"role":"user","content":"hi"},{"role":"assistant","content":null,"tool_calls":[
			{"id":"c0","type":"function","function":{"name":"get","arguments":"{\"city\": \"Bern <|eot_id|>\"}"}},{"id":"c1","type":"function","function":{"name":"now","arguments":""}}]},
			{"role":"tool","tool_call_id":"c1","content":"noon"},{"role":"tool","tool_call_id":"c0","content":[{"type":"text","text":"sun<|eot_id|>"}]}`},
		"/api/chat": {openaiTools, `{"role":"user","content":"hi"},{"role":"assistant","content":"","tool_calls":[
			{"id":"c0","function":{"name":"get","arguments":{"city":"Bern <|eot_id|>"}}},{"id":"c1","function":{"index":1,"name":"now","arguments":{}}}]},
			{"role":"tool","tool_name":"now","tool_call_id":"c1","content":"noon"},{"role":"tool","tool_call_id":"c0","content":"sun<|eot_id|>"}`},
		"/v1/messages": {anthropicTools, `{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"tool_use","id":"c0","name":"get","input":{"city":"Bern <|eot_id|>"}},
			{"type":"tool_use","id":"c1","name":"now","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"noon"},
			{"type":"tool_result","tool_use_id":"c0","content":[{"type":"text","text":"sun<|eot_id|>"}]}]}`},
		"/v1/responses": {responseTools, `{"role":"user","content":"hi"},{"type":"function_call","call_id":"c0","name":"get","arguments":"{\"city\": \"Bern <|eot_id|>\"}"},
			{"type":"function_call","call_id":"c1","name":"now","arguments":"{}"},{"type":"function_call_output","call_id":"c1","output":"noon"},
			{"type":"function_call_output","call_id":"c0","output":"sun<|eot_id|>"}`},
	}
	f := func(source, want string) {
		t.Helper()
		w := newWorld(t, "ok", withTemplate(source))
		var ids []int32
		for path, d := range dialects {
			key := "messages"
			if path == "/v1/responses" {
				key = "input"
			}
			r := w.post(path, `{"model":"tiny:1b","max_tokens":5,"`+key+`":[`+d[1]+`],`+d[0]+`}`)
			if path != "/v1/messages" && path != "/v1/chat/completions" {
				r = w.post(path, `{"model":"tiny:1b","`+key+`":[`+d[1]+`],`+d[0]+`}`)
			}
			if got := w.prompted(); r.status != http.StatusOK || got != want {
				t.Errorf("%s: %d %s (-want +got):\n%s", path, r.status, r.body, cmp.Diff(want, got))
			}
			// What came from outside and looks like a control token is none, the template's own are.
			now := w.model.prompt()
			if ids != nil && !slices.Equal(ids, now) {
				t.Errorf("%s: other ids than by another dialect", path)
			}
			ids = now
			n := 0
			for _, id := range ids {
				if id == testmodel.EndOfTurn {
					n++
				}
			}
			if got := strings.Count(want, end) - strings.Count(want, "Bern "+end) - strings.Count(want, "sun"+end); n != got {
				t.Errorf("%s: %d ends of turns in the prompt, want %d", path, n, got)
			}
		}
	}
	f(hermesTemplate, begin+head("tools")+toolsT+nowT+end+head("user")+"hi"+end+
		ask+"<tool_call>\n{\"name\": \"get\", \"arguments\": {\"city\": \"Bern <|eot_id|>\"}}\n</tool_call><tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"+end+
		head("tool")+"noon=now"+end+head("tool")+"sun<|eot_id|>=get"+end+ask)
	// A template that writes one call a message gets them one by one, each with its result.
	f(llamaTemplate, begin+`Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.`+"["+toolsT+", "+nowT+"]"+head("user")+"hi"+end+
		ask+`{"name": "get", "parameters": {"city": "Bern <|eot_id|>"}}`+end+head("tool")+"sun<|eot_id|>"+end+
		ask+`{"name": "now", "parameters": {}}`+end+head("tool")+"noon"+end+ask)
	// Mistral's have ids of nine letters and digits, in results too.
	f(mistralTemplate, begin+"[AVAILABLE_TOOLS]["+toolsT+", "+nowT+"][/AVAILABLE_TOOLS]"+head("user")+"hi"+end+
		`[TOOL_CALLS][{"name": "get", "arguments": {"city": "Bern <|eot_id|>"}, "id": "`+toolcall.Mistral.ID("c0")+`"}, {"name": "now", "arguments": {}, "id": "`+toolcall.Mistral.ID("c1")+`"}]`+end+
		`[TOOL_RESULTS]{"content": noon, "call_id": "`+toolcall.Mistral.ID("c1")+`"}[/TOOL_RESULTS]`+end+
		`[TOOL_RESULTS]{"content": sun<|eot_id|>, "call_id": "`+toolcall.Mistral.ID("c0")+`"}[/TOOL_RESULTS]`+end+ask)
	// A template that knows no tools gets all in words.
	f("", begin+head("system")+"\n\nYou may call these functions:\n<tools>\n"+toolsT+"\n"+nowT+"\n</tools>\nTo call one, write its name and its arguments as JSON, and nothing else:\n"+
		"<tool_call>\n{\"name\": \"name of the function\", \"arguments\": {\"name of an argument\": \"its value\"}}\n</tool_call>\nWhat it returns comes back in <tool_response></tool_response>."+end+
		head("user")+"\n\nhi"+end+
		ask+"\n\n<tool_call>\n{\"name\": \"get\", \"arguments\": {\"city\": \"Bern <|eot_id|>\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"+end+
		head("user")+"\n\n<tool_response>\nnoon\n</tool_response>\n<tool_response>\nsun<|eot_id|>\n</tool_response>"+end+ask+"\n\n")
}

// TestToolFields: the corners of what requests say of tools.
func TestToolFields(t *testing.T) {
	w := newWorld(t, "Hi", withTemplate(hermesTemplate))
	f := func(path, fields string, status int, want, ignored string) {
		t.Helper()
		r := w.post(path, `{"model":"tiny:1b","max_tokens":9,`+userAsks+`,`+fields+`}`)
		if r.status != status || !strings.Contains(r.body, want) || r.header.Get("X-Ignored-Params") != ignored {
			t.Errorf("%s %s: %d, ignored %q: %s; want %d, %q, %s", path, fields, r.status, r.header.Get("X-Ignored-Params"), r.body, status, ignored, want)
		}
	}
	const chat, messages = "/v1/chat/completions", "/v1/messages"
	tool := func(fields string) string { return `"tools":[{"type":"function","function":{` + fields + `}}]` }
	f(chat, `"tools":[{"type":"web_search"},{"type":"custom","custom":{"name":"x"}},{"type":"function","function":{"name":"x"}}]`, 200, `"content":"Hi"`, "tools[0], tools[1]")
	if got := w.prompted(); !strings.Contains(got, `<|end_header_id|>{"type": "function", "function": {"name": "x", "parameters": {"type": "object", "properties": {}}}}<|eot_id|>`) {
		t.Errorf("prompt %q", got)
	}
	f(chat, `"tools":[{"type":"","function":{"name":"x"}}]`, 200, `"content":"Hi"`, "") // an empty type is none
	f(chat, `"tools":[{"type":"","function":[null]}]`, 400, "tools[0].function must be an object, not a list", "")
	f(messages, `"tools":[{"type":"web_search_20250305","name":"web_search"},{"type":"custom","name":"x","input_schema":{"type":"object"}}],"tool_choice":{"type":"auto"}`, 200, `"text":"Hi"`, "tools[0]")
	f(chat, tool(`"name":"x"`)+`,"tool_choice":"none"`, 200, `"content":"Hi"`, "")
	if got := w.prompted(); strings.Contains(got, "function") {
		t.Errorf("with tool_choice none the prompt is %q", got)
	}
	f(chat, tool(`"name":"x","strict":null,"x-y":1`)+`,"tool_choice":null,"parallel_tool_calls":null`, 200, `"content":"Hi"`, "tools[0].function.x-y")
	f(chat, tool(`"name":"a b"`), 400, `tools[0].function.name is \"a b\", must be letters, digits and any of _.:/-, at most 128`, "")
	f(chat, tool(`"name":"x","parameters":{"type":"array"}`), 400, `tools[0].function.parameters.type must be \"object\"`, "")
	f(chat, `"tools":[{"type":"function","function":{"name":"x"}},{"type":"function","function":{"name":"x"}}]`, 400, `tools[1].function.name is \"x\", which another tool has too`, "")
	f(chat, `"tools":[`+strings.Repeat(`{"type":"web_search"},`, 3)+`7]`, 400, "tools[3] must be an object, not a number", "tools[0], tools[1], tools[2]")
	f(chat, `"tool_choice":"maybe"`, 400, `tool_choice is \"maybe\", must be none, auto, required or an object that names a function`, "")
	f(chat, tool(`"name":"x"`)+`,"tool_choice":{"type":"function","function":{"name":"y"}}`, 400, `tool_choice names \"y\", which is not among the tools`, "")
	f(chat, `"tool_choice":{"type":"function"}`, 400, "tool_choice.function.name must be the name of a tool", "")
	f(chat, `"tool_choice":{"type":"allowed_tools"}`, 400, `tool_choice.type is \"allowed_tools\"; only a function can be named`, "")
	f(messages, `"tools":[{"type":"bash_20250124","name":"bash"}],"tool_choice":{"type":"any"}`, 400, "tool_choice wants a call, and there are no tools", "tools[0]")
	// What cannot be forced is refused, by the keyword's place.
	f(chat, tool(`"name":"x","parameters":{"type":"object","properties":{"a":{"minLenght":1}}}`)+`,"tool_choice":"required"`, 400, `"param":"tools[0].function.parameters#/properties/a/minLenght"`, "")
	f(chat, tool(`"name":"x","strict":true,"parameters":{"type":"object","properties":{"a":{"minLenght":1}}}`), 400, `"param":"tools[0].function.parameters#/properties/a/minLenght"`, "")
	f(chat, tool(`"name":"x","parameters":{"type":"object","properties":{"a":{"minLenght":1}}}`), 200, `"content":"Hi"`, "")
	f(chat, tool(`"name":"x"`)+`,"tool_choice":"required"`, 400, "the shortest answer of the form that is asked for has more than 9 tokens", "")
}
