package routes

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ortserve/engine"
)

func TestMessagesBytes(t *testing.T) {
	w := newWorld(t, "Hé <b>")
	f := func(fields, text, stop, usage string) {
		t.Helper()
		r := w.post("/v1/messages", `{"model":"tiny:1b","max_tokens":20,"messages":[{"role":"user","content":"hi"}]`+fields+`}`)
		want := `{"id":"msg_` + fixedID + `","type":"message","role":"assistant","model":"tiny:1b","content":[{"type":"text","text":"` + text + `"}],` + stop + `,"usage":` + usage + `}`
		if diff := cmp.Diff(want, r.body); r.status != http.StatusOK || diff != "" {
			t.Errorf("%s: %d (-want +got):\n%s", fields, r.status, diff)
		}
	}
	f(``, "Hé <b>", `"stop_reason":"end_turn","stop_sequence":null`, `{"input_tokens":18,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":8}`)
	f(`,"stop_sequences":["zz","<"],"stream":false`, "Hé ", `"stop_reason":"stop_sequence","stop_sequence":"<"`,
		`{"input_tokens":2,"cache_creation_input_tokens":0,"cache_read_input_tokens":16,"output_tokens":5}`)
	r := w.post("/v1/messages", `{"model":"tiny:1b","max_tokens":2,"messages":[{"role":"user","content":"hi"}],"metadata":{"user_id":"u"},"thinking":{"type":"enabled"},"tools":[],"system":"","foo":1}`)
	if !strings.Contains(r.body, `"stop_reason":"max_tokens","stop_sequence":null`) || r.header.Get("X-Ignored-Params") != "foo" {
		t.Errorf("%d %s %v", r.status, r.body, r.header)
	}
}

func TestMessagesPrompt(t *testing.T) {
	w := newWorld(t, "ok")
	r := w.post("/v1/messages", `{"max_tokens":5,"system":[{"type":"text","text":"be","cache_control":{"type":"ephemeral"}},{"type":"text","text":"kind"}],"messages":[
		{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]},
		{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"text","text":"b"}]},
		{"role":"user","content":"c"}]}`)
	want := "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nbe\nkind<|eot_id|><|start_header_id|>user<|end_header_id|>\n\na<|eot_id|>" +
		"<|start_header_id|>assistant<|end_header_id|>\n\nb<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nc<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
	if got := w.prompted(); got != want || r.status != http.StatusOK {
		t.Errorf("%d %s\n got %q\nwant %q", r.status, r.body, got, want)
	}
	if got := r.header.Get("X-Ignored-Params"); got != "messages[1].content[0]" {
		t.Errorf("X-Ignored-Params is %q", got)
	}
}

func TestMessagesErrorBytes(t *testing.T) {
	w := newWorld(t, "Hi")
	f := func(path, body string, status int, typ, message string) {
		t.Helper()
		r := w.post(path, body)
		want := `{"type":"error","error":{"type":"` + typ + `","message":"` + message + `"},"request_id":"` + fixedID + `"}`
		if r.status != status || r.body != want {
			t.Errorf("%s %.80s\n got %d %s\nwant %d %s", path, body, r.status, r.body, status, want)
		}
	}
	const bad = "invalid_request_error"
	const user = `"messages":[{"role":"user","content":"hi"}]`
	f("/v1/messages", ``, 400, bad, "missing request body")
	f("/v1/messages", `{`+user+`}`, 400, bad, "max_tokens: Field required")
	f("/v1/messages", `{"max_tokens":1}`, 400, bad, "messages: at least one message is required")
	f("/v1/messages", `{"max_tokens":0,`+user+`}`, 400, bad, "max_tokens is 0, must be between 1 and 2147483647")
	f("/v1/messages", `{"max_tokens":1,"model":"x",`+user+`}`, 404, "not_found_error", "model 'x' not found; this server has tiny:1b")
	f("/v1/messages", `{"max_tokens":1,"tools":[{"input_schema":{"type":"object"}}],`+user+`}`, 400, bad, "tools[0].name is missing")
	f("/v1/messages", `{"max_tokens":1,"tool_choice":{"type":"some"},`+user+`}`, 400, bad, `tool_choice.type is \"some\", must be auto, any, tool or none`)
	f("/v1/messages", `{"max_tokens":1,"tool_choice":{"type":"tool"},`+user+`}`, 400, bad, `tool_choice.name is missing`)
	f("/v1/messages", `{"max_tokens":1,"messages":[{"role":"user","content":[{"type":"image","source":{}}]}]}`, 400, bad, "messages[0].content[0]: image input is not supported")
	f("/v1/messages", `{"max_tokens":1,"messages":[{"role":"user","content":[{"type":"tool_result"}]}]}`, 400, bad, "messages[0].content[0].tool_use_id is missing")
	f("/v1/messages", `{"max_tokens":1,"system":[{"type":"tool_result"}],`+user+`}`, 400, bad, `system[0]: a block of the type \"tool_result\" cannot be here`)
	f("/v1/messages", `{"max_tokens":1,"messages":[{"role":"tool","content":"x"}]}`, 400, bad, `messages[0].role is \"tool\", must be one of user, assistant, system`)
	f("/v1/messages", `{"max_tokens":1,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}]}`, 400, bad,
		"messages: the last message is the assistant's, and continuing it is not supported")
	f("/v1/messages/count_tokens", `{"messages":[]}`, 400, bad, "messages: at least one message is required")
	f("/v1/messages/nothing", `{}`, 404, "not_found_error", `there is no route POST \"/v1/messages/nothing\"`)
	f("/v1/messages", `{"max_tokens":1,"messages":[{"role":"user","content":"`+strings.Repeat("# ", 200)+`"}]}`, 400, bad,
		"the request (416 tokens) exceeds the available context size (256 tokens), which must also hold the answer: context_length_exceeded. "+
			"This model's maximum context length is 256 tokens (--max-len)")

	k := newWorld(t, "Hi", withKeys(t))
	r := k.post("/v1/messages", `{}`)
	if r.status != http.StatusUnauthorized || !strings.HasPrefix(r.body, `{"type":"error","error":{"type":"authentication_error","message":"no API key`) {
		t.Errorf("without a key: %d %s", r.status, r.body)
	}
}

func TestCountTokens(t *testing.T) {
	w := newWorld(t, "Hi")
	r := w.post("/v1/messages/count_tokens", `{"model":"tiny:1b","messages":[{"role":"user","content":"hi"}]}`)
	if r.status != http.StatusOK || r.body != `{"input_tokens":18}` {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestMessagesStreamBytes(t *testing.T) {
	var release chan<- struct{}
	w := newWorld(t, "Hé", func(w *world, _ *Options) { release = gate(t, w) })
	r := w.streamOf(release, "/v1/messages", `{"model":"tiny:1b","max_tokens":20,"stream":true,"messages":[{"role":"user","content":"hi"}]}`, step{1, `"H"`}, step{2, `"é"`})
	want := `event: message_start
data: {"type":"message_start","message":{"id":"msg_` + fixedID + `","type":"message","role":"assistant","model":"tiny:1b","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":18,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"H"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"é"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":18,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":4}}

event: message_stop
data: {"type":"message_stop"}

`
	if diff := cmp.Diff(want, r.body); r.status != http.StatusOK || diff != "" || r.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%d %v (-want +got):\n%s", r.status, r.header, diff)
	}
}

// failing is a world whose model fails after the first token.
func failing(t *testing.T) (*world, chan<- struct{}) {
	t.Helper()
	var release chan<- struct{}
	w := newWorld(t, "Hi", func(w *world, _ *Options) {
		release = gate(t, w)
		wait := w.model.before
		w.model.before = func(b *engine.Batch) error {
			if err := wait(b); err != nil {
				return err
			}
			if w.model.prompts[b.Rows[0].Slot] > 0 && len(b.Rows[0].Tokens) == 1 {
				return errors.New("secret of the inside")
			}
			return nil
		}
	})
	return w, release
}

func TestMessagesErrorInsideAStream(t *testing.T) {
	w, release := failing(t)
	r := w.streamOf(release, "/v1/messages", `{"max_tokens":20,"stream":true,"messages":[{"role":"user","content":"hi"}]}`, step{1, `"H"`})
	want := `event: error
data: {"type":"error","error":{"type":"api_error","message":"internal error; the server's log says more under this request's id"},"request_id":"` + fixedID + `"}

`
	if !strings.HasSuffix(r.body, "\n\n"+want) || r.status != http.StatusOK {
		t.Errorf("%d %s", r.status, r.body)
	}
}
