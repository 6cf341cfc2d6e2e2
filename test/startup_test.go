package test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ortserve/internal/testenv"
	"ortserve/internal/testmodel"
)

// TestWrongStart: each wrong start is one line that names the flag, and exit code 1.
func TestWrongStart(t *testing.T) {
	dir := t.TempDir()
	if err := testmodel.Write(dir, testmodel.Config{}); err != nil {
		t.Fatal(err)
	}
	f := func(says string, args ...string) {
		t.Helper()
		s := testenv.Launch(t, binary, args...)
		code := s.Wait(t)
		log := strings.TrimSuffix(s.Log(), "\n")
		lines := strings.Split(log, "\n")
		last := lines[len(lines)-1]
		if code == 0 || !strings.HasPrefix(last, "ortserve") || !strings.Contains(last, says) {
			t.Errorf("%q: exit code %d, wrote\n%s\nwant a last line with %q", args, code, log, says)
		}
		for _, line := range lines[:len(lines)-1] {
			if !strings.Contains(line, "level=") {
				t.Errorf("%q: more than one line: %q", args, line)
			}
		}
	}
	model := "tiny=" + dir
	f("--no-such-flag", "serve", "--no-such-flag")
	f("--slots", "serve", "--model", model, "--slots", "many")
	f("--slots", "serve", "--model", model, "--slots", "-1")
	f("--max-len", "serve", "--model", model, "--max-len", "999999999999")
	f("--max-len", "serve", "--model", model, "--max-len", "4096", "--addr", "127.0.0.1:0") // the model has 2048 positions
	f("--addr", "serve", "--model", model, "--addr", "nowhere")
	f("--log-format", "serve", "--model", model, "--log-format", "xml")
	f("--drain", "serve", "--model", model, "--drain", "soon")
	f("--insecure-no-auth", "serve", "--model", model, "--addr", "0.0.0.0:0")
	f("no-such-model", "serve", "--model", "no-such-model")
	f(filepath.Join(dir, "missing"), "serve", "--model", filepath.Join(dir, "missing"))
	f(filepath.Join(dir, "missing.so"), "serve", "--model", model, "--onnxruntime", filepath.Join(dir, "missing.so"))
	f("no command", "sing")
}

// TestOpenToOthers: a server that other machines can reach without a key says so at each start, changes nothing for them, and serves no
// name that a foreign page could have made point to it.
func TestOpenToOthers(t *testing.T) {
	s := startTiny(t, "--addr", "0.0.0.0:0", "--insecure-no-auth", "--max-len", "256")
	if !regexp.MustCompile(`level=WARN msg="other machines can reach this server and are not asked for a key" addr=0\.0\.0\.0:0`).MatchString(s.Log()) {
		t.Errorf("no warning in\n%s", s.Log())
	}
	f := func(method, path string, status int, headers ...string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(`{"model":"tiny","prompt":"Hi","stream":false,"options":{"num_predict":1}}`))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			if req.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
				req.Host = headers[i+1]
			}
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("%s %s %q: %d, want %d", method, path, headers, resp.StatusCode, status)
		}
	}
	f(http.MethodPost, "/api/generate", http.StatusOK)
	f(http.MethodPost, "/api/generate", http.StatusOK, "Host", "192.168.1.7:9112")
	f(http.MethodPost, "/api/generate", http.StatusForbidden, "Host", "evil.test")
	f(http.MethodPost, "/api/generate", http.StatusForbidden, "Host", "127.0.0.1.nip.io", "X-Forwarded-Host", "localhost")
	f(http.MethodPost, "/api/generate", http.StatusForbidden, "Origin", "http://evil.test", "Content-Type", "text/plain")
	f(http.MethodPost, "/api/create", http.StatusForbidden)
	f(http.MethodPost, "/api/pull", http.StatusForbidden)
	f(http.MethodDelete, "/api/delete", http.StatusForbidden)
}

// TestDamagedBeside: what is damaged is named, and the model beside it is served.
func TestDamagedBeside(t *testing.T) {
	from := filepath.Join(testenv.Graphs(t), "genai-llama-int4")
	args := []string{"--max-len", "256"}
	for _, file := range []string{"model.onnx", "model.onnx.data", "tokenizer.json", "genai_config.json"} {
		dir := filepath.Join(t.TempDir(), "model")
		if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(dir, file), 100); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--model", strings.ReplaceAll(file, ".", "-")+"="+dir)
	}
	s := testenv.Start(t, binary, append(args, "--model", "whole="+from)...)
	s.WaitLog(t, regexp.MustCompile(`msg=ready`))
	if a := post(t, s.URL+"/completion", `{"model":"whole","prompt":"Hi","n_predict":4}`); a.status != 200 {
		t.Errorf("the model beside them: %d %s", a.status, a.body)
	}
	for _, want := range []string{
		"model model-onnx:latest: [^;]*model.onnx: not a readable ONNX model", "--model [^;]*model.onnx.data: has 100 bytes",
		"model tokenizer-json:latest: [^;]*tokenizer.json", "--model .*genai_config.json: is damaged",
	} {
		if !regexp.MustCompile(want).MatchString(s.Log()) {
			t.Errorf("the log does not say %s:\n%s", want, s.Log())
		}
	}
}

// TestPortTaken: a second server on the port says so and leaves the first alone.
func TestPortTaken(t *testing.T) {
	first := startTiny(t)
	addr := strings.TrimPrefix(first.URL, "http://")
	dir := t.TempDir()
	if err := testmodel.Write(dir, testmodel.Config{}); err != nil {
		t.Fatal(err)
	}
	second := testenv.Launch(t, binary, "serve", "--model", "tiny="+dir, "--addr", addr)
	if code := second.Wait(t); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if log := second.Log(); !strings.Contains(log, addr) || !strings.Contains(log, "--addr") {
		t.Errorf("the message does not name %s and --addr:\n%s", addr, log)
	}
	if a := get(t, first.URL+"/readyz"); a.status != 200 {
		t.Errorf("the first server is %d", a.status)
	}
}

// TestEnvironment: a flag may come from the environment, and the command line wins.
func TestEnvironment(t *testing.T) {
	t.Setenv("ORTSERVE_MAX_LEN", "300")
	long := `{"model":"tiny","prompt":"` + strings.Repeat("1 2 3 ", 200) + `"}`
	if a := post(t, startTiny(t).URL+"/api/generate", long); !strings.Contains(a.body, "300 tokens") {
		t.Errorf("ORTSERVE_MAX_LEN=300: %s", a.body)
	}
	if a := post(t, startTiny(t, "--max-len", "280").URL+"/api/generate", long); !strings.Contains(a.body, "280 tokens") {
		t.Errorf("ORTSERVE_MAX_LEN=300 --max-len 280: %s", a.body)
	}
}

func TestHealthcheck(t *testing.T) {
	s := startTiny(t)
	addr := strings.TrimPrefix(s.URL, "http://")
	if out, err := exec.CommandContext(t.Context(), binary, "healthcheck", "--addr", addr).CombinedOutput(); err != nil {
		t.Errorf("with a server: %v %s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), binary, "healthcheck", "--addr", "127.0.0.1:1").CombinedOutput(); err == nil {
		t.Errorf("without a server: exit code 0, %s", out)
	}
}
