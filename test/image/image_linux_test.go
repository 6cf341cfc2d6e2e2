package image

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ortserve/internal/home"
	"ortserve/internal/testenv"
)

const key = "a-key-for-this-test"

// chat asks for the answer that the default model is known by.
const chat = `{"model": "smollm2:135m", "messages": [{"role": "user", "content": "What is the capital of France?"}]}`

// maxSize is what the image for the CPU may take on disk.
const maxSize = 200 << 20

// size is what the files below root take together.
func size(t *testing.T, root string) (n int64) {
	t.Helper()
	err := filepath.WalkDir(root, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("its files take %d MB", n>>20)
	return n
}

// cuda says whether it is the target with CUDA.
func (im *image) cuda() bool {
	return slices.Contains(im.config.Env, "NVIDIA_VISIBLE_DEVICES=all")
}

// What the image says of itself.
func TestImage(t *testing.T) {
	im := load(t)
	if !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(im.config.User) {
		t.Errorf("its user is %q, want numbers that are not 0", im.config.User)
	}
	if _, ok := im.config.ExposedPorts["9112/tcp"]; !ok {
		t.Errorf("it exposes %v", im.config.ExposedPorts)
	}
	for _, name := range []string{"title", "description", "version", "revision", "licenses"} {
		if im.config.Labels["org.opencontainers.image."+name] == "" {
			t.Errorf("it has no label %s", name)
		}
	}
	if size := size(t, im.root); size > maxSize && !im.cuda() {
		t.Errorf("it is %d MB large, want at most %d", size>>20, maxSize>>20)
	}
	doc := filepath.Join(im.root, "usr/share/doc/ortserve")
	b, err := os.ReadFile(filepath.Join(doc, "sbom.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		BOMFormat  string
		Components []struct{ Name, Version string }
	}
	if err := json.Unmarshal(b, &bom); err != nil || bom.BOMFormat != "CycloneDX" {
		t.Errorf("its bill of materials is a %q, %v", bom.BOMFormat, err)
	}
	listed := map[string]string{}
	for _, c := range bom.Components {
		listed[c.Name] = c.Version
	}
	library := "onnxruntime"
	if im.cuda() {
		library = "onnxruntime-gpu"
	}
	if listed[library] == "" || listed["github.com/yalue/onnxruntime_go"] == "" {
		t.Errorf("its bill of materials lists %v", listed)
	}
	for _, name := range []string{"LICENSE", "licenses/github.com/yalue/onnxruntime_go/LICENSE"} {
		if _, err := os.Stat(filepath.Join(doc, name)); err != nil {
			t.Error(err)
		}
	}
}

// The runtime library is the pinned one, the file that make run brings.
func TestLibrary(t *testing.T) {
	im := load(t)
	sum := func(path string) string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%x", sha256.Sum256(b))
	}
	dir, err := home.Dir()
	if err != nil {
		t.Fatal(err)
	}
	pinned := home.RuntimeLibrary(dir)
	if im.cuda() {
		pinned = home.RuntimeLibraryCUDA(dir)
	}
	if got, want := sum(filepath.Join(im.root, "usr/local/lib/onnxruntime/libonnxruntime.so")), sum(pinned); got != want {
		t.Errorf("the library's SHA-256 is %s, want %s", got, want)
	}
}

// It listens for other machines, so it does not start without a key.
func TestNoKey(t *testing.T) {
	c := load(t).start(t, options{})
	if code := c.wait(t); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if out := c.output.String(); strings.Count(out, "\n") != 1 || !strings.Contains(out, "ORTSERVE_API_KEY") || !strings.Contains(out, "--insecure-no-auth") {
		t.Errorf("it says %q, want one line that names ORTSERVE_API_KEY and --insecure-no-auth", out)
	}
}

// It answers a chat from a read-only root and a read-only volume, as its own user, without network.
func TestServes(t *testing.T) {
	c := load(t).start(t, options{env: []string{"ORTSERVE_API_KEY=" + key}, volume: modelVolume(t)})
	c.waitHealthy(t)
	c.confined(t)
	if status, answer := c.ask(t, "POST", "/v1/chat/completions", "", chat); status != 401 {
		t.Errorf("without a key: %d %s", status, answer)
	}
	if status, answer := c.ask(t, "POST", "/v1/chat/completions", key, chat); status != 200 || !strings.Contains(answer, "The capital of France is Paris.") {
		t.Errorf("with the key: %d %s", status, answer)
	}
	if status, answer := c.ask(t, "GET", "/v1/models", key, ""); status != 200 || !strings.Contains(answer, `"smollm2:135m"`) {
		t.Errorf("it lists: %d %s", status, answer)
	}
	if code := c.stop(t); code != 0 {
		t.Errorf("on SIGTERM it ended with exit code %d", code)
	}
}

// With the word that no key is meant it asks for none.
func TestInsecure(t *testing.T) {
	c := load(t).start(t, options{args: []string{"serve", "--insecure-no-auth", "--drain-delay", "0s"}, volume: modelVolume(t)})
	c.waitHealthy(t)
	c.confined(t)
	if status, answer := c.ask(t, "POST", "/v1/chat/completions", "", chat); status != 200 || !strings.Contains(answer, "Paris") {
		t.Errorf("without a key: %d %s", status, answer)
	}
	if code := c.stop(t); code != 0 {
		t.Errorf("on SIGTERM it ended with exit code %d", code)
	}
}

// With an empty store it is ready and lists nothing: a model may come later.
func TestEmptyStore(t *testing.T) {
	for _, volume := range []string{"", t.TempDir()} { // the image's own folder, and a volume
		c := load(t).start(t, options{env: []string{"ORTSERVE_API_KEY=" + key}, args: []string{"serve", "--drain-delay", "0s"}, volume: volume})
		c.waitHealthy(t)
		if status, answer := c.ask(t, "GET", "/v1/models", key, ""); status != 200 || !strings.Contains(answer, `"data":[]`) {
			t.Errorf("it lists: %d %s", status, answer)
		}
		if status, answer := c.ask(t, "POST", "/v1/chat/completions", key, chat); status != 404 {
			t.Errorf("a chat is answered: %d %s", status, answer)
		}
		if code := c.stop(t); code != 0 {
			t.Errorf("on SIGTERM it ended with exit code %d", code)
		}
	}
}

// The compose file wants a key and is understood.
func TestCompose(t *testing.T) {
	load(t)
	root, err := testenv.Root()
	if err != nil {
		t.Fatal(err)
	}
	compose := filepath.Join(root, "deploy", "compose")
	f := func(env []string, want ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "docker-compose", "--file", filepath.Join(compose, "compose.yaml"),
			"--file", filepath.Join(compose, "cuda.yaml"), "config")
		cmd.Env = append(os.Environ(), env...)
		out, _ := cmd.CombinedOutput() // it says why
		for _, w := range want {
			if !strings.Contains(string(out), w) {
				t.Errorf("with %q it gives no %q:\n%s", env, w, out)
			}
		}
	}
	f([]string{"ORTSERVE_API_KEY="}, "set ORTSERVE_API_KEY")
	f([]string{"ORTSERVE_API_KEY=" + key}, "ORTSERVE_API_KEY: "+key, "read_only: true", "ortserve:/var/lib/ortserve", "target: cuda", "driver: nvidia")
}

// modelVolume is the store that make model fills.
func modelVolume(t *testing.T) string {
	t.Helper()
	dir, err := home.Dir()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(home.Models(dir), home.DefaultModelPath)); err != nil {
		t.Fatalf("%v: make model brings it", err)
	}
	return home.Models(dir)
}

// confined says whether the server is what the tests take it for: not root, without capabilities, its root read-only, and alone.
func (c *container) confined(t *testing.T) {
	t.Helper()
	uid, _, _ := strings.Cut(c.image.config.User, ":")
	f := func(file, want string) {
		t.Helper()
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", c.pid, file))
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(want).Match(b) {
			t.Errorf("/proc/PID/%s has no %s:\n%s", file, want, b)
		}
	}
	f("cmdline", `^`+regexp.QuoteMeta(c.image.config.Entrypoint[0])+"\x00serve")
	f("status", fmt.Sprintf(`(?m)^Uid:\t%[1]s\t%[1]s\t%[1]s\t%[1]s$`, uid))
	f("status", `(?m)^CapEff:\t0+$`)
	f("status", `(?m)^NoNewPrivs:\t1$`)
	f("mountinfo", `(?m)^\d+ \d+ \S+ \S+ / ro,`)
	f("mountinfo", `(?m) /var/lib/ortserve/models ro,`)
	f("net/dev", `^[^\n]*\n[^\n]*\n\s*lo:[^\n]*\n$`)
}
