package template

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"ortserve/internal/testenv"
)

// now is the time in all renders that are compared.
var now = time.Date(2026, time.July, 4, 3, 5, 6, 0, time.UTC)

// renderCase is one render that Python's jinja2 is to do too.
type renderCase struct {
	Template  string          `json:"template"`
	Variables json.RawMessage `json:"variables"`
}

// rendered is what Python made of a renderCase: one field is set.
type rendered struct {
	Text   *string `json:"text"`
	Raised *string `json:"raised"`
	Error  *string `json:"error"`
}

// reference renders cases with Python: with transformers, or with jinja2 set up as transformers sets it up.
func reference(t *testing.T, with string, templates map[string]string, cases []renderCase) []rendered {
	t.Helper()
	job, err := json.Marshal(map[string]any{
		"now": now.Format("2006-01-02T15:04:05"), "templates": templates, "cases": cases,
	})
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), testenv.Python(t, with), filepath.Join("testdata", "reference.py"), with)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(job), &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("reference.py: %v\n%s", err, errs.Bytes())
	}
	var results []rendered
	if err := json.Unmarshal(out.Bytes(), &results); err != nil {
		t.Fatal(err)
	}
	if len(results) != len(cases) {
		t.Fatalf("reference.py rendered %d of %d cases", len(results), len(cases))
	}
	return results
}

// input makes an Input of the variables that Python is given.
func input(t *testing.T, variables json.RawMessage) Input {
	t.Helper()
	v, err := ParseJSON(variables)
	if err != nil {
		t.Fatal(err)
	}
	in := Input{Variables: map[string]any{}, Now: func() time.Time { return now }}
	for _, m := range v.(Object) {
		switch m.Name {
		case "messages":
			for _, message := range m.Value.([]any) {
				in.Messages = append(in.Messages, messageOf(message.(Object)))
			}
		case "tools":
			in.Tools = m.Value
		case "add_generation_prompt":
			in.AddGenerationPrompt = m.Value.(bool)
		case "bos_token":
			in.BOS = m.Value.(string)
		case "eos_token":
			in.EOS = m.Value.(string)
		default:
			in.Variables[m.Name] = m.Value
		}
	}
	return in
}

func messageOf(o Object) Message {
	m := Message{Fields: map[string]any{"role": Absent{}, "content": Absent{}}}
	for _, f := range o {
		m.Fields[f.Name] = f.Value
	}
	return m
}

// same says whether a render gave what Python gave, or failed as there.
func (want rendered) same(got Prompt, err error) bool {
	switch {
	case want.Text != nil:
		return err == nil && got.Text == *want.Text
	case want.Raised != nil:
		return err != nil && err.Error() == *want.Raised
	}
	return err != nil
}
