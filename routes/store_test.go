package routes

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ortserve/engine"
	"ortserve/internal/testhub"
	"ortserve/internal/testmodel"
	"ortserve/models"
	"ortserve/models/hub"
	"ortserve/pool"
	"ortserve/template"
	"ortserve/tokenize"
)

// newStoreWorld starts a server of a store that holds one tiny model, with a hub that has another.
func newStoreWorld(t *testing.T, set ...func(*world, *Options)) (*world, *testhub.Hub) {
	t.Helper()
	store, h := withStore(t)
	return newWorld(t, "Yes.", append([]func(*world, *Options){store}, set...)...), h
}

// withStore sets a store that holds one tiny model, and a hub that has another.
func withStore(t *testing.T) (func(*world, *Options), *testhub.Hub) {
	t.Helper()
	h := testhub.New(t, testhub.TinyModel(t))
	client, err := hub.New(hub.Options{Endpoint: h.URL})
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	dir := filepath.Join(root, "tiny@1b")
	if err := os.CopyFS(dir, os.DirFS(modelDir)); err != nil {
		t.Fatal(err)
	}
	store, err := models.OpenStore(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return func(w *world, o *Options) {
		w.pool = pool.New(pool.Options{Store: store, Default: "tiny:1b", Queue: 8, Open: func(_ context.Context, m *models.Model) (*pool.Loaded, error) {
			tok, err := tokenize.Load(m.Dir)
			if err != nil {
				return nil, err
			}
			tmpl, err := template.Parse(m.ChatTemplate, tok.SpecialTokens())
			if err != nil {
				return nil, err
			}
			e := engine.New(w.model, engine.Options{})
			return &pool.Loaded{Model: m, Engine: e, Tokenizer: tok, Template: tmpl, StopTokens: []int32{testmodel.EndOfTurn}, Close: e.Close}, nil
		}})
		o.Pool, o.Store, o.Hub, o.OpenAdmin = w.pool, store, client, true
	}, h
}

func (w *world) names() string {
	w.t.Helper()
	var list ollamaModels
	if err := json.Unmarshal([]byte(w.do(http.MethodGet, "/api/tags", "").body), &list); err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, m := range list.Models {
		names = append(names, m.Name)
	}
	return strings.Join(names, " ")
}

// TestPullCopyDelete: a model comes, gets a second name, answers under it, and goes.
func TestPullCopyDelete(t *testing.T) {
	w, h := newStoreWorld(t)
	r := w.post("/api/pull", `{"model":"org/tiny-onnx"}`)
	lines := strings.Split(strings.TrimSuffix(r.body, "\n"), "\n")
	if r.status != http.StatusOK || r.header.Get("Content-Type") != "application/x-ndjson" ||
		lines[0] != `{"status":"pulling manifest"}` || lines[len(lines)-1] != `{"status":"success"}` {
		t.Errorf("%d %s\n%s", r.status, r.header.Get("Content-Type"), r.body)
	}
	data := h.Files["model.onnx.data"]
	want := `{"status":"pulling ` + testhub.SHA256(data)[:12] + `","digest":"sha256:` + testhub.SHA256(data) + `","total":`
	if !strings.Contains(r.body, "\n"+want) || !strings.Contains(r.body, "\n"+`{"status":"writing manifest"}`) {
		t.Errorf("no line %s… in\n%s", want, r.body)
	}
	if got := w.names(); got != "org/tiny-onnx:latest tiny:1b" {
		t.Errorf("after pull: %s", got)
	}
	f := func(method, path, body string, status int, want string) {
		t.Helper()
		if r := w.do(method, path, body); r.status != status || r.body != want {
			t.Errorf("%s %s %s: %d %q, want %d %q", method, path, body, r.status, r.body, status, want)
		}
	}
	f("POST", "/api/pull", `{"name":"hf.co/org/tiny-onnx","stream":false}`, 200, `{"status":"success"}`)
	f("POST", "/api/copy", `{"source":"org/tiny-onnx","destination":"mine"}`, 200, "")
	if r := w.post("/api/generate", `{"model":"mine","prompt":"hi","stream":false}`); !strings.Contains(r.body, `"response":"Yes."`) {
		t.Errorf("the copy answers %d %s", r.status, r.body)
	}
	f("DELETE", "/api/delete", `{"model":"org/tiny-onnx"}`, 200, "")
	f("DELETE", "/api/delete", `{"name":"mine:latest"}`, 200, "")
	if got := w.names(); got != "tiny:1b" {
		t.Errorf("after delete: %s", got)
	}
	f("POST", "/api/generate", `{"model":"mine","prompt":"hi"}`, 404, `{"error":"model 'mine' not found; this server has tiny:1b"}`)
	f("DELETE", "/api/delete", `{"model":"mine"}`, 404, `{"error":"model 'mine' not found; this server has tiny:1b"}`)
	f("DELETE", "/api/delete", `{"model":"../tiny"}`, 400, `{"error":"model name is not valid: \"../tiny\" has a part that begins with neither a letter nor a digit"}`)
	f("POST", "/api/copy", `{"source":"mine","destination":"yours"}`, 404, `{"error":"model 'mine' not found; this server has tiny:1b"}`)
	f("POST", "/api/pull", `{"model":"llama3.2"}`, 400, `{"error":"model name is not valid: \"llama3.2\" is not a repository of a hub, like onnx-community/Llama-3.2-1B-Instruct"}`)
	f("POST", "/api/pull", `{"model":"org/tiny-onnx","insecure":true}`, 400, `{"error":"insecure is not supported: HF_ENDPOINT says how the hub is reached"}`)
	absent := `{"error":"pull \"org/absent\": main of org/absent on ` + strings.TrimPrefix(h.URL, "http://") + `: there is no such repository, revision or file (404)"}`
	f("POST", "/api/pull", `{"model":"org/absent","stream":false}`, 502, absent)
	f("POST", "/api/pull", `{"model":"org/absent"}`, 200, `{"status":"pulling manifest"}`+"\n"+absent+"\n")
}

// TestPullClientGone: a pull ends with its client.
func TestPullClientGone(t *testing.T) {
	w, h := newStoreWorld(t)
	h.Files["model.onnx.data_1"] = testhub.Random(1, 64<<20)
	h.Rate.Store(1 << 20)
	conn := w.dial()
	send(t, conn, "/api/pull", `{"model":"org/tiny-onnx"}`)
	eventually(t, "it downloads", func() bool { return h.Sent.Load() > 1<<20 })
	_ = conn.Close()
	if line := w.logLine("/api/pull"); line["error"] != "client_gone server_error" {
		t.Errorf("the log says %v", line)
	}
	if got := w.names(); got != "tiny:1b" {
		t.Errorf("half a model is listed: %s", got)
	}
}

// TestCreate: a model of another with its own system prompt, parameters and template; what it has not is its parent's.
func TestCreate(t *testing.T) {
	w, _ := newStoreWorld(t)
	f := func(body string, status int, want string) {
		t.Helper()
		if r := w.post("/api/create", body); r.status != status || !strings.Contains(r.body, want) {
			t.Errorf("%s: %d %s, want %d %s", body, r.status, r.body, status, want)
		}
	}
	f(`{"model":"poet","from":"tiny:1b","system":"You are a poet.","parameters":{"temperature":0.1,"num_ctx":100,"stop":["END"]},"license":"free"}`, 200,
		`{"status":"using existing model tiny:1b"}`+"\n"+`{"status":"writing manifest"}`+"\n"+`{"status":"success"}`+"\n")
	f(`{"model":"bard","from":"poet","parameters":{"top_k":7},"template":"<bard>{% for m in messages %}[{{ m.role }}] {{ m.content }} {% endfor %}","stream":false}`, 200, `{"status":"success"}`)
	if got := w.names(); got != "bard:latest poet:latest tiny:1b" {
		t.Errorf("there are %s", got)
	}
	var shown showAnswer
	if err := json.Unmarshal([]byte(w.post("/api/show", `{"model":"bard"}`).body), &shown); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"temperature                    0.1", "top_k                          7", "num_ctx                        100", `stop                           "END"`} {
		if !strings.Contains("\n"+shown.Parameters+"\n", "\n"+want+"\n") {
			t.Errorf("parameters without %q:\n%s", want, shown.Parameters)
		}
	}
	if shown.System != "You are a poet." || shown.License != "free" || !strings.HasPrefix(shown.Template, "<bard>") || shown.Details.ParentModel != "poet:latest" {
		t.Errorf("%+v", shown)
	}
	prompt := func(body string) string {
		t.Helper()
		r := w.post("/v1/chat/completions", body)
		if r.status != http.StatusOK {
			t.Fatalf("%d %s", r.status, r.body)
		}
		var text []byte
		for _, id := range w.model.prompt() {
			if id < 256 {
				text = append(text, byte(id))
			}
		}
		return string(text)
	}
	// Pairs of letters are tokens of their own, which are left out here.
	if got := prompt(`{"model":"bard","messages":[{"role":"user","content":"-1-"}]}`); !strings.HasPrefix(got, "<b") || !strings.HasSuffix(got, "] -1- ") || strings.Count(got, "[") != 2 {
		t.Errorf("the prompt is %q", got)
	}
	with := len(prompt(`{"model":"poet","messages":[{"role":"user","content":"qx"}]}`))
	without := len(prompt(`{"model":"tiny:1b","messages":[{"role":"user","content":"qx"}]}`))
	own := len(prompt(`{"model":"poet","messages":[{"role":"system","content":"z"},{"role":"user","content":"qx"}]}`))
	if with <= without || own >= with || own <= without {
		t.Errorf("prompts of %d tokens with the model's system prompt, %d without, %d with the request's", with, without, own)
	}

	f(`{"model":"x","from":"absent"}`, 404, "model 'absent' not found")
	f(`{"model":"x"}`, 400, "from is required")
	f(`{"model":"../x","from":"tiny:1b"}`, 400, "not valid")
	f(`{"model":"x","from":"tiny:1b","parameters":{"temperature":-1}}`, 400, "parameters.temperature")
	f(`{"model":"x","from":"tiny:1b","parameters":{"num_predict":5}}`, 400, "parameters.num_predict is not supported")
	f(`{"model":"x","from":"tiny:1b","template":"{% for %}"}`, 400, "not a Jinja template")
	f(`{"model":"x","from":"tiny:1b","template":"{{ if .System }}<<SYS>>{{ .System }}{{ end }}[INST] {{ .Prompt }} [/INST]"}`, 400, "Go template of no known family")
	f(`{"model":"x","from":"tiny:1b","adapters":{"a":"b"}}`, 400, "adapters is not supported")
	f(`{"model":"chatml","from":"tiny:1b","stream":false,"template":"{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"}`, 200, "success")
	if r := w.post("/api/show", `{"model":"chatml"}`); !strings.Contains(r.body, `{% for m in messages %}{{ '<|im_start|>'`) {
		t.Errorf("a Go template of a known family becomes %s", r.body)
	}
}

// TestFixedModels: where --model names what is served, the store's routes are refused.
func TestFixedModels(t *testing.T) {
	w := newWorld(t, "Yes.", func(_ *world, o *Options) { o.OpenAdmin = true })
	for path, body := range map[string]string{
		"/api/pull": `{"model":"a/b"}`, "/api/copy": `{"source":"tiny:1b","destination":"b"}`, "/api/create": `{"model":"b","from":"tiny:1b"}`,
	} {
		if r := w.post(path, body); r.status != http.StatusBadRequest || !strings.Contains(r.body, "start it without --model") {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	if r := w.do(http.MethodDelete, "/api/delete", `{"model":"tiny:1b"}`); r.status != http.StatusBadRequest {
		t.Errorf("/api/delete: %d %s", r.status, r.body)
	}
}

// TestKeysDoNotDisturb: whatever a key asks for of how long a model stays, and of its window, another key's stream goes on and the
// model is not loaded again.
func TestKeysDoNotDisturb(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte("one::inference:one\ntwo::inference:two\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := LoadKeys("", "", file)
	if err != nil {
		t.Fatal(err)
	}
	w, _ := newStoreWorld(t, func(_ *world, o *Options) { o.Keys = keys })
	step := make(chan struct{})
	w.model.before = func(b *engine.Batch) error {
		if len(b.Rows) == 1 && b.Rows[0].Slot == 0 && b.Rows[0].Past > 0 && len(b.Rows[0].Tokens) == 1 {
			<-step // the stream's decode steps alone
		}
		return nil
	}
	streamed := make(chan reply, 1)
	go func() {
		streamed <- w.do(http.MethodPost, "/api/generate", `{"model":"tiny:1b","prompt":"hi"}`, "Authorization", "Bearer one")
	}()
	eventually(t, "the stream runs", func() bool { return len(w.pool.Loaded()) == 1 && !w.idle() })
	before := w.pool.Loaded()[0]
	for i := range 200 {
		body := []string{`{"model":"tiny:1b","keep_alive":0}`, `{"model":"tiny:1b","keep_alive":-1}`, `{"model":"tiny:1b","keep_alive":0,"options":{"num_ctx":64}}`}[i%3]
		if r := w.do(http.MethodPost, "/api/generate", body, "Authorization", "Bearer two"); r.status != http.StatusOK || !strings.Contains(r.body, `"done_reason":"load"`) {
			t.Fatalf("%s: %d %s", body, r.status, r.body)
		}
	}
	close(step)
	if r := <-streamed; r.status != http.StatusOK || !strings.Contains(r.body, `"done_reason":"stop"`) {
		t.Errorf("the stream: %d %s", r.status, r.body)
	}
	if after := w.pool.Loaded(); len(after) != 1 || after[0] != before {
		t.Error("the model was loaded again")
	}
	for _, r := range w.pool.Running() {
		if stays := time.Until(r.Expires); stays <= 0 || stays > pool.DefaultKeepAlive {
			t.Errorf("it stays for %s", stays)
		}
	}
}
