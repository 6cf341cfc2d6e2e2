package template

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// conversation is one entry of testdata/conversations.json.
type conversation struct {
	Name      string          `json:"name"`
	Variables json.RawMessage `json:"variables"`
}

func conversations(t *testing.T) []conversation {
	t.Helper()
	data, err := os.ReadFile("testdata/conversations.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []conversation
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// templatesIn reads the *.jinja of a folder.
func templatesIn(t *testing.T, folder string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*.jinja"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no *.jinja in %s (%v)", folder, err)
	}
	templates := map[string]string{}
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		templates[strings.TrimSuffix(filepath.Base(p), ".jinja")] = string(data)
	}
	return templates
}

// withTokens returns a conversation's variables with those of its model's tokens.
func withTokens(t *testing.T, c conversation) json.RawMessage {
	t.Helper()
	var o map[string]json.RawMessage
	if err := json.Unmarshal(c.Variables, &o); err != nil {
		t.Fatal(err)
	}
	return json.RawMessage(`{"bos_token":"<s>","eos_token":"</s>",` + string(c.Variables[1:]))
}

// compareFamilies renders every conversation with every template, here and in Python.
func compareFamilies(t *testing.T, with string, templates map[string]string) {
	t.Helper()
	list := conversations(t)
	var cases []renderCase
	for _, name := range sortedKeys(templates) {
		for _, c := range list {
			cases = append(cases, renderCase{name, withTokens(t, c)})
		}
	}
	want := reference(t, with, templates, cases)
	texts, raised, failed := 0, 0, 0
	at := 0
	for _, name := range sortedKeys(templates) {
		parsed, err := Parse(templates[name], nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			at += len(list)
			continue
		}
		for _, c := range list {
			w := want[at]
			got, err := parsed.Render(input(t, cases[at].Variables))
			at++
			if !w.same(got, err) {
				t.Errorf("%s, %s:\n got %q, %v\nwant %s", name, c.Name, got.Text, err, w)
			}
			switch {
			case w.Text != nil:
				texts++
			case w.Raised != nil:
				raised++
			default:
				failed++
			}
		}
	}
	t.Logf("%d templates, %d conversations: %d texts, %d refused by the template, %d errors of the template",
		len(templates), len(list), texts, raised, failed)
	if texts == 0 {
		t.Error("nothing was rendered")
	}
}

func (want rendered) String() string {
	switch {
	case want.Text != nil:
		return "text " + quote(*want.Text)
	case want.Raised != nil:
		return "raised " + quote(*want.Raised)
	}
	return "error " + quote(*want.Error)
}

func quote(s string) string {
	data, _ := json.Marshal(s)
	return string(data)
}

// TestFamilies compares the templates of published models in the folder that ORTSERVE_TEMPLATES names with transformers.
func TestFamilies(t *testing.T) {
	folder := os.Getenv("ORTSERVE_TEMPLATES")
	if folder == "" {
		t.Skip("ORTSERVE_TEMPLATES names no folder of *.jinja files (make test-templates brings one)")
	}
	compareFamilies(t, "transformers", templatesIn(t, folder))
}

// TestTemplates compares the templates that are kept here.
func TestTemplates(t *testing.T) { compareFamilies(t, "jinja2", templatesIn(t, "testdata/templates")) }
