package routes

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// published returns the document as a client gets it.
func published(t *testing.T, w *world) map[string]any {
	t.Helper()
	r := w.do(http.MethodGet, "/openapi.json", "")
	var doc map[string]any
	if err := json.Unmarshal([]byte(r.body), &doc); err != nil || r.status != http.StatusOK {
		t.Fatalf("%d %v", r.status, err)
	}
	return doc
}

// dig follows names into nested objects.
func dig(t *testing.T, v any, names ...string) any {
	t.Helper()
	for _, n := range names {
		o, ok := v.(map[string]any)
		if !ok || o[n] == nil {
			t.Fatalf("no %s in %v of %v", n, names, v)
		}
		v = o[n]
	}
	return v
}

// TestOpenAPIRoutes: the document has each route, and no other.
func TestOpenAPIRoutes(t *testing.T) {
	w := newWorld(t, "Hi")
	paths, ok := dig(t, published(t, w), "paths").(map[string]any)
	if !ok {
		t.Fatal("no paths")
	}
	var documented, routed []string
	for path, at := range paths {
		for method := range at.(map[string]any) {
			documented = append(documented, strings.ToUpper(method)+" "+path)
		}
	}
	for _, r := range newServer(w.Options).app().GetRoutes(true) {
		if r.Method != http.MethodHead && !slices.Contains(pagePaths, r.Path) { // a page is no API
			path := r.Path
			if below, ok := strings.CutSuffix(path, "+"); ok {
				path = below + placeholder(below)
			}
			routed = append(routed, r.Method+" "+path)
		}
	}
	slices.Sort(documented)
	slices.Sort(routed)
	if !slices.Equal(documented, routed) {
		t.Errorf("documented %v\nrouted %v", documented, routed)
	}
}

// conforms says how v breaks a schema: the part of JSON Schema that the document uses.
func conforms(doc, s map[string]any, v any, at string) error {
	if ref, ok := s["$ref"].(string); ok {
		var target any = doc
		for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
			target = target.(map[string]any)[name]
		}
		return conforms(doc, target.(map[string]any), v, at)
	}
	if types := s["type"]; types != nil {
		list, ok := types.([]any)
		if !ok {
			list = []any{types}
		}
		is := map[string]bool{"null": v == nil}
		switch x := v.(type) {
		case string:
			is["string"] = true
		case bool:
			is["boolean"] = true
		case float64:
			is["number"], is["integer"] = true, x == float64(int64(x))
		case []any:
			is["array"] = true
		case map[string]any:
			is["object"] = true
		}
		if !slices.ContainsFunc(list, func(t any) bool { return is[fmt.Sprint(t)] }) {
			return fmt.Errorf("%s is %T, want %v", at, v, types)
		}
	}
	if items, ok := s["items"].(map[string]any); ok {
		if list, ok := v.([]any); ok {
			for i, of := range list {
				if err := conforms(doc, items, of, fmt.Sprintf("%s[%d]", at, i)); err != nil {
					return err
				}
			}
		}
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	required, _ := s["required"].([]any)
	for _, name := range required {
		if _, ok := object[fmt.Sprint(name)]; !ok {
			return fmt.Errorf("%s has no %s", at, name)
		}
	}
	properties, _ := s["properties"].(map[string]any)
	for name, of := range object {
		p, ok := properties[name].(map[string]any)
		if !ok {
			if s["additionalProperties"] == false {
				return fmt.Errorf("%s has %s, which is not documented", at, name)
			}
			continue
		}
		if err := conforms(doc, p, of, at+"."+name); err != nil {
			return err
		}
	}
	return nil
}

// TestOpenAPIAnswers: what the server answers is what the document says, answers and errors alike.
func TestOpenAPIAnswers(t *testing.T) {
	w, _ := newStoreWorld(t)
	doc := published(t, w)
	answered := map[string]bool{}
	f := func(method, path, body string, status int) {
		t.Helper()
		route := path
		if strings.HasPrefix(path, "/v1/models/") {
			route = "/v1/models/{model}"
		}
		route, _, _ = strings.Cut(route, "?")
		r := w.do(method, path, body)
		if r.status != status {
			t.Errorf("%s %s %s: %d %s, want %d", method, path, body, r.status, r.body, status)
			return
		}
		if status == http.StatusOK {
			answered[method+" "+route] = true
		}
		typ, _, _ := strings.Cut(r.header.Get("Content-Type"), ";")
		s := dig(t, doc, "paths", route, strings.ToLower(method), "responses", fmt.Sprint(status), "content", typ, "schema").(map[string]any)
		if typ == "text/plain" {
			return
		}
		var v any
		if err := json.Unmarshal([]byte(r.body), &v); err != nil {
			t.Errorf("%s %s: %v", method, path, err)
			return
		}
		if err := conforms(doc, s, v, path); err != nil {
			t.Errorf("%s %s: %v: %s", method, path, err, r.body)
		}
	}
	const messages = `"messages":[{"role":"user","content":"hi"}]`
	for path, body := range map[string]string{
		"/v1/chat/completions":              `{` + messages + `}`,
		"/v1/chat/completions/input_tokens": `{` + messages + `}`,
		"/v1/completions":                   `{"prompt":"hi"}`,
		"/v1/responses":                     `{"input":"hi","max_output_tokens":1}`,
		"/v1/responses/input_tokens":        `{"input":"hi"}`,
		"/v1/messages":                      `{"max_tokens":1,` + messages + `}`,
		"/v1/messages/count_tokens":         `{` + messages + `}`,
		"/api/generate":                     `{"model":"tiny:1b","prompt":"hi","stream":false}`,
		"/api/chat":                         `{"model":"tiny:1b","stream":false,` + messages + `}`,
		"/api/show":                         `{"model":"tiny:1b"}`,
		"/completion":                       `{"prompt":"hi"}`,
		"/tokenize":                         `{"content":"hi"}`,
		"/v1/score":                         `{"prompt":"##","continuations":["#"]}`,
		"/detokenize":                       `{"tokens":[1]}`,
		"/apply-template":                   `{` + messages + `}`,
	} {
		f(http.MethodPost, path, body, 200)
		f(http.MethodPost, path, `{"model":"no-such",`+strings.TrimPrefix(strings.ReplaceAll(body, `"model":"tiny:1b"`, `"x":1`), "{"), 404)
		f(http.MethodPost, path, ``, 400)
		f(http.MethodPost, path, `[]`, 400)
	}
	f(http.MethodPost, "/api/generate", `{"model":"tiny:1b"}`, 200)
	f(http.MethodPost, "/api/generate", `{"model":"tiny:1b","prompt":"hi","stream":false,"raw":true,"truncate":true}`, 200)
	for _, path := range []string{"/v1/embeddings", "/api/embed", "/api/embeddings"} {
		f(http.MethodPost, path, `{}`, 400)
	}
	for _, path := range []string{
		"/", "/livez", "/readyz", "/health", "/metrics", "/openapi.json", "/v1/models", "/v1/models/tiny:1b", "/api/tags", "/api/ps", "/api/version", "/version", "/props", "/slots",
	} {
		f(http.MethodGet, path, "", 200)
	}
	for path, body := range map[string]string{
		"/api/pull":   `{"model":"org/tiny-onnx","stream":false}`,
		"/api/create": `{"model":"mine","from":"tiny:1b","stream":false}`,
		"/api/copy":   `{"source":"tiny:1b","destination":"yours"}`,
	} {
		f(http.MethodPost, path, body, 200)
		f(http.MethodPost, path, `{}`, 400)
	}
	f(http.MethodDelete, "/api/delete", `{"model":"yours"}`, 200)
	f(http.MethodDelete, "/api/delete", `{"model":"yours"}`, 404)
	f(http.MethodPost, "/api/pull", `{"model":"org/absent","stream":false}`, 502)
	f(http.MethodGet, "/props?model=x", "", 404)
	f(http.MethodGet, "/v1/models/x", "", 404)
	for _, o := range operations {
		if !o.refuses && !answered[o.method+" "+o.path] {
			t.Errorf("%s %s is not asked here", o.method, o.path)
		}
	}
}
