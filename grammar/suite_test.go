package grammar

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"ortserve/grammar/grammartest"
)

// suiteGroup is a schema of the JSON-Schema-Test-Suite with values that are valid by it or not.
type suiteGroup struct {
	Description string
	Schema      json.RawMessage
	Tests       []struct {
		Description string
		Data        json.RawMessage
		Valid       bool
	}
}

func readSuite(t *testing.T) map[string][]suiteGroup {
	t.Helper()
	f, err := os.Open("testdata/suite.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var suite map[string][]suiteGroup
	if err := json.NewDecoder(z).Decode(&suite); err != nil {
		t.Fatal(err)
	}
	return suite
}

// texts are the ways to write v that a grammar may accept: numbers in their one spelling, properties in any order, at most some thousand.
func texts(v *value) [][]byte {
	join := func(open, end byte, parts [][][]byte) [][]byte {
		all := [][]byte{{open}}
		for i, alternatives := range parts {
			var next [][]byte
			for _, head := range all {
				for _, a := range alternatives {
					if len(next) > 5000 {
						break
					}
					b := slices.Clone(head)
					if i > 0 {
						b = append(b, ',')
					}
					next = append(next, append(b, a...))
				}
			}
			all = next
		}
		for i := range all {
			all[i] = append(all[i], end)
		}
		return all
	}
	switch v.kind {
	case 'a':
		parts := make([][][]byte, len(v.list))
		for i, x := range v.list {
			parts[i] = texts(x)
		}
		return join('[', ']', parts)
	case 'o':
		var all [][]byte
		permute(len(v.keys), func(order []int) {
			parts := make([][][]byte, len(order))
			for i, k := range order {
				for _, x := range texts(v.fields[v.keys[k]]) {
					parts[i] = append(parts[i], append([]byte(quoted(v.keys[k])+":"), x...))
				}
			}
			all = append(all, join('{', '}', parts)...)
		})
		return all
	}
	return [][]byte{v.canonical(nil)}
}

// permute calls f with the orders of n things; of more than 6 with one.
func permute(n int, f func(order []int)) {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	if n > 6 {
		f(order)
		return
	}
	var rec func(k int)
	rec = func(k int) {
		if k == n {
			f(order)
			return
		}
		for i := k; i < n; i++ {
			order[k], order[i] = order[i], order[k]
			rec(k + 1)
			order[k], order[i] = order[i], order[k]
		}
	}
	rec(0)
}

// exceptions are the tests of the suite, by a part of their names, in which a grammar differs, and why.
var exceptions = []struct{ name, why string }{
	{"only an annotation by default", "a format is asserted, as the suite's tests of formats do"},
	{"/optional/format/", "a format is compiled as its usual form, not each that its standard allows; what is generated is valid"},
	{"escaped characters: quoted tab", "of the names that minProperties counts at most one is undeclared"},
	{"escaped characters: valid object 2", "of the names that minProperties counts at most one is undeclared"},
	{"\\s matches whitespace", "\\s is what RE2 and ECMAScript have in common"},
	{"float-overflow", "numbers have at most 64 digits in a row"},
	{"with no validation vocabulary", "the vocabularies of a metaschema are not looked at"},
	{"/optional/content.json", "contentEncoding and contentMediaType say nothing, as in 2020-12"},
}

// excepted says whether a test is one of the exceptions.
func excepted(name string) bool {
	return slices.ContainsFunc(exceptions, func(e struct{ name, why string }) bool { return strings.Contains(name, e.name) })
}

// suiteRuns is how many values of each schema TestSuite generates.
var suiteRuns = flag.Int("suite-runs", 15, "values of each schema of the JSON-Schema-Test-Suite that are generated, without -short")

// TestSuite runs the JSON-Schema-Test-Suite. Of each schema that is compiled, generated values are valid, the suite's valid values are
// accepted and its other values are refused; each schema that is not compiled is refused by keyword.
func TestSuite(t *testing.T) {
	suite := readSuite(t)
	runs := *suiteRuns
	if testing.Short() {
		runs = 3
	}
	compiled, schemas, accepted, valid, generated := 0, 0, 0, 0, 0
	refusals := make(map[string]int)
	files := make([]string, 0, len(suite))
	for f := range suite {
		files = append(files, f)
	}
	slices.Sort(files)
	for _, file := range files {
		draft := jsonschema.Draft2020
		if strings.HasPrefix(file, "draft7") {
			draft = jsonschema.Draft7
		}
		for _, group := range suite[file] {
			schemas++
			schema := []byte(group.Schema)
			if draft == jsonschema.Draft7 && schema[0] == '{' && !bytes.Contains(schema, []byte(`"$schema"`)) {
				schema = append([]byte(`{"$schema":"http://json-schema.org/draft-07/schema#",`), bytes.TrimSpace(schema[1:])...)
				schema = bytes.Replace(schema, []byte(",}"), []byte("}"), 1)
			}
			where := file + ": " + group.Description
			g, err := JSONSchema(schema, Options{})
			if err != nil {
				var e *SchemaError
				if !errors.As(err, &e) {
					t.Errorf("%s: %s: %v, want an error that names a keyword", where, schema, err)
					continue
				}
				refusals[e.Keyword]++
				if e.Keyword == "" {
					for _, x := range group.Tests {
						if x.Valid {
							t.Errorf("%s: %s: %v, but %s is valid", where, schema, err, x.Data)
						}
					}
				}
				continue
			}
			compiled++
			if j, err := grammartest.NewDraftJudge(string(schema), draft); err == nil { // else it refers to a document that is elsewhere
				rng := rand.New(rand.NewPCG(3, uint64(schemas)))
				for range runs {
					text := generate(g, rng, rng.IntN(60))
					generated++
					if err := j.Check(text); err != nil {
						t.Errorf("%s: %s was generated by: %v", where, schema, err)
						break
					}
				}
			}
			for _, x := range group.Tests {
				ids := 0
				v, err := parseValue(x.Data, func() int { ids++; return ids })
				if err != nil {
					continue // an exponent that is too large
				}
				ok := slices.ContainsFunc(texts(v), g.Matches)
				if x.Valid {
					valid++
				}
				name := file + ": " + group.Description + ": " + x.Description
				switch {
				case ok && x.Valid:
					accepted++
				case ok && !excepted(name):
					t.Errorf("%s: %s: %s is let through", name, schema, x.Data)
				case x.Valid && !ok && !excepted(name):
					t.Errorf("%s: %s: %s is refused", name, schema, x.Data)
				}
			}
		}
	}
	t.Logf("%d of %d schemas are compiled; %d values generated; %d of %d valid values of the suite accepted", compiled, schemas, generated, accepted, valid)
	t.Logf("refused by keyword: %v", refusals)
}
