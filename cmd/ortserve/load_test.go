package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ortserve/internal/config"
	"ortserve/internal/testmodel"
	"ortserve/models"
	"ortserve/onnx"
	"ortserve/tokenize"
)

// tokenizerOf returns a tokenizer of three pieces and these added tokens; names that begin with "plain:" are not special.
func tokenizerOf(t *testing.T, added ...string) *tokenize.Tokenizer {
	t.Helper()
	var tokens []string
	for i, name := range added {
		text, special := name, "true"
		if plain, ok := strings.CutPrefix(name, "plain:"); ok {
			text, special = plain, "false"
		}
		tokens = append(tokens, `{"id": `+string(rune('3'+i))+`, "content": "`+text+`", "special": `+special+`}`)
	}
	tok, err := tokenize.Parse([]byte(`{"version": "1.0", "decoder": {"type": "Fuse"}, "added_tokens": [` + strings.Join(tokens, ",") + `],
		"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "</s>": 2}, "merges": []}}`))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestStopTokens(t *testing.T) {
	f := func(eos []int32, eosToken string, added []string, want ...int32) {
		t.Helper()
		m := &models.Model{EOS: eos, EOSToken: eosToken}
		got := stopTokens(m, tokenizerOf(t, added...))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v, %q, %q (-want +got):\n%s", eos, eosToken, added, diff)
		}
		if diff := cmp.Diff(eos, m.EOS); diff != "" {
			t.Errorf("the model's own list was changed (-want +got):\n%s", diff)
		}
	}
	f([]int32{0}, "", nil, 0)
	f([]int32{1, 0, 1}, "", nil, 0, 1)
	f([]int32{0}, "", []string{"<|start_header_id|>", "<|eot_id|>"}, 0, 4)            // a turn's end that no file names
	f([]int32{3}, "<|eot_id|>", []string{"<|eot_id|>"}, 3)                            // once
	f([]int32{0}, "<|stop|>", []string{"<|stop|>"}, 0, 3)                             // tokenizer_config.json's
	f([]int32{0}, "a", nil, 0)                                                        // a piece of text is no control token
	f([]int32{0}, "", []string{"plain:<|im_end|>", "<|eom_id|>"}, 0, 4)               // nor is an added one that is not special,
	f([]int32{0}, "", nil, 0)                                                         // nor a piece that is called like one
	f([]int32{0}, "", []string{"<|im_end|>", "<|endoftext|>", "<|end|>"}, 0, 3, 4, 5) // several
}

func TestFindModel(t *testing.T) {
	t.Setenv("ORTSERVE_HOME", t.TempDir())
	dir := filepath.Join(t.TempDir(), "tiny")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := testmodel.Write(dir, testmodel.Config{}); err != nil {
		t.Fatal(err)
	}
	store, err := openStore(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	f := func(s config.ModelSource, want string, failures ...string) {
		t.Helper()
		list, _, err := findModels(store, []config.ModelSource{s})
		if want != "" {
			if err != nil || len(list) != 1 || list[0].Name != want || list[0].Dir != dir {
				t.Errorf("%+v: %v, %v, want %s in %s", s, list, err, want, dir)
			}
			return
		}
		if err == nil {
			t.Errorf("%+v: no error", s)
			return
		}
		for _, w := range failures {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%+v: error %q does not say %q", s, err, w)
			}
		}
	}
	f(config.ModelSource{Source: dir}, "tiny:latest")
	f(config.ModelSource{Name: "other", Source: dir}, "other:latest")

	cached := filepath.Join(t.TempDir(), "models--org--repo")
	commit := filepath.Join(cached, "snapshots", "c0ffee")
	if err := errors.Join(os.MkdirAll(commit, 0o700), os.Mkdir(filepath.Join(cached, "refs"), 0o700),
		os.WriteFile(filepath.Join(cached, "refs", "main"), []byte("c0ffee"), 0o600), os.CopyFS(commit, os.DirFS(dir))); err != nil {
		t.Fatal(err)
	}
	if list, _, err := findModels(store, []config.ModelSource{{Source: cached}}); err != nil || list[0].Name != "org/repo:latest" || list[0].Dir != commit {
		t.Errorf("%s: %+v, %v", cached, list, err)
	}
	f(config.ModelSource{Name: "other:1b", Source: dir}, "other:1b")
	f(config.ModelSource{Name: "o ther", Source: dir}, "", "--model o ther="+dir+": ")
	f(config.ModelSource{Source: "smollm2:135m"}, "", "--model smollm2:135m: ", "make run", "ortserve import FILE.gguf --name smollm2:135m")
	f(config.ModelSource{Source: "/nowhere/at/all"}, "", "--model /nowhere/at/all: ")
	f(config.ModelSource{Source: "../x"}, "", "--model ../x: ")
	f(config.ModelSource{Source: t.TempDir()}, "", "config.json")
	file := filepath.Join(dir, "model.onnx")
	f(config.ModelSource{Source: file}, "tiny:latest")

	// One that is damaged does not keep the other from being served.
	damaged := filepath.Join(t.TempDir(), "damaged")
	if err := testmodel.Write(mkdir(t, damaged), testmodel.Config{}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(damaged, "genai_config.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	list, left, err := findModels(store, []config.ModelSource{{Source: damaged}, {Source: dir}})
	if err != nil || len(list) != 1 || list[0].Dir != dir || left == nil || !strings.Contains(left.Error(), "genai_config.json") {
		t.Errorf("beside a damaged model: %v, %v, %v", list, left, err)
	}

	_, _, err = findModels(store, []config.ModelSource{{Source: dir}, {Source: "absent:x"}})
	if !errors.Is(err, models.ErrNotFound) {
		t.Errorf("error %v, want one that is ErrNotFound", err)
	}
}

func mkdir(t *testing.T, dir string) string {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// What an answer's bits depend on changes the fingerprint, and nothing else does.
func TestFingerprint(t *testing.T) {
	base := func() (*loader, *models.Model) {
		return &loader{config: &config.Serve{}, threads: 2}, &models.Model{Digest: "d", Name: "n"}
	}
	l, m := base()
	want := l.fingerprint(m, onnx.Report{Device: "cpu"})
	if len(want) != len("fp_")+12 || !strings.HasPrefix(want, "fp_") {
		t.Errorf("fingerprint %q", want)
	}
	f := func(what string, same bool, change func(*loader, *models.Model)) {
		t.Helper()
		l, m := base()
		change(l, m)
		if got := l.fingerprint(m, onnx.Report{Device: "cpu"}); (got == want) != same {
			t.Errorf("%s: %s, it was %s", what, got, want)
		}
	}
	f("nothing", true, func(*loader, *models.Model) {})
	f("another name", true, func(_ *loader, m *models.Model) { m.Name = "other" })
	f("more slots", true, func(l *loader, _ *models.Model) { l.config.Slots = 3 })
	f("other files", false, func(_ *loader, m *models.Model) { m.Digest = "e" })
	f("other threads", false, func(l *loader, _ *models.Model) { l.threads = 3 })
	for _, r := range []onnx.Report{{Device: "cuda: a device"}, {Device: "cpu", Kernels: "avx2 (1 nodes)"}} {
		if l.fingerprint(m, r) == want {
			t.Errorf("%v: %s as before", r, want)
		}
	}
	f("the other mode", false, func(l *loader, _ *models.Model) { l.config.Deterministic = true })
}

func TestSharedPrefixes(t *testing.T) {
	tok := tokenizerOf(t, "<|eot_id|>")
	dir := t.TempDir()
	for name, text := range map[string]string{"one": "ab", "two": "b<|eot_id|>a"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := sharedPrefixes([]string{filepath.Join(dir, "one"), filepath.Join(dir, "two")}, tok)
	if diff := cmp.Diff([][]int32{{0, 1}, {1, 3, 0}}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	absent := filepath.Join(dir, "three")
	if _, err := sharedPrefixes([]string{absent}, tok); err == nil || !strings.Contains(err.Error(), "--shared-prefix: ") || !strings.Contains(err.Error(), absent) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// What the operator says of threads and memory wins over what the machine has.
func TestNewLoader(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	f := func(c config.Serve, threads int, memory int64) {
		t.Helper()
		l := newLoader(&c, log)
		if threads > 0 && l.threads != threads || l.threads < 1 {
			t.Errorf("%+v: %d threads, want %d", c, l.threads, threads)
		}
		if memory > 0 && l.memory != memory || l.memory < 0 {
			t.Errorf("%+v: %d bytes of memory, want %d", c, l.memory, memory)
		}
	}
	two := []config.ModelSource{{Source: "a"}, {Source: "b"}}
	f(config.Serve{Threads: 3, MemoryLimit: 1000, Models: two[:1]}, 3, 1000)
	f(config.Serve{Threads: 3, MemoryLimit: 1000, Models: two}, 3, 1000)
	f(config.Serve{MemoryLimit: 1000}, 0, 1000)

	// What the machine has left changes while this runs, though not by half.
	machine, _ := config.MemoryLimit()
	if got := newLoader(&config.Serve{Models: two}, log).memory; machine > 0 && (got < machine/2 || got > 2*machine) {
		t.Errorf("models may take %d bytes of %d", got, machine)
	}
}

// Models that were named share the memory; one that does not fit in its share plans with all of it.
func TestPlanShares(t *testing.T) {
	dir := t.TempDir()
	if err := testmodel.Write(dir, testmodel.Config{}); err != nil {
		t.Fatal(err)
	}
	m, err := models.Describe(dir)
	if err != nil {
		t.Fatal(err)
	}
	f := func(models int, memory int64, slots int, refused bool) {
		t.Helper()
		l := &loader{config: &config.Serve{Models: make([]config.ModelSource, models)}, memory: memory}
		p, err := l.plan(m, onnx.ProviderCPU)
		if (err != nil) != refused || err == nil && (p.slots != slots || p.bytes > memory) {
			t.Errorf("%d models, %d bytes: %+v, %v, want %d slots", models, memory, p, err, slots)
		}
	}
	// 256 MiB for the program; the model itself, with 512 bytes of KV a token, 2,049 tokens a slot and one slot more, is small.
	const mib = 1 << 20
	f(0, 300*mib, 8, false)
	f(1, 300*mib, 8, false)
	f(2, 600*mib, 8, false)
	f(2, 2*264*mib, 5, false)
	f(3, 300*mib, 8, false) // not in 100 MiB
	f(3, 100*mib, 0, true)
}
