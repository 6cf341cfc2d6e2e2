package routes

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestTruncate: who asks for it gets a prompt that is cut, and is told by how much.
func TestTruncate(t *testing.T) {
	w := newWorld(t, "Hi")
	type answer struct {
		Error           string
		DoneReason      string `json:"done_reason"`
		PromptEvalCount int    `json:"prompt_eval_count"`
		Truncated       *bool
		TruncatedTokens int `json:"truncated_tokens"`
	}
	post := func(path, body string) (answer, reply) {
		t.Helper()
		r := w.post(path, body)
		var a answer
		if err := json.Unmarshal([]byte(r.body), &a); err != nil {
			t.Fatal(err)
		}
		return a, r
	}
	long := strings.Repeat("# ", 60) // 120 tokens
	f := func(path, fields string, count, gone int, kept string) {
		t.Helper()
		a, r := post(path, `{"model":"tiny:1b","stream":false,"truncate":true,`+fields+`}`)
		if r.status != http.StatusOK || a.PromptEvalCount != count || a.TruncatedTokens != gone || (a.Truncated != nil) != (gone > 0) || a.DoneReason != "stop" {
			t.Errorf("%s %.60s: %d %s, want %d tokens and %d gone", path, fields, r.status, r.body, count, gone)
		}
		if got := w.prompted(); !strings.Contains(got, kept) {
			t.Errorf("%s %.60s: prompt %q, without %q", path, fields, got, kept)
		}
	}
	// Without need nothing is cut.
	f("/api/chat", `"messages":[{"role":"user","content":"hi"}]`, 18, 0, "hi<|eot_id|>")
	// The oldest messages go, the system's and the last stay.
	chat := func(n int) string {
		body := `"messages":[{"role":"system","content":"be kind"}`
		for range n {
			body += `,{"role":"user","content":"` + long + `"},{"role":"assistant","content":"ok"}`
		}
		return body + `,{"role":"user","content":"hi"}]`
	}
	count := func(body string) int {
		var a struct {
			InputTokens int `json:"input_tokens"`
		}
		r := w.post("/v1/chat/completions/input_tokens", `{`+body+`}`)
		if err := json.Unmarshal([]byte(r.body), &a); err != nil || r.status != http.StatusOK {
			t.Fatalf("%v %s", err, r.body)
		}
		return a.InputTokens
	}
	one, two := count(chat(1)), count(chat(2))
	f("/api/chat", chat(1), one, 0, "be kind")
	f("/api/chat", chat(2), one+count(`"messages":[{"role":"assistant","content":"ok"},{"role":"user","content":"hi"}]`)-count(`"messages":[{"role":"user","content":"hi"}]`),
		two-one-(count(`"messages":[{"role":"assistant","content":"ok"},{"role":"user","content":"hi"}]`)-count(`"messages":[{"role":"user","content":"hi"}]`)), "be kind")
	// A last message that is too long itself loses its beginning.
	for _, path := range []string{"/api/chat", "/api/generate"} {
		fields := `"messages":[{"role":"user","content":"first` + strings.Repeat(long, 3) + `the end"}]`
		all := count(fields)
		if path == "/api/generate" {
			fields = `"prompt":"first` + strings.Repeat(long, 3) + `the end"`
		}
		f(path, fields, 192, all-192, "# the end<|eot_id|>")
		f(path, fields+`,"options":{"num_predict":100}`, 156, all-156, "# the end<|eot_id|>")
		f(path, fields+`,"options":{"num_ctx":100}`, 74, all-74, "# the end<|eot_id|>")
	}
	f("/api/generate", `"raw":true,"prompt":"`+strings.Repeat("#", 300)+`end"`, 192, 110, "#end")

	// Without truncate it is an error, as always.
	a, r := post("/api/chat", `{"model":"tiny:1b","stream":false,"truncate":false,`+chat(3)+`}`)
	if r.status != http.StatusBadRequest || !strings.Contains(a.Error, "exceeds the available context size") {
		t.Errorf("%d %s", r.status, r.body)
	}
	// A stream tells it in its last line.
	r = w.post("/api/generate", `{"model":"tiny:1b","truncate":true,"raw":true,"prompt":"`+strings.Repeat("#", 300)+`"}`)
	if n := strings.Count(r.body, `"truncated":true,"truncated_tokens":108`); n != 1 || !strings.Contains(r.body[strings.Index(r.body, `"done":true`):], "truncated") {
		t.Errorf("the stream: %s", r.body)
	}
}

func TestKeepAlive(t *testing.T) {
	w := newWorld(t, "Hi", func(_ *world, o *Options) { o.OpenAdmin = true })
	f := func(keep, want string) {
		t.Helper()
		for path, extra := range map[string]string{"/api/generate": ``, "/api/chat": `,"messages":[]`} {
			r := w.post(path, `{"model":"tiny:1b","keep_alive":`+keep+extra+`}`)
			if !strings.Contains(r.body, want) {
				t.Errorf("%s, %s: %d %s, want %s", path, keep, r.status, r.body, want)
			}
		}
	}
	f(`null`, `"done_reason":"load"`)
	f(`-1`, `"done_reason":"load"`)
	f(`"5m"`, `"done_reason":"load"`)
	f(`1800`, `"done_reason":"load"`)
	f(`0`, `"done_reason":"unload"`)
	f(`"0"`, `"done_reason":"unload"`)
	f(`"0s"`, `"done_reason":"unload"`)
	if r := w.do(http.MethodGet, "/api/ps", ""); r.body != `{"models":[]}` {
		t.Errorf("after it these are loaded: %s", r.body)
	}
	w.post("/api/generate", `{"model":"tiny:1b","keep_alive":3600}`)
	var list struct {
		Models []struct {
			ExpiresAt time.Time `json:"expires_at"`
		}
	}
	if err := json.Unmarshal([]byte(w.do(http.MethodGet, "/api/ps", "").body), &list); err != nil || len(list.Models) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	if stays := time.Until(list.Models[0].ExpiresAt); stays < 59*time.Minute || stays > time.Hour {
		t.Errorf("for an hour: %s", stays)
	}
	w.post("/api/generate", `{"model":"tiny:1b","prompt":"hi","stream":false,"keep_alive":0}`)
	eventually(t, "it is unloaded after an answer", func() bool { return w.do(http.MethodGet, "/api/ps", "").body == `{"models":[]}` })
	f(`"soon"`, `{"error":"keep_alive is \"soon\", must be seconds or a time like 5m"}`)
	f(`1e99`, `{"error":"keep_alive is 1e99, which is out of range"}`)
	f(`true`, `{"error":"keep_alive must be a number or a string, not a boolean"}`)
}

// A key unloads what nobody else has used. Nobody in particular, where no keys are asked for, unloads nothing.
func TestKeepAliveOfKeys(t *testing.T) {
	unload := `{"model":"tiny:1b","keep_alive":0}`
	f := func(w *world, want string, headers ...string) {
		t.Helper()
		if r := w.do(http.MethodPost, "/api/generate", unload, headers...); !strings.Contains(r.body, `"done_reason":"`+want+`"`) {
			t.Errorf("%v: %d %s, want %s", headers, r.status, r.body, want)
		}
	}
	f(newWorld(t, "Hi"), "load")
	w, _ := newStoreWorld(t, withKeys(t))
	key, admin := []string{"Authorization", "Bearer sesame"}, []string{"Authorization", "Bearer open-up"}
	load := func(headers []string) {
		t.Helper()
		if r := w.do(http.MethodPost, "/api/generate", `{"model":"tiny:1b"}`, headers...); r.status != http.StatusOK {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	load(key)
	f(w, "unload", key...)
	load(admin)
	f(w, "load", key...)
	f(w, "unload", admin...)
}

// Clients that ask for a model of their own are served by an alias, or with any model.
func TestAliases(t *testing.T) {
	f := func(w *world, name string, status int) {
		t.Helper()
		r := w.post("/v1/chat/completions", `{"model":"`+name+`","messages":[{"role":"user","content":"hi"}]}`)
		if r.status != status || status == http.StatusOK && !strings.Contains(r.body, `"model":"`+name+`"`) {
			t.Errorf("%s: %d %s, want %d", name, r.status, r.body, status)
		}
		if r := w.do(http.MethodGet, "/v1/models/"+name, ""); r.status != status {
			t.Errorf("GET %s: %d %s", name, r.status, r.body)
		}
		if r := w.post("/api/show", `{"model":"`+name+`"}`); r.status != status {
			t.Errorf("show %s: %d %s", name, r.status, r.body)
		}
	}
	w := newWorld(t, "Hi", func(_ *world, o *Options) { o.Aliases = map[string]string{"gpt-4o": modelName} })
	f(w, modelName, 200)
	f(w, "gpt-4o", 200)
	f(w, "gpt-4o:latest", 200)
	f(w, "gpt-4o-mini", 404)
	w = newWorld(t, "Hi", func(_ *world, o *Options) { o.AnyModel = true })
	f(w, modelName, 200)
	f(w, "claude-whatever", 200)
}
