package routes

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// examples are the least bodies of routes, but for their closing brace.
var examples = map[string]string{
	"/apply-template":                   `{"messages":[{"role":"user","content":"hi"}]`,
	"/v1/chat/completions":              `{"messages":[{"role":"user","content":"hi"}]`,
	"/v1/chat/completions/input_tokens": `{"messages":[{"role":"user","content":"hi"}]`,
	"/v1/completions":                   `{"prompt":"hi"`,
	"/v1/responses":                     `{"input":"hi"`,
	"/v1/responses/input_tokens":        `{"input":"hi"`,
	"/v1/score":                         `{"prompt":"###","continuations":["$"]`,
	"/v1/messages":                      `{"messages":[{"role":"user","content":"hi"}]`,
	"/v1/messages/count_tokens":         `{"messages":[{"role":"user","content":"hi"}]`,
	"/api/generate":                     `{"model":"tiny:1b","stream":false,"prompt":"hi"`,
	"/api/chat":                         `{"model":"tiny:1b","stream":false,"messages":[{"role":"user","content":"hi"}]`,
	"/api/create":                       `{"model":"new:1b","from":"tiny:1b","stream":false`,
	"/completion":                       `{"prompt":"hi"`,
}

// numbersOf returns the members of a request that are numbers, with the names of the objects around them.
func numbersOf(s schema, at ...string) [][]string {
	var all [][]string
	properties, _ := s["properties"].(schema)
	for name, p := range properties {
		p, _ := p.(schema)
		path := append(slices.Clone(at), name)
		types, _ := p["type"].([]string)
		switch {
		case slices.Contains(types, "integer"), slices.Contains(types, "number"):
			all = append(all, path)
		case slices.Contains(types, "object"):
			all = append(all, numbersOf(p, path...)...)
		}
	}
	return all
}

// TestEveryNumber: each field of each route that is a number, with values that servers fall over, is accepted or is a 400 that names
// the field. Every route that takes numbers is tried.
func TestEveryNumber(t *testing.T) {
	w, _ := newStoreWorld(t)
	tried := 0
	for _, o := range operations {
		body := examples[o.path]
		for _, path := range numbersOf(o.request) {
			if body == "" {
				t.Fatalf("%s takes the number %v, and there is no example of its body", o.path, path)
			}
			for _, v := range []string{"-1", "0", "1", "2147483647", "2147483648", "-2147483649", "9223372036854775808", "1e400", "1e-400", "-0.0", "0.5", `"7"`, "null", "[]", "true"} {
				begin, rest := body, body
				if o.path == "/v1/messages" && path[0] != "max_tokens" {
					rest += `,"max_tokens":2`
				}
				field := fmt.Sprintf(`%q:%s`, path[len(path)-1], v)
				for _, name := range slices.Backward(path[:len(path)-1]) {
					field = fmt.Sprintf(`%q:{%s}`, name, field)
				}
				if strings.Contains(begin, `"`+path[0]+`"`) {
					t.Fatalf("%s: the example has %s already", o.path, path[0])
				}
				r := w.post(o.path, rest+","+field+"}")
				tried++
				if r.status != http.StatusOK && (r.status != http.StatusBadRequest || !strings.Contains(r.body, path[len(path)-1])) {
					t.Errorf("%s %s: %d %s", o.path, field, r.status, r.body)
				}
			}
		}
	}
	if tried < 500 {
		t.Errorf("only %d values were tried", tried)
	}
	eventually(t, "the slots are free", w.idle)
}

// typesOf are the types that a schema allows.
func typesOf(s schema) []string {
	var all []string
	switch t := s["type"].(type) {
	case string:
		all = append(all, t)
	case []string:
		all = append(all, t...)
	}
	if choices, ok := s["anyOf"].([]schema); ok {
		for _, c := range choices {
			all = append(all, typesOf(c)...)
		}
	}
	return all
}

// TestEmptyIsAbsent: an empty text or list of an optional field is as good as none, whatever the route.
func TestEmptyIsAbsent(t *testing.T) {
	w, _ := newStoreWorld(t)
	tried := 0
	for _, o := range operations {
		body := examples[o.path]
		properties, _ := o.request["properties"].(schema)
		for name, p := range properties {
			p, _ := p.(schema)
			if body == "" || slices.Contains(o.required, name) || strings.Contains(body, `"`+name+`":`) {
				continue
			}
			full := body
			if o.path == "/v1/messages" && name != "max_tokens" {
				full += `,"max_tokens":2`
			}
			for typ, empty := range map[string]string{"string": `""`, "array": "[]"} {
				if !slices.Contains(typesOf(p), typ) {
					continue
				}
				tried++
				if r := w.post(o.path, fmt.Sprintf("%s,%q:%s}", full, name, empty)); r.status != http.StatusOK || r.header.Get("X-Ignored-Params") != "" {
					t.Errorf("%s %s: %s: %d, ignored %q: %.300s", o.path, name, empty, r.status, r.header.Get("X-Ignored-Params"), r.body)
				}
			}
		}
	}
	if tried < 100 {
		t.Errorf("only %d were tried", tried)
	}
}

// TestHostileBodies: bodies that are no JSON, or JSON that two readers could read as two things, are 400 in the dialect's shape.
func TestHostileBodies(t *testing.T) {
	w := newWorld(t, "Hi")
	keys := strings.Builder{}
	for i := range 1_000_000 {
		fmt.Fprintf(&keys, `"%d":0,`, i)
	}
	for what, body := range map[string]string{
		"depth 10,001":       `{"prompt":` + strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001) + "}",
		"depth 1,000,000":    strings.Repeat(`{"a":`, 1_000_000),
		"a million names":    "{" + keys.String() + `"a":1}`,
		"a name twice":       `{"model":"tiny:1b","model":"other"}`,
		"a name in capitals": `{"model":"tiny:1b","prompt":"hi","messages":[{"role":"user","content":"hi"}],"STREAM":false}`,
		"more behind":        `{"model":"tiny:1b"} {}`,
		"UTF-16":             "\xff\xfe{\x00}\x00",
		"a lone surrogate":   `{"model":"\ud800"}`,
		"a byte 0xff":        "{\"model\":\"\xff\"}",
		"NaN":                `{"model":"tiny:1b","temperature":NaN}`,
		"nothing":            "",
		"null":               "null",
	} {
		for _, path := range []string{"/v1/chat/completions", "/api/chat", "/v1/messages"} {
			r := w.post(path, body)
			var e struct{ Error any }
			if err := json.Unmarshal([]byte(r.body), &e); r.status != http.StatusBadRequest || err != nil || e.Error == nil || len(r.body) > 1000 {
				t.Errorf("%s, %s: %d %.300s", path, what, r.status, r.body)
			}
		}
	}
}

// TestLongPrompts: four mebibytes of any text are a 400 that tells both numbers, whichever way they come.
func TestLongPrompts(t *testing.T) {
	w := newWorld(t, "Hi")
	numbers := regexp.MustCompile(`the request \([1-9]\d{3,} tokens\) exceeds the available context size \(256 tokens\)`)
	f := func(path, before, text, after string) {
		t.Helper()
		r := w.post(path, before+text+after)
		if r.status != http.StatusBadRequest || !numbers.MatchString(r.body) || !strings.Contains(r.body, "context_length_exceeded") {
			t.Errorf("%s, %.10q…: %d %.300s", path, text, r.status, r.body)
		}
	}
	const size = 4 << 20
	units := []string{"a", "😀", " ", "word ", "supercalifragilistic"}
	if testing.Short() {
		units = units[:2]
	}
	for _, unit := range units {
		f("/v1/chat/completions", `{"messages":[{"role":"user","content":"`, "x"+strings.Repeat(unit, size/len(unit))+"x", `"}]}`)
	}
	words := strings.Repeat("word ", 1<<20/5)
	f("/v1/completions", `{"prompt":"`, words, `"}`)
	f("/v1/responses", `{"input":"`, words, `"}`)
	f("/v1/messages", `{"max_tokens":1,"messages":[{"role":"user","content":"`, words, `"}]}`)
	f("/api/generate", `{"model":"tiny:1b","prompt":"`, words, `"}`)
	f("/api/chat", `{"model":"tiny:1b","messages":[{"role":"user","content":"`, words, `"}]}`)
	f("/completion", `{"prompt":"`, words, `"}`)
	turns := `{"role":"user","content":"a"},{"role":"assistant","content":"b"},`
	f("/v1/chat/completions", `{"messages":[`, strings.Repeat(turns, 10_000), `{"role":"user","content":"c"}]}`)
}

// TestManyAnswers: what one request may ask for is bounded, and each answer takes its place in slots and queue.
func TestManyAnswers(t *testing.T) {
	w := newWorld(t, "Hi")
	f := func(body string, status int, want string) {
		t.Helper()
		if r := w.post("/v1/completions", body); r.status != status || !strings.Contains(r.body, want) {
			t.Errorf("%.80s: %d %.300s, want %d %s", body, r.status, r.body, status, want)
		}
	}
	f(`{"prompt":"a","n":9}`, 400, "n is 9, must be between 1 and 8")
	f(`{"prompt":"a","n":2147483647}`, 400, "n is 2147483647")
	f(`{"prompt":"a","best_of":8}`, 400, "best_of")
	f(`{"prompt":`+list(129, `"a"`)+`}`, 400, "129 prompts")
	f(`{"prompt":"a","n":8}`, 503, "--queue") // two slots and a queue of one
	f(`{"prompt":["a","b","c"],"n":2}`, 503, "--queue")
	eventually(t, "what was refused has left its places", w.idle)
	f(`{"prompt":["a","b","c"]}`, 200, `"index":2`)
	eventually(t, "the slots are free", w.idle)
}

// TestLogIsOneLine: nothing that a client writes breaks a line of the log, or makes one long.
func TestLogIsOneLine(t *testing.T) {
	w := newWorld(t, "Hi", func(_ *world, o *Options) { o.AnyModel = true })
	for _, model := range []string{`a\nb`, `\u001b[31mred`, `\u2028\u2029`, strings.Repeat("x", 1<<20)} {
		if r := w.post("/v1/completions", `{"prompt":"hi","model":"`+model+`","`+model+`":1}`); r.status != http.StatusOK {
			t.Errorf("%.40s: %d %.200s", model, r.status, r.body)
		}
	}
	w.raw("GET /a%0a%1b%ff" + strings.Repeat("b", 4<<10) + " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: é\r\nX-Request-Id: a b\r\n\r\n")
	eventually(t, "the log has the last request", func() bool { return strings.Contains(w.logs.String(), "/a???bbb") })
	for line := range strings.Lines(w.logs.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil || strings.ContainsAny(line, "\x1b\u2028\u2029") || strings.Contains(line, `\u001b`) {
			t.Errorf("%v: %.200q", err, line)
		}
		for name, v := range fields {
			if s, ok := v.(string); ok && len(s) > 1024 {
				t.Errorf("%s has %d bytes", name, len(s))
			}
		}
	}
}
