package docs

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"ortserve/internal/home"
	"ortserve/internal/testenv"
	"ortserve/internal/testmodel"
)

// rule says what is done with the lines of code blocks that it fits. The first that fits counts.
type rule struct {
	fits string // a regular expression for the line's begin
	run  string // the shell's line in its place; empty: the line itself
	why  string // it is not run
}

const (
	network   = "needs a network"
	container = "needs a container engine or a cluster"
	target    = "a target of the Makefile that CI runs, or that takes minutes"
	output    = "what a command prints, or no command"
	peers     = "written by make bench-peers, which ran it"
)

// rules are for README.md, CONTRIBUTING.md and docs, and README's commands come first: it imports mymodel.
var rules = []rule{
	{fits: `make help`},
	{fits: `make `, why: target},
	{fits: `docker `, why: container},
	{fits: `kubectl `, why: container},
	{fits: `(bin/)?ortserve pull |HF_TOKEN=hf_… ortserve pull`, why: network},
	{fits: `curl \S+/api/pull`, why: network},
	{fits: `bin/ortserve run  `, why: "a conversation on a terminal: test/run_test.go drives it on one"},
	{fits: `(ortserve serve|llama-server) .*PORT`, why: peers},
	{fits: `(ORTSERVE_\S+ )*go test .* ./bench(/simulate)?`, why: "minutes of measurement"},
	{fits: `bin/ortserve bench MODEL .*`, why: "its form: README's bench is run"},
	{fits: `ortserve import (FILE|.*FOLDER)`, why: "its form: README's import is run"},
	{fits: `\$ ortserve import SmolLM2.* --measure`, why: "minutes: cmd/ortserve's TestMeasure does the same with a tiny model"},
	{fits: `\$ ortserve inspect`, run: "ortserve inspect smollm2:135m"},
	{fits: `ortserve list `, run: "ortserve list && ortserve list --json"},
	{fits: `ortserve show NAME`, run: "ortserve show mymodel && ortserve show mymodel --template"},
	{fits: `ortserve cp NAME NEW`, run: "ortserve cp mymodel another"},
	{fits: `ortserve rm NAME`, run: "ortserve rm another"},
	{fits: `(echo|curl|(bin/)?ortserve) `},
	{fits: `data: |\{"|…|time=|cmd ──|│|└|location /|proxy_|\}`, why: output},
}

// block is a code block of a document.
type block struct {
	at    string // file and line
	lines []string
}

// blocks returns the code blocks of a document in Markdown: what is indented by four spaces behind an empty line, and what is fenced.
func blocks(name, text string) []block {
	var all []block
	fenced, open, empty := false, false, true
	for i, line := range strings.Split(text, "\n") {
		at := name + ":" + strconv.Itoa(i+1)
		code, indented := strings.CutPrefix(line, "    ")
		switch {
		case strings.HasPrefix(line, "```"):
			if fenced = !fenced; fenced {
				all = append(all, block{at: at})
			}
			open = false
		case fenced:
			all[len(all)-1].lines = append(all[len(all)-1].lines, strings.TrimSpace(line))
		case indented && (open || empty):
			if !open {
				all, open = append(all, block{at: at}), true
			}
			all[len(all)-1].lines = append(all[len(all)-1].lines, code)
		case strings.TrimSpace(line) != "":
			open = false
		}
		empty = strings.TrimSpace(line) == ""
	}
	return all
}

// commands joins the lines of a block that belong together: one that ends with a backslash or inside quotes goes on. Lines behind one that
// begins with "$ " are what it prints.
func (b block) commands() []string {
	var all []string
	for i := 0; i < len(b.lines); i++ {
		line := b.lines[i]
		for i+1 < len(b.lines) && (strings.HasSuffix(line, `\`) || strings.Count(line, "'")%2 == 1 && !strings.HasPrefix(line, "{")) {
			i++
			line = strings.TrimSuffix(line, `\`) + "\n" + b.lines[i]
		}
		if strings.TrimSpace(line) == "" {
			continue
		}
		all = append(all, line)
		if strings.HasPrefix(line, "$ ") {
			break
		}
	}
	return all
}

// ruleOf returns the rule for a command.
func ruleOf(command string) (rule, bool) {
	for _, r := range rules {
		if regexp.MustCompile(`^(?:` + r.fits + `)`).MatchString(strings.TrimSpace(command)) {
			return r, true
		}
	}
	return rule{}, false
}

// TestCommands runs each command that README.md and docs show, with tiny models in place of those it names, or with the default model where
// tests may take long. A command that no rule knows fails.
func TestCommands(t *testing.T) {
	w := newWorkplace(t)
	used := map[string]bool{}
	ran := 0
	for _, path := range documents(t) {
		name, err := filepath.Rel(root(t), path)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks(name, read(t, path)) {
			for _, command := range b.commands() {
				r, ok := ruleOf(command)
				if !ok {
					t.Errorf("%s: the command %q is neither run nor listed in test/docs", b.at, command)
					continue
				}
				used[r.fits] = true
				if r.why != "" {
					continue
				}
				ran++
				w.run(t, b.at, cmp.Or(r.run, command))
			}
		}
	}
	if ran < 20 {
		t.Errorf("%d commands were run", ran)
	}
	for _, r := range rules {
		if r.why != "" && r.why != output {
			t.Logf("not run: %s (%s)", r.fits, r.why)
		}
		if !used[r.fits] {
			t.Errorf("no document has a command for the rule %q", r.fits)
		}
	}
	if _, ok := ruleOf("rm -rf /"); ok {
		t.Error("a command that nobody listed has a rule")
	}
}

// documents are README.md, CONTRIBUTING.md and docs, README first.
func documents(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(root(t), "docs", "*.md"))
	if err != nil || len(list) < 10 {
		t.Fatal(list, err)
	}
	return append([]string{filepath.Join(root(t), "README.md"), filepath.Join(root(t), "CONTRIBUTING.md")}, list...)
}

// workplace is where commands are run: a folder with bin/ortserve and what they name, a home with models, a server.
type workplace struct {
	dir string
	url string
}

func newWorkplace(t *testing.T) *workplace {
	t.Helper()
	library := testenv.Runtime(t)
	source := ""
	if !testing.Short() {
		source = testenv.DefaultModel(t)
	}
	w := &workplace{dir: t.TempDir()}
	store := home.Models(filepath.Join(w.dir, "home"))
	model := filepath.Join(store, home.DefaultModelPath)
	local := filepath.Join(w.dir, "path", "to", "a", "model", "directory")
	config := testmodel.Config{Positions: 4096}
	err := errors.Join(os.MkdirAll(store, 0o700), os.MkdirAll(filepath.Join(w.dir, "bin"), 0o700), os.MkdirAll(local, 0o700),
		os.Symlink(binary, filepath.Join(w.dir, "bin", "ortserve")), os.Symlink(filepath.Join(root(t), "Makefile"), filepath.Join(w.dir, "Makefile")),
		testmodel.Write(local, config), config.GGUF("llama-bpe").Write(filepath.Join(w.dir, "model.gguf")))
	if source != "" {
		err = errors.Join(err, os.CopyFS(model, os.DirFS(source)))
	} else {
		err = errors.Join(err, os.Mkdir(model, 0o700), testmodel.Write(model, config))
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"ORTSERVE_HOME": filepath.Join(w.dir, "home"), "ORTSERVE_ONNXRUNTIME": library, "ORTSERVE_ADDR": "127.0.0.1:0", "ORTSERVE_PROVIDER": "cpu",
		"ORTSERVE_MAX_LEN": "512", "ORTSERVE_SLOTS": "2", "PATH": filepath.Join(w.dir, "bin") + ":" + os.Getenv("PATH"),
	} {
		t.Setenv(name, value)
	}
	w.url = testenv.Start(t, binary).URL
	return w
}

// run runs a line of the shell. A server that it starts is stopped when it is ready.
func (w *workplace) run(t *testing.T, at, line string) {
	t.Helper()
	line = strings.ReplaceAll(line, "http://localhost:9112", w.url)
	line = strings.ReplaceAll(line, "localhost:9112", strings.TrimPrefix(w.url, "http://"))
	line = regexp.MustCompile(`\bcurl `).ReplaceAllString(line, "curl --fail-with-body -sS ")
	if regexp.MustCompile(`ortserve run .*smollm2`).MatchString(line) { // the tiny model's answers do not end by themselves
		line = strings.Replace(line, "ortserve run", "ortserve run --set num_predict=8", 1)
	}
	if serve := regexp.MustCompile(`^bin/ortserve serve\b([^#]*)`).FindStringSubmatch(line); serve != nil && !strings.Contains(line, "--help") {
		w.serve(t, at, strings.Fields(serve[1]))
		return
	}
	c := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", line)
	c.Dir = w.dir
	out, err := c.CombinedOutput()
	if err != nil || len(strings.TrimSpace(string(out))) == 0 && !strings.Contains(line, " rm ") && !strings.Contains(line, " cp ") && !strings.Contains(line, "healthcheck") {
		t.Errorf("%s: %s: %v\n%s", at, line, err, out)
	}
}

// serve starts the server with args, waits until it is ready and ends it.
func (w *workplace) serve(t *testing.T, at string, args []string) {
	t.Helper()
	for i, a := range args {
		if a == "path/to/a/model/directory" {
			args[i] = filepath.Join(w.dir, a)
		}
	}
	s := testenv.Launch(t, binary, append([]string{"serve"}, args...)...)
	s.WaitLog(t, regexp.MustCompile("msg=ready"))
	if code := s.Stop(t, syscall.SIGINT); code != 0 {
		t.Errorf("%s: ortserve serve %q: %d\n%s", at, args, code, s.Log())
	}
}

// startTiny serves a tiny model.
func startTiny(t *testing.T) *testenv.Server {
	t.Helper()
	dir := t.TempDir()
	if err := testmodel.Write(dir, testmodel.Config{}); err != nil {
		t.Fatal(err)
	}
	return testenv.Start(t, binary, "--model", "tiny="+dir)
}

func get(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v, %s", url, resp.Status, err, b)
	}
	return string(b)
}
