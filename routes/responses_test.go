package routes

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// responseBytes is a response with its parts that differ.
func responseBytes(status, incomplete, instructions, limit, output, usage, failure string) string {
	return `{"id":"resp_` + fixedID + `","object":"response","created_at":1787306400,"status":"` + status + `","background":false,"error":` + failure + `,"incomplete_details":` + incomplete +
		`,"instructions":` + instructions + `,"max_output_tokens":` + limit + `,"model":"tiny:1b","output":[` + output + `],"parallel_tool_calls":true,"previous_response_id":null,` +
		`"reasoning":{"effort":null,"summary":null},"store":false,"temperature":1,"text":{"format":{"type":"text"}},"tool_choice":"auto","tools":[],"top_p":1,"truncation":"disabled",` +
		`"usage":` + usage + `,"user":null,"metadata":{}}`
}

const responseMessage = `{"id":"msg_` + fixedID + `","type":"message","status":"STATUS","role":"assistant","content":[CONTENT]}`

func outputBytes(status, text string) string {
	return strings.NewReplacer("STATUS", status, "CONTENT", `{"type":"output_text","annotations":[],"logprobs":[],"text":"`+text+`"}`).Replace(responseMessage)
}

func TestResponsesBytes(t *testing.T) {
	w := newWorld(t, "Hé")
	f := func(body, want string) {
		t.Helper()
		r := w.post("/v1/responses", body)
		if diff := cmp.Diff(want, r.body); r.status != http.StatusOK || diff != "" {
			t.Errorf("%s: %d (-want +got):\n%s", body, r.status, diff)
		}
	}
	f(`{"model":"tiny:1b","input":"hi","store":true,"include":["reasoning.encrypted_content"],"reasoning":{"effort":"low"},"text":{"verbosity":"low"},"tools":[],"tool_choice":"auto"}`,
		responseBytes("completed", "null", "null", "null", outputBytes("completed", "Hé"),
			`{"input_tokens":18,"input_tokens_details":{"cached_tokens":0},"output_tokens":4,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":22}`, "null"))
	f(`{"instructions":"x","input":[{"role":"user","content":[{"type":"input_text","text":"a"}]},{"type":"reasoning","summary":[]},{"type":"message","role":"assistant","id":"msg_1","status":"completed",
		"content":[{"type":"output_text","text":"b","annotations":[]}]},{"role":"user","content":"c"}],"max_output_tokens":1}`,
		responseBytes("incomplete", `{"reason":"max_output_tokens"}`, `"x"`, "1", outputBytes("incomplete", "H"),
			`{"input_tokens":47,"input_tokens_details":{"cached_tokens":2},"output_tokens":1,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":48}`, "null"))
	if got, want := w.prompted(), "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nx<|eot_id|><|start_header_id|>user<|end_header_id|>\n\na<|eot_id|>"+
		"<|start_header_id|>assistant<|end_header_id|>\n\nb<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nc<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"; got != want {
		t.Errorf("prompt %q, want %q", got, want)
	}
	r := w.post("/v1/responses", `{"input":"hi","metadata":{"a":1.50,"b":["x"]},"user":"u"}`)
	if !strings.HasSuffix(r.body, `"user":"u","metadata":{"a":1.50,"b":["x"]}}`) {
		t.Errorf("metadata: %s", r.body)
	}
	r = w.post("/v1/responses/input_tokens", `{"input":"hi"}`)
	if r.body != `{"input_tokens":18}` {
		t.Errorf("input_tokens: %d %s", r.status, r.body)
	}
	for body, want := range map[string]string{
		`{}`:                          `"message":"input is missing; it is a string or a list of items","type":"invalid_request_error","param":"input"`,
		`{"input":[]}`:                `input is missing`,
		`{"input":5}`:                 `input must be a string or a list of items, not a number`,
		`{"input":[{"content":"x"}]}`: `input[0].role is missing`,
		`{"input":"x","previous_response_id":"resp_1"}`:                                  `previous_response_id is not supported: responses are not stored`,
		`{"input":"x","truncation":"auto"}`:                                              `truncation is not supported: what is too long is refused`,
		`{"input":"x","text":{"format":{"type":"json_schema","name":"x"}}}`:              `text.format.schema is missing`,
		`{"input":"x","background":true}`:                                                `background is not supported`,
		`{"input":"x","tools":[{"type":"web_search"}],"tool_choice":"required"}`:         `tool_choice wants a call, and there are no tools`,
		`{"input":[{"type":"function_call_output","output":"x"}]}`:                       `input[0].call_id is missing`,
		`{"input":[{"type":"function_call","call_id":"c"}]}`:                             `input[0].name is missing`,
		`{"input":[{"type":"computer_call"}]}`:                                           `input[0]: an item of the type \"computer_call\" is not supported`,
		`{"input":[{"role":"user","content":[{"type":"input_image","image_url":"x"}]}]}`: `input[0].content[0]: image input is not supported`,
	} {
		if r := w.post("/v1/responses", body); r.status != http.StatusBadRequest || !strings.Contains(r.body, want) {
			t.Errorf("%s: %d %s, want %s", body, r.status, r.body, want)
		}
	}
}

func TestResponsesStreamBytes(t *testing.T) {
	var release chan<- struct{}
	w := newWorld(t, "Hé", func(w *world, _ *Options) { release = gate(t, w) })
	r := w.streamOf(release, "/v1/responses", `{"model":"tiny:1b","input":"hi","stream":true}`, step{1, `"H"`}, step{2, `"é"`})
	begun := responseBytes("in_progress", "null", "null", "null", "", "null", "null")
	empty := strings.NewReplacer("STATUS", "in_progress", "CONTENT", "").Replace(responseMessage)
	const part = `"item_id":"msg_` + fixedID + `","output_index":0,"content_index":0,`
	const text = `{"type":"output_text","annotations":[],"logprobs":[],"text":"`
	done := responseBytes("completed", "null", "null", "null", outputBytes("completed", "Hé"),
		`{"input_tokens":18,"input_tokens_details":{"cached_tokens":0},"output_tokens":4,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":22}`, "null")
	var want strings.Builder
	for i, ev := range [][2]string{
		{"response.created", `"response":` + begun},
		{"response.in_progress", `"response":` + begun},
		{"response.output_item.added", `"output_index":0,"item":` + empty},
		{"response.content_part.added", part + `"part":` + text + `"}`},
		{"response.output_text.delta", part + `"delta":"H","logprobs":[]`},
		{"response.output_text.delta", part + `"delta":"é","logprobs":[]`},
		{"response.output_text.done", part + `"text":"Hé","logprobs":[]`},
		{"response.content_part.done", part + `"part":` + text + `Hé"}`},
		{"response.output_item.done", `"output_index":0,"item":` + outputBytes("completed", "Hé")},
		{"response.completed", `"response":` + done},
	} {
		want.WriteString("event: " + ev[0] + "\ndata: {\"type\":\"" + ev[0] + "\",\"sequence_number\":" + string(rune('0'+i)) + "," + ev[1] + "}\n\n")
	}
	if diff := cmp.Diff(want.String(), r.body); r.status != http.StatusOK || diff != "" {
		t.Errorf("%d (-want +got):\n%s", r.status, diff)
	}
}

func TestResponsesErrorInsideAStream(t *testing.T) {
	w, release := failing(t)
	r := w.streamOf(release, "/v1/responses", `{"model":"tiny:1b","input":"hi","stream":true}`, step{1, `"H"`})
	const text = "internal error; the server's log says more under this request's id"
	want := "event: error\n" + `data: {"type":"error","sequence_number":5,"code":"internal_error","message":"` + text + `","param":null}` + "\n\n" +
		"event: response.failed\n" + `data: {"type":"response.failed","sequence_number":6,"response":` +
		responseBytes("failed", "null", "null", "null", "", "null", `{"code":"server_error","message":"`+text+`"}`) + "}\n\n"
	if !strings.HasSuffix(r.body, "\n\n"+want) || r.status != http.StatusOK {
		t.Errorf("%d %s\nwant the end %s", r.status, r.body, want)
	}
}
