package template

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// snippetVariables are what the snippets see.
const snippetVariables = `{"messages":[{"role":"system","content":"Be <b>kind</b> & \"exact\"."},{"role":"user","content":"Grüße\n"},` +
	`{"role":"assistant","content":"a"}],"tools":null,"documents":null,"add_generation_prompt":true,"bos_token":"<s>",` +
	`"extra":"E","big":123456789012345678901234567890,"half":0.5,"neg0":-0.0}`

// Small templates, one for each corner of the language, give what Python's jinja2 gives.
func TestSnippets(t *testing.T) {
	data, err := os.ReadFile("testdata/snippets.txt")
	if err != nil {
		t.Fatal(err)
	}
	snippets := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n----\n")
	compareSnippets(t, snippets)
}

func compareSnippets(t *testing.T, snippets []string) {
	t.Helper()
	templates := map[string]string{}
	var cases []renderCase
	for i, s := range snippets {
		name := fmt.Sprint(i)
		templates[name] = s
		cases = append(cases, renderCase{name, json.RawMessage(snippetVariables)})
	}
	in := input(t, cases[0].Variables)
	for i, w := range reference(t, "jinja2", templates, cases) {
		var got Prompt
		parsed, err := Parse(snippets[i], nil)
		if err == nil {
			got, err = parsed.Render(in)
		}
		if !w.same(got, err) {
			t.Errorf("%s\n got %s, %v\nwant %s", snippets[i], quote(got.Text), err, w)
		}
	}
}
