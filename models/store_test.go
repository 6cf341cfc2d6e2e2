package models

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// store returns a store that holds the named directories, each a copy of a good model.
func store(t *testing.T, directories ...string) (*Store, string) {
	t.Helper()
	root := filepath.Join(t.TempDir(), "models")
	s, err := OpenStore(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	good := directory(t, "genai-llama-int4", map[string]string{"model.onnx": "graph"})
	for _, d := range directories {
		if err := os.CopyFS(filepath.Join(root, d), os.DirFS(good)); err != nil {
			t.Fatal(err)
		}
	}
	return s, root
}

func TestStoreFind(t *testing.T) {
	s, root := store(t, "smollm2@135m", "tiny@latest", "org/repo@latest", "hub.example/org/repo@v1.2")
	f := func(name, wantName, wantDir string) {
		t.Helper()
		m, err := s.Find(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if want := filepath.Join(root, wantDir); m.Name != wantName || m.Dir != want || filepath.Dir(m.Graph) != want {
			t.Errorf("%s: got %s in %s, want %s in %s", name, m.Name, m.Dir, wantName, want)
		}
		if p, err := s.Path(name); err != nil || p != m.Dir {
			t.Errorf("%s: path %s, %v, want %s", name, p, err, m.Dir)
		}
	}
	f("smollm2:135m", "smollm2:135m", "smollm2@135m")
	f("tiny", "tiny:latest", "tiny@latest")
	f("tiny:latest", "tiny:latest", "tiny@latest")
	f("org/repo", "org/repo:latest", "org/repo@latest")
	f("hub.example/org/repo:v1.2", "hub.example/org/repo:v1.2", "hub.example/org/repo@v1.2")

	missing := func(name string) {
		t.Helper()
		if _, err := s.Find(name); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: error %v, want ErrNotFound", name, err)
		}
	}
	missing("smollm2")
	missing("smollm2:360m")
	missing("org")
	missing("org/other")
}

func TestStoreNames(t *testing.T) {
	s, root := store(t, "tiny@latest")
	good := directory(t, "genai-llama-int4", map[string]string{"model.onnx": "graph"})
	if err := os.CopyFS(filepath.Join(filepath.Dir(root), "outside@latest"), os.DirFS(good)); err != nil {
		t.Fatal(err)
	}
	f := func(name string) {
		t.Helper()
		m, err := s.Find(name)
		if !errors.Is(err, ErrName) {
			t.Errorf("Find(%.40q) = %v, %v, want ErrName", name, m, err)
		}
		if len(err.Error()) > 300 {
			t.Errorf("Find(%.40q): error of %d bytes", name, len(err.Error()))
		}
		if p, err := s.Path(name); !errors.Is(err, ErrName) {
			t.Errorf("Path(%.40q) = %q, %v, want ErrName", name, p, err)
		}
	}
	for _, name := range []string{
		"", ":", "a:", ":b", "/", "a/", "/a", "a//b", ".", "..", "../outside", "a/../../outside", "..%2foutside",
		"a:../x", "tiny@latest", "a:b:c", "a b", "a\x00", `a\b`, `C:\a`, "C:/a", "‥/a", "модель", ".hidden", "-a", "a:-b",
		"a/b/c/d", strings.Repeat("a", 97), "a:" + strings.Repeat("b", 97), strings.Repeat("a/", 10000), "\xff", "a\n",
	} {
		f(name)
	}
}

func FuzzCleanName(f *testing.F) {
	f.Add("org/repo:tag")
	f.Add("../../x")
	f.Fuzz(func(t *testing.T, name string) {
		clean, err := CleanName(name)
		if err != nil {
			return
		}
		rel := filepath.FromSlash(relativePath(clean))
		if !filepath.IsLocal(rel) || strings.Contains(rel, "..") && !strings.Contains(name, "..") {
			t.Errorf("%q leads to %q", name, rel)
		}
		if back, ok := nameOf(relativePath(clean)); !ok || back != clean {
			t.Errorf("%q: clean %q, and back %q", name, clean, back)
		}
		if again, err := CleanName(clean); err != nil || again != clean {
			t.Errorf("%q: clean %q, and again %q, %v", name, clean, again, err)
		}
	})
}

func TestStoreLinks(t *testing.T) {
	s, root := store(t, "tiny@latest")
	outside := directory(t, "genai-llama-int4", map[string]string{"model.onnx": "graph"})
	link := func(to, at string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(root, at)); err != nil {
			t.Fatal(err)
		}
	}
	link(outside, "linked@latest")
	if m, err := s.Find("linked"); err == nil || !strings.Contains(err.Error(), "linked@latest") {
		t.Errorf("a directory outside: %v, %v", m, err)
	}
	link("tiny@latest", "alias@latest")
	if _, err := s.Find("alias"); err != nil {
		t.Errorf("a link inside: %v", err)
	}
	for _, name := range []string{"genai_config.json", "model.onnx", "tokenizer.json", "chat_template.jinja"} {
		at := filepath.Join(root, "tiny@latest", name)
		data, err := os.ReadFile(at)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(at); err != nil {
			t.Fatal(err)
		}
		link(filepath.Join(outside, name), "tiny@latest/"+name)
		if m, err := s.Find("tiny"); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s outside: %v, %v", name, m, err)
		}
		if err := os.Remove(at); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Find("tiny"); err != nil {
		t.Errorf("restored: %v", err)
	}
}

func TestStoreList(t *testing.T) {
	s, root := store(t, "b@2", "b@1", "a-b@latest", "a@latest", "org/b@latest", "broken@latest", ".import-b@3", "bad name@latest")
	write(t, root, map[string]string{"broken@latest/model.onnx": "", "notes.txt": "not a model", "empty/x": "x"})
	list, err := s.List()
	if err == nil || !strings.Contains(err.Error(), "broken@latest/model.onnx") {
		t.Errorf("error %v, want one that names the broken model's file", err)
	}
	names := func(list []*Model) (names []string) {
		for _, m := range list {
			names = append(names, m.Name)
		}
		return names
	}
	if diff := cmp.Diff([]string{"a-b:latest", "a:latest", "b:1", "b:2", "org/b:latest"}, names(list)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if err := os.RemoveAll(filepath.Join(root, "broken@latest")); err != nil {
		t.Fatal(err)
	}
	if list, err := s.List(); err != nil || len(list) != 5 {
		t.Errorf("%d models, %v, want 5", len(list), err)
	}
}

// A description is kept while the files are unchanged and made anew when one changes.
func TestStoreSeesChanges(t *testing.T) {
	s, root := store(t, "tiny@latest")
	find := func() *Model {
		t.Helper()
		m, err := s.Find("tiny")
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	before := find()
	if again := find(); again != before {
		t.Error("unchanged files were described twice")
	}
	write(t, root, map[string]string{"tiny@latest/chat_template.jinja": "{{ changed }}"})
	after := find()
	if after.ChatTemplate != "{{ changed }}" || after.Digest == before.Digest {
		t.Errorf("template %q, digest changed %v", after.ChatTemplate, after.Digest != before.Digest)
	}
	if before.ChatTemplate == after.ChatTemplate {
		t.Error("the description that was returned before changed")
	}
}

func TestStoreConcurrent(t *testing.T) {
	s, root := store(t, "a@latest", "b@latest")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 10 {
				if i == 0 {
					if err := os.WriteFile(filepath.Join(root, "a@latest", "model.onnx.data"), make([]byte, 100), 0o644); err != nil {
						t.Error(err)
					}
				}
				if _, err := s.Find("b"); err != nil {
					t.Error(err)
				}
				if list, err := s.List(); err != nil || len(list) != 2 {
					t.Errorf("%d models, %v", len(list), err)
				}
			}
		})
	}
	wg.Wait()
}

// TestFindAtOnce: whoever asks for a model first, all get the same one, which a pool takes for unchanged.
func TestFindAtOnce(t *testing.T) {
	for range 20 {
		s, _ := store(t, "m@latest")
		found := make([]*Model, 8)
		var wait sync.WaitGroup
		for i := range found {
			wait.Go(func() { found[i], _ = s.Find("m") })
		}
		wait.Wait()
		for _, m := range found {
			if m == nil || m != found[0] {
				t.Fatalf("several: %p and %p", m, found[0])
			}
		}
	}
}
