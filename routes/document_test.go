package routes

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the generated parts of docs/api.md")

const documentPath = "../docs/api.md"

// TestAPIDocument: docs/api.md says what the tables say, and each feature has its row.
func TestAPIDocument(t *testing.T) {
	b, err := os.ReadFile(documentPath)
	if err != nil {
		t.Fatal(err)
	}
	want := fillIn(t, fillIn(t, string(b), "errors", errorsDocument()), "routes", routesDocument())
	if *update {
		if err := os.WriteFile(documentPath, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(b)); diff != "" {
		t.Errorf("docs/api.md is not what `go test ./routes -run TestAPIDocument -update` writes (-want +got):\n%s", diff)
	}

	features, err := os.ReadFile("testdata/features.txt")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	_, section, _ := strings.Cut(string(b), "## What is there, and the test that proves it\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "| \n"), " |")
		name, tests := cells[0], strings.TrimSpace(cells[len(cells)-1])
		rows[name] = true
		if tests != "Test" && tests != "none" && !strings.HasPrefix(tests, "`Test") {
			t.Errorf("docs/api.md: the row %q names no test, but %q", name, tests)
		}
	}
	for line := range strings.Lines(string(features)) {
		if line = strings.TrimSuffix(line, "\n"); !strings.HasPrefix(line, "#") && !rows[line] {
			t.Errorf("docs/api.md has no row %q, which testdata/features.txt has", line)
		}
	}
}

// TestDocumentsNameTests: the tests that documents name exist, and each row of a table of rules names one.
func TestDocumentsNameTests(t *testing.T) {
	there := testsOfTheTree(t)
	documents, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile("`(Test[A-Za-z0-9]+)`")
	for _, path := range documents {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range name.FindAllStringSubmatch(string(text), -1) {
			if !there[n[1]] {
				t.Errorf("%s names %s, and there is no such test", path, n[1])
			}
		}
		if _, rules, ok := strings.Cut(string(text), "\n| Rule | Figure | Tests |\n|---|---|---|\n"); ok {
			for row := range strings.Lines(rules) {
				if strings.HasPrefix(row, "|") && !name.MatchString(row) {
					t.Errorf("%s: the rule %.60q names no test", path, row)
				}
			}
		}
	}
}

// testsOfTheTree returns the names of all tests of the checkout.
func testsOfTheTree(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	pattern := regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9]+)\(t \*testing\.T\)`)
	err := filepath.WalkDir("..", func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, name := range pattern.FindAllStringSubmatch(string(text), -1) {
			names[name[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// fillIn replaces what stands between a marker and the next end.
func fillIn(t *testing.T, text, marker, with string) string {
	t.Helper()
	begin, rest, ok := strings.Cut(text, "<!-- "+marker+" -->\n")
	_, end, ended := strings.Cut(rest, "<!-- end -->")
	if !ok || !ended {
		t.Fatalf("docs/api.md has no marker %s", marker)
	}
	return begin + "<!-- " + marker + " -->\n" + with + "<!-- end -->" + end
}

func errorsDocument() string {
	rows := map[string]bool{}
	for kind, row := range errorTable {
		code := "null"
		if row.code != "" {
			code = "`" + row.code + "`"
		}
		anthropic := (&apiError{kind: errorKind(kind)}).anthropicBody("").Error.Type
		rows[fmt.Sprintf("| %d | `%s` | %s | `%s` |\n", row.status, row.typ, code, anthropic)] = true
	}
	var lines []string
	for r := range rows {
		lines = append(lines, r)
	}
	slices.Sort(lines)
	return "| Status | OpenAI's `type` | `code` | Anthropic's `type` |\n|---|---|---|---|\n" + strings.Join(lines, "")
}

// row is a field of the document.
type row struct{ path, class, text string }

// rowsOf lists the fields of an object's schema and of those inside it, by name.
func rowsOf(s schema, at string) []row {
	properties, _ := s["properties"].(schema)
	names := make([]string, 0, len(properties))
	for n := range properties {
		names = append(names, n)
	}
	slices.Sort(names)
	var rows []row
	for _, n := range names {
		p, _ := properties[n].(schema)
		class, _ := p["x-class"].(string)
		text, _ := p["description"].(string)
		if class == "honoured" {
			text = typeText(p)
		}
		rows = append(rows, row{at + n, class, text})
		inner := p
		suffix := "."
		if choices, ok := p["anyOf"].([]schema); ok {
			for _, c := range choices {
				if items, ok := c["items"].(schema); ok && items["properties"] != nil {
					inner, suffix = items, "[]."
				}
			}
		}
		if items, ok := p["items"].(schema); ok {
			inner, suffix = items, "[]."
			if choices, ok := items["anyOf"].([]schema); ok {
				inner = choices[0]
			}
		}
		rows = append(rows, rowsOf(inner, at+n+suffix)...)
	}
	return rows
}

// plural is that of the names of types.
func plural(s string) string {
	if rest, ok := strings.CutPrefix(s, "list of "); ok {
		return "lists of " + rest
	}
	name, _, _ := strings.Cut(s, ", ") // without its bounds
	return name + "s"
}

// typeText says what values a schema allows.
func typeText(s schema) string {
	if choices, ok := s["anyOf"].([]schema); ok {
		var all []string
		for _, c := range choices {
			if text := typeText(c); text != "" && !slices.Contains(all, text) {
				all = append(all, text)
			}
		}
		return strings.Join(all, " or ")
	}
	var text string
	switch typ := s["type"].(type) {
	case string:
		text = typ
	case []string:
		text = strings.Join(slices.DeleteFunc(slices.Clone(typ), func(t string) bool { return t == "null" }), " or ")
	}
	switch text {
	case "null":
		return ""
	case "array":
		items, _ := s["items"].(schema)
		text = "list of " + plural(typeText(items))
		if n := s["maxItems"]; n != nil {
			text += fmt.Sprintf(", at most %v", n)
		}
	case "integer":
		if low, high := s["minimum"], s["maximum"]; low != nil && high != nil && fmt.Sprint(high) != "9223372036854775807" {
			text += fmt.Sprintf(", %v to %v", low, high)
		}
	}
	if values, ok := s["enum"].([]any); ok {
		text = ""
		for _, v := range values {
			if v != nil {
				text = strings.TrimPrefix(fmt.Sprintf("%s, `%v`", text, v), ", ")
			}
		}
	}
	return text
}

func routesDocument() string {
	var b strings.Builder
	tag, seen := "", map[string]string{}
	for _, o := range operations {
		if o.tag != tag {
			tag = o.tag
			fmt.Fprintf(&b, "\n### %s\n", tag)
		}
		fmt.Fprintf(&b, "\n**`%s %s`**", o.method, strings.Join(o.paths(), "`, `"))
		fmt.Fprintf(&b, ": %s.", o.summary)
		if o.streamType != "" {
			fmt.Fprintf(&b, " Streams as `%s`.", o.streamType)
		}
		if o.required != nil {
			fmt.Fprintf(&b, " Needs `%s`.", strings.Join(o.required, "`, `"))
		}
		b.WriteString("\n")
		if o.request == nil {
			continue
		}
		rows := rowsOf(o.request, "")
		if same := seen[fmt.Sprint(rows)]; same != "" {
			fmt.Fprintf(&b, "The fields are those of `%s`.\n", same)
			continue
		}
		seen[fmt.Sprint(rows)] = o.path
		b.WriteString("\n| Honoured | Value |\n|---|---|\n")
		var inerts, refusals []string
		for _, r := range rows {
			switch r.class {
			case "honoured":
				fmt.Fprintf(&b, "| `%s` | %s |\n", r.path, r.text)
			case "inert":
				inerts = append(inerts, "`"+r.path+"`")
			case "refused":
				text := "`" + r.path + "`"
				if _, why, ok := strings.Cut(r.text, ": "); ok {
					text += " (" + why + ")"
				}
				refusals = append(refusals, text)
			}
		}
		if inerts != nil {
			fmt.Fprintf(&b, "\nInert: %s.\n", strings.Join(inerts, ", "))
		}
		if refusals != nil {
			fmt.Fprintf(&b, "\nRefused: %s.\n", strings.Join(refusals, ", "))
		}
	}
	return strings.TrimPrefix(b.String(), "\n") + "\n"
}
