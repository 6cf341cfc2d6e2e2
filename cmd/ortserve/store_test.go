package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ortserve/internal/testmodel"
)

// command runs a command line and returns what it writes.
func commandLine(t *testing.T, want int, args ...string) (out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	if code := run(args, terminal{strings.NewReader(""), &o, &e}); code != want {
		t.Errorf("%q: exit code %d, want %d: %s", args, code, want, e.String())
	}
	return o.String(), e.String()
}

func TestStoreCommands(t *testing.T) {
	home := t.TempDir()
	t.Setenv("ORTSERVE_HOME", home)
	dir := filepath.Join(home, "models", "org", "tiny@1b")
	if out, _ := commandLine(t, 0, "list"); len(strings.Split(strings.TrimSpace(out), "\n")) != 1 {
		t.Errorf("an empty store:\n%s", out)
	}
	if out, _ := commandLine(t, 0, "list", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("an empty store: %s", out)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := testmodel.Write(dir, testmodel.Config{Bits: 4}); err != nil {
		t.Fatal(err)
	}
	list := func() (all []modelInfo) {
		t.Helper()
		out, _ := commandLine(t, 0, "list", "--json")
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			t.Fatal(err)
		}
		return all
	}
	all := list()
	if len(all) != 1 || all[0].Name != "org/tiny:1b" || all[0].Dir != dir || len(all[0].Digest) != 64 || all[0].ContextLength != 2048 || all[0].Vocab != testmodel.Vocab {
		t.Fatalf("list --json: %+v", all)
	}
	out, _ := commandLine(t, 0, "list")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[1], "org/tiny:1b   "+all[0].Digest[:12]+"   ") || strings.Index(lines[0], "MODIFIED") != strings.Index(lines[1], all[0].Modified.Local().Format("2006-01-02")) {
		t.Errorf("list:\n%s", out)
	}
	if out, _ := commandLine(t, 0, "tokenize", "--model", "org/tiny:1b", "--count"); out != "0\n" { // of no text
		t.Errorf("tokenize: %q", out)
	}
	if _, errs := commandLine(t, 1, "tokenize", "--model", "org/other:1b"); !strings.Contains(errs, "--model org/other:1b: ") {
		t.Errorf("tokenize: %s", errs)
	}
	var one modelInfo
	out, _ = commandLine(t, 0, "show", "org/tiny:1b", "--json")
	if err := json.Unmarshal([]byte(out), &one); err != nil || one.Digest != all[0].Digest {
		t.Errorf("show --json: %s", out)
	}
	out, _ = commandLine(t, 0, "show", "org/tiny:1b")
	for _, want := range []string{"context length   2048", "vocabulary       512", "heads            4, of keys and values 2, of 16 each", all[0].Digest} {
		if !strings.Contains(out, want) {
			t.Errorf("show does not say %q:\n%s", want, out)
		}
	}
	if out, _ = commandLine(t, 0, "show", "--template", "org/tiny:1b"); !strings.Contains(out, "message") {
		t.Errorf("show --template: %s", out)
	}
	commandLine(t, 0, "cp", "org/tiny:1b", "mine")
	if all := list(); len(all) != 2 || all[0].Name != "mine:latest" || all[0].Digest != one.Digest {
		t.Errorf("after cp: %+v", all)
	}
	commandLine(t, 0, "rm", "org/tiny:1b", "mine")
	if all := list(); len(all) != 0 {
		t.Errorf("after rm: %+v", all)
	}
	f := func(says string, args ...string) {
		t.Helper()
		if _, errs := commandLine(t, 1, args...); !strings.Contains(errs, says) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%q: %q, want a line with %q", args, errs, says)
		}
	}
	f("model not found", "show", "mine")
	f("model not found", "rm", "mine")
	f("model not found", "cp", "mine", "yours")
	f("not valid", "rm", "../mine")
	f("0 names", "rm")
	f("1 names", "cp", "mine")
	f("2 names", "show", "a", "b")

	// One model that cannot be described does not hide the others.
	if err := os.MkdirAll(filepath.Join(home, "models", "broken@x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, errs := commandLine(t, 1, "list"); !strings.Contains(errs, "broken@x") {
		t.Errorf("a broken model: %s", errs)
	}
}
