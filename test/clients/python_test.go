package clients

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"ortserve/internal/testenv"
	"ortserve/internal/testmodel"
)

// TestPython: the official Python clients.
func TestPython(t *testing.T) {
	tours(t, testenv.Python(t, "clients"), "openai_client.py", "ollama_client.py", "anthropic_client.py")
}

// TestThinking: the official Python clients with a model that thinks before it answers.
func TestThinking(t *testing.T) {
	dir := model(t, testmodel.Config{})
	opens := testmodel.ChatTemplate + "{#- earlier answers end at </think> -#}{% if add_generation_prompt %}<think>\n{% endif %}"
	if err := os.WriteFile(filepath.Join(dir, "chat_template.jinja"), []byte(opens), 0o600); err != nil {
		t.Fatal(err)
	}
	s := testenv.Start(t, binary, "--model", "tiny="+dir, "--max-len", "512")
	tour(t, testenv.Python(t, "clients"), "thinking_client.py", s.URL, "", "")
}

// TestFrameworks: LangChain and LiteLLM.
func TestFrameworks(t *testing.T) {
	if testing.Short() {
		t.Skip("installs 60 packages and takes a minute: make test-clients")
	}
	tours(t, testenv.Python(t, "frameworks"), "langchain_openai_client.py", "langchain_ollama_client.py", "litellm_client.py")
}

// TestNode: the official JavaScript clients.
func TestNode(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Node and npm: make test-clients")
	}
	root, err := testenv.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for to, from := range map[string]string{
		"package.json": root + "/scripts/requirements/package.json", "openai_client.mjs": "openai_client.mjs", "ollama_client.mjs": "ollama_client.mjs", "tour.mjs": "tour.mjs",
	} {
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(dir+"/"+to, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	install := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm install (Node 20 or later with npm is needed): %v\n%s", err, out)
	}
	tours(t, "node", dir+"/openai_client.mjs", dir+"/ollama_client.mjs")
}

// tours runs scripts against both servers; each asserts for itself and says so at the end.
func tours(t *testing.T, interpreter string, scripts ...string) {
	t.Helper()
	open, strict := start(t), startStrict(t, "key-0", "key-1", "key-2")
	for i, script := range scripts {
		key := "key-" + string(rune('0'+i))
		tour(t, interpreter, script, open.URL, strict.URL, key)
	}
}

// tour runs a script.
func tour(t *testing.T, interpreter, script string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), interpreter, append([]string{script}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "LITELLM_LOCAL_MODEL_COST_MAP=True", "LANGSMITH_TRACING=false")
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "passed\n" {
		t.Errorf("%s: %v, %s", script, err, out)
	}
}
