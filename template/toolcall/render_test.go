package toolcall_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ortserve/template"
	"ortserve/template/toolcall"
)

// Arguments that are hard on a format.
var renderedArguments = []string{
	`{}`, `{"city": "Zürich"}`, `{"a": {"b": [1, 2.5, true, null, "}]"]}, "c": "\"quoted\" \\ <b>"}`, `{"text": "line\nbreak\ttab 你好 👋🏽"}`,
	`{"json": "{\"name\": \"now\", \"arguments\": {}}"}`,
}

// TestRendered: a call that a template writes into a prompt is read back as the same call, for the templates kept here and those of the folder that
// ORTSERVE_TEMPLATES names. The templates' texts are transformers' own, as the tests of package template show.
func TestRendered(t *testing.T) {
	paths, err := filepath.Glob("../testdata/templates/*.jinja")
	if err != nil {
		t.Fatal(err)
	}
	if folder := os.Getenv("ORTSERVE_TEMPLATES"); folder != "" {
		more, err := filepath.Glob(filepath.Join(folder, "*.jinja"))
		if err != nil || len(more) == 0 {
			t.Fatalf("no *.jinja in %s (%v)", folder, err)
		}
		paths = append(paths, more...)
	}
	read := 0
	for _, path := range paths {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		format := toolcall.Detect(string(source))
		if format == toolcall.Generic {
			continue // calls are written and described in words
		}
		read++
		parsed, err := template.Parse(string(source), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, arguments := range renderedArguments {
			for _, n := range []int{1, 2} {
				if n > 1 && !format.Parallel() {
					continue
				}
				answer, err := answerWith(parsed, arguments, n)
				if err != nil {
					t.Errorf("%s: %v", filepath.Base(path), err)
					continue
				}
				p := toolcall.NewParser(format, []string{"get_weather"}, false)
				var calls []string
				for _, piece := range append(p.Write(answer), p.Close()...) {
					switch piece.Kind {
					case toolcall.Begin:
						calls = append(calls, "")
					case toolcall.Arguments:
						calls[piece.Call] += piece.Text
					}
				}
				same := len(calls) == n
				for _, c := range calls {
					same = same && cmp.Equal(decoded(t, c), decoded(t, arguments))
				}
				if !same {
					t.Errorf("%s (%s): %q holds %q, want %d of %s", filepath.Base(path), format, answer, calls, n, arguments)
				}
			}
		}
	}
	t.Logf("%d templates, of which %d have a form of calls that is known", len(paths), read)
	switch folder := os.Getenv("ORTSERVE_TEMPLATES"); {
	case read > 0:
	case folder == "":
		t.Skip("no template kept here writes calls, and ORTSERVE_TEMPLATES names no folder of *.jinja files (make test-templates brings one)")
	default:
		t.Error("no template writes calls in a form that is known")
	}
}

// answerWith is what a template writes for a message of n calls.
func answerWith(tmpl *template.Template, arguments string, n int) (string, error) {
	object, err := template.ParseJSON([]byte(arguments))
	if err != nil {
		return "", err
	}
	var calls []any
	for i := range n {
		calls = append(calls, template.Object{{Name: "id", Value: "call0000" + string(rune('0'+i))}, {Name: "type", Value: "function"}, {Name: "function", Value: template.Object{
			{Name: "name", Value: "get_weather"}, {Name: "arguments", Value: object},
		}}})
	}
	tools := []any{template.Object{{Name: "type", Value: "function"}, {Name: "function", Value: template.Object{
		{Name: "name", Value: "get_weather"}, {Name: "description", Value: "The weather."}, {Name: "parameters", Value: template.Object{
			{Name: "type", Value: "object"}, {Name: "properties", Value: template.Object{}},
		}},
	}}}}
	user := template.Message{Role: "user", Content: "hi"}
	render := func(messages ...template.Message) (string, error) {
		p, err := tmpl.Render(template.Input{Messages: messages, Tools: tools, BOS: "<s>", EOS: "</s>"})
		return p.Text, err
	}
	whole, err := render(user, template.Message{Role: "assistant", Fields: map[string]any{"tool_calls": calls}})
	if err != nil {
		return "", err
	}
	asked, err := render(user)
	if err != nil {
		return "", err
	}
	answer := strings.TrimPrefix(whole, asked)
	for _, end := range []string{"</s>", "<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|eom_id|>"} {
		answer, _, _ = strings.Cut(answer, end)
	}
	for _, begin := range []string{"<|im_start|>assistant", "<|end_header_id|>", "<|end_of_role|>"} { // after the role
		if _, after, ok := strings.Cut(answer, begin); ok {
			answer = after
		}
	}
	return answer, nil
}

func decoded(t *testing.T, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Errorf("%q: %v", text, err)
	}
	return v
}
