package template

import (
	"compress/gzip"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "have transformers write testdata/goldens.json.gz anew, from the templates in the folder that ORTSERVE_TEMPLATES names")

// goldenFamilies are the published models whose templates are kept, by the names of their files; testdata/README.md has their licences.
var goldenFamilies = []string{
	"Apertus-8B-Instruct",
	"ByteDance-Seed-OSS",
	"GLM-4.6",
	"HuggingFaceTB-SmolLM3-3B",
	"MiMo-VL",
	"MiniMax-M1",
	"Qwen-Qwen2.5-7B-Instruct",
	"Qwen-Qwen3-0.6B",
	"Qwen3-Coder",
	"deepseek-ai-DeepSeek-R1-Distill-Qwen-32B",
	"deepseek-ai-DeepSeek-V3.1",
	"ibm-granite-granite-3.3-2B-Instruct",
	"microsoft-Phi-3.5-mini-instruct",
	"mistralai-Mistral-Nemo-Instruct-2407",
	"openai-gpt-oss-120b",
}

// goldens are templates and what transformers made of each conversation with each of them.
type goldens struct {
	Templates map[string]string     `json:"templates"`
	Rendered  map[string][]rendered `json:"rendered"` // of a template, in the order of conversations.json
}

const goldenFile = "testdata/goldens.json.gz"

// TestGoldens compares with what transformers rendered, without Python.
func TestGoldens(t *testing.T) {
	list := conversations(t)
	if *update {
		writeGoldens(t, list)
	}
	f, err := os.Open(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var g goldens
	if err := json.NewDecoder(z).Decode(&g); err != nil {
		t.Fatal(err)
	}
	texts, refused := 0, 0
	for _, name := range goldenFamilies {
		parsed, err := Parse(g.Templates[name], nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := g.Rendered[name]
		if len(want) != len(list) {
			t.Fatalf("%s: %d of %d conversations are stored; -update stores them", name, len(want), len(list))
		}
		for i, c := range list {
			got, err := parsed.Render(input(t, withTokens(t, c)))
			if !want[i].same(got, err) {
				t.Errorf("%s, %s:\n got %q, %v\nwant %s", name, c.Name, got.Text, err, want[i])
			}
			if want[i].Text != nil {
				texts++
			} else {
				refused++
			}
		}
	}
	t.Logf("%d templates, %d conversations: %d texts, %d refused by the template", len(goldenFamilies), len(list), texts, refused)
}

// writeGoldens has transformers render every conversation with every template that is kept.
func writeGoldens(t *testing.T, list []conversation) {
	t.Helper()
	all := templatesIn(t, os.Getenv("ORTSERVE_TEMPLATES"))
	g := goldens{map[string]string{}, map[string][]rendered{}}
	var cases []renderCase
	for _, name := range goldenFamilies {
		g.Templates[name] = all[name]
		for _, c := range list {
			cases = append(cases, renderCase{name, withTokens(t, c)})
		}
	}
	results := reference(t, "transformers", g.Templates, cases)
	for i, name := range goldenFamilies {
		g.Rendered[name] = results[i*len(list) : (i+1)*len(list)]
	}
	f, err := os.Create(filepath.FromSlash(goldenFile))
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	e := json.NewEncoder(z)
	e.SetEscapeHTML(false)
	if err := e.Encode(g); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
