package routes

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestConstraintFields asks for an answer's form in the words of every dialect, of a model that would say something else.
func TestConstraintFields(t *testing.T) {
	w := newWorld(t, "Well, no.")
	const (
		message = `"model":"tiny:1b","messages":[{"role":"user","content":"hi"}]`
		schema  = `{"type":"object","properties":{"b":{"enum":["yes","no"]},"a":{"type":"integer","minimum":10,"maximum":99}},"required":["b","a"]}`
	)
	text := func(r reply, path string) string {
		t.Helper()
		var v any
		if err := json.Unmarshal([]byte(r.body), &v); err != nil || r.status != http.StatusOK {
			t.Fatalf("%d %s: %v", r.status, r.body, err)
		}
		for _, key := range strings.Split(path, ".") {
			switch x := v.(type) {
			case map[string]any:
				v = x[key]
			case []any:
				v = x[0]
			}
		}
		s, _ := v.(string)
		return s
	}
	answers := map[string]func(string) error{
		"schema": func(s string) error {
			var v struct {
				A int
				B string
			}
			if err := json.Unmarshal([]byte(s), &v); err != nil {
				return err
			}
			if v.A < 10 || v.A > 99 || v.B != "yes" && v.B != "no" || strings.Index(s, `"a"`) < strings.Index(s, `"b"`) {
				return fmt.Errorf("%+v", v)
			}
			return nil
		},
		"object": func(s string) error {
			var v map[string]any
			return json.Unmarshal([]byte(s), &v)
		},
		"word": func(s string) error {
			if s != "no" && s != "yes" {
				return fmt.Errorf("want yes or no")
			}
			return nil
		},
	}
	chat, completion := "choices.0.message.content", "choices.0.text"
	for _, c := range []struct{ path, body, at, want string }{
		{"/v1/chat/completions", message + `,"response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":` + schema + `}}`, chat, "schema"},
		{"/v1/chat/completions", message + `,"response_format":{"type":"json_schema","schema":` + schema + `}`, chat, "schema"},
		{"/v1/chat/completions", message + `,"response_format":{"type":"json_object"}`, chat, "object"},
		{"/v1/chat/completions", message + `,"response_format":{"type":"json_object","schema":` + schema + `}`, chat, "schema"},
		{"/v1/chat/completions", message + `,"json_schema":` + schema, chat, "schema"},
		{"/v1/chat/completions", message + `,"grammar":"root ::= \"yes\" | \"no\""`, chat, "word"},
		{"/v1/chat/completions", message + `,"guided_json":` + schema, chat, "schema"},
		{"/v1/chat/completions", message + `,"guided_regex":"n[o]|yes"`, chat, "word"},
		{"/v1/chat/completions", message + `,"guided_choice":["yes","no"]`, chat, "word"},
		{"/v1/chat/completions", message + `,"guided_grammar":"root ::= [n] [o]"`, chat, "word"},
		{"/v1/completions", `"model":"tiny:1b","prompt":"a","structured_outputs":{"json":` + schema + `}`, completion, "schema"},
		{"/v1/completions", `"model":"tiny:1b","prompt":"a","structured_outputs":{"choice":["yes","no"]}`, completion, "word"},
		{"/v1/completions", `"model":"tiny:1b","prompt":"a","structured_outputs":{"regex":"no|yes","json":null}`, completion, "word"},
		{"/v1/completions", `"model":"tiny:1b","prompt":"a","structured_outputs":{"json_object":true}`, completion, "object"},
		{"/completion", `"prompt":"a","json_schema":` + schema, "content", "schema"},
		{"/completion", `"prompt":"a","grammar":"root ::= \"no\"","n_predict":2`, "content", "word"},
		{"/api/generate", `"model":"tiny:1b","prompt":"a","stream":false,"format":` + schema, "response", "schema"},
		{"/api/chat", message + `,"stream":false,"format":"json"`, "message.content", "object"},
		{"/api/chat", message + `,"stream":false,"format":` + schema, "message.content", "schema"},
		{"/v1/responses", `"model":"tiny:1b","input":"a","text":{"format":{"type":"json_schema","name":"n","schema":` + schema + `}}`, "output.0.content.0.text", "schema"},
		{"/v1/messages", message + `,"max_tokens":100,"output_format":{"type":"json_schema","schema":` + schema + `}`, "content.0.text", "schema"},
		{"/v1/messages", message + `,"max_tokens":100,"output_config":{"effort":"low","format":{"type":"json_schema","schema":` + schema + `}}`, "content.0.text", "schema"},
	} {
		for _, temperature := range []string{"0", "1"} {
			set := `,"temperature":` + temperature
			if strings.HasPrefix(c.path, "/api/") {
				set = `,"options":{"temperature":` + temperature + `}`
			}
			r := w.post(c.path, "{"+c.body+set+"}")
			if got := text(r, c.at); answers[c.want](got) != nil {
				t.Errorf("%s %s: %q: %v", c.path, c.body, got, answers[c.want](got))
			}
			if strings.Contains(r.body, `"length"`) {
				t.Errorf("%s %s: %s", c.path, c.body, r.body)
			}
		}
	}
}

// TestConstraintRefusals shows what is refused, and by what name.
func TestConstraintRefusals(t *testing.T) {
	w := newWorld(t, "no")
	for _, c := range []struct{ path, body, want string }{
		{"/v1/completions", `"prompt":"a","guided_choice":["a"],"guided_regex":"b"`, "guided_choice and guided_regex both say what the answer must be; send one of them"},
		{"/v1/completions", `"prompt":"a","guided_choice":[1]`, "guided_choice[0] must be a string, not a number"},
		{"/v1/completions", `"prompt":"a","guided_regex":"(?=a)"`, "guided_regex: pattern"},
		{"/v1/completions", `"prompt":"a","structured_outputs":{"structural_tag":{"a":1}}`, "structured_outputs.structural_tag is not supported"},
		{"/v1/completions", `"prompt":"a","guided_json":{"type":"object","properties":{"x":{"minLenght":1}}}`, `"param":"guided_json#/properties/x/minLenght"`},
		{"/v1/completions", `"prompt":"a","response_format":{"type":"json_schema","json_schema":{"schema":{},"grammar":"x"}}`, "response_format.json_schema.grammar is not supported"},
		{"/v1/completions", `"prompt":"a","response_format":{"type":"json_schema","json_schema":{"name":"x"}}`, "response_format.json_schema.schema is missing"},
		{"/v1/completions", `"prompt":"a","guided_choice":["a"],"min_tokens":3`, "min_tokens and guided_choice do not go together"},
		{"/v1/completions", `"prompt":"a","guided_choice":["a"],"ignore_eos":true`, "ignore_eos and guided_choice do not go together"},
		{"/api/generate", `"model":"tiny:1b","prompt":"a","format":"yaml"`, `format must be \"json\" or a JSON Schema object`},
		{"/v1/messages", `"model":"tiny:1b","messages":[{"role":"user","content":"hi"}],"max_tokens":9,"output_format":{"type":"json_schema","schema":{"not":{"items":{}}}}`, "keyword items"},
	} {
		if r := w.post(c.path, "{"+c.body+"}"); r.status != http.StatusBadRequest || !strings.Contains(r.body, c.want) {
			t.Errorf("%s %s: %d %s, want %s", c.path, c.body, r.status, r.body, c.want)
		}
	}
}

// TestBannedTokens: a form holds whatever logit_bias says, and where both leave no token the request is what is wrong, in each dialect's way.
func TestBannedTokens(t *testing.T) {
	w := newWorld(t, "no")
	for _, sampling := range []string{`"temperature":0`, `"temperature":1`, `"top_k":3`} {
		ask := func(path, more, bias string) reply {
			if strings.HasPrefix(path, "/api/") {
				return w.post(path, `{"model":"tiny:1b","messages":[{"role":"user","content":"hi"}],"format":{"enum":[1,2]},"options":{`+sampling+`,"logit_bias":`+bias+`}`+more+`}`)
			}
			return w.post(path, `{"model":"tiny:1b","max_tokens":9,"messages":[{"role":"user","content":"hi"}],"response_format":{"type":"json_schema","schema":{"enum":[1,2]}},`+
				sampling+`,"logit_bias":`+bias+more+`}`)
		}
		const chat, none = "/v1/chat/completions", `[[49,false],[50,false]]`
		for bias, want := range map[string]string{`[[49,false]]`: `"content":"2"`, `{"49":-100}`: `"content":"2"`, `{"49":-100,"50":-100}`: `"content":"`} {
			if r := ask(chat, "", bias); r.status != http.StatusOK || !strings.Contains(r.body, want) {
				t.Errorf("%s, %s: %d %s, want %s", sampling, bias, r.status, r.body, want)
			}
		}
		for _, c := range []struct{ path, more, want string }{
			{chat, "", `{"error":{"message":"logit_bias takes out every token that may come next","type":"invalid_request_error","param":"logit_bias","code":null}}`},
			{chat, `,"logprobs":true`, `"param":"logit_bias"`},
			{"/api/chat", `,"stream":false`, `{"error":"options.logit_bias takes out every token that may come next"}`},
		} {
			if r := ask(c.path, c.more, none); r.status != http.StatusBadRequest || !strings.Contains(r.body, c.want) {
				t.Errorf("%s, %s %s: %d %s, want %s", sampling, c.path, c.more, r.status, r.body, c.want)
			}
		}
		for _, path := range []string{chat, "/api/chat"} {
			if r := ask(path, `,"stream":true`, none); !strings.Contains(r.body, "logit_bias takes out every token") || strings.Contains(r.body, "internal") {
				t.Errorf("%s, %s streamed: %d %s", sampling, path, r.status, r.body)
			}
		}
	}
}
