package testenv

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"ortserve/internal/home"
)

// fatal is a test that notes how it failed.
type fatal struct {
	testing.TB
	text string
}

func (f *fatal) Helper() {}

func (f *fatal) Fatalf(format string, args ...any) {
	f.text = format
	for _, a := range args {
		if s, ok := a.(string); ok {
			f.text += " " + s
		}
	}
	panic(f)
}

// failure returns what find fails a test with, or "".
func failure(t *testing.T, find func(testing.TB) string) (text string) {
	t.Helper()
	f := &fatal{TB: t}
	defer func() {
		if r := recover(); r != nil && r != any(f) {
			panic(r)
		}
		text = f.text
	}()
	find(f)
	return ""
}

func TestMissingThingsSayWhatToRun(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(home.Env, dir)
	t.Setenv("ORTSERVE_ONNXRUNTIME", "")
	f := func(find func(testing.TB) string, path, command string) {
		t.Helper()
		got := failure(t, find)
		if !strings.Contains(got, path) || !strings.Contains(got, command) {
			t.Errorf("fails with %q, want %s and %q", got, path, command)
		}
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if got := find(t); got != path {
			t.Errorf("found %s, want %s", got, path)
		}
	}
	f(Runtime, home.RuntimeLibrary(dir), "make runtime")
	f(DefaultModel, filepath.Join(home.Models(dir), home.DefaultModelPath), "make model")
	f(DefaultGGUF, home.DefaultGGUF(dir), "make model")
}

func TestRoot(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "internal", "testenv", "testenv_test.go")); err != nil {
		t.Error(err)
	}
	t.Chdir(t.TempDir())
	if root, err := Root(); err == nil {
		t.Errorf("outside a checkout Root is %s", root)
	}
}

func TestLaunch(t *testing.T) {
	s := Launch(t, "/bin/sh", "-c", "trap 'echo ended; exit 5' TERM; echo begun 17; while :; do sleep 0.01; done")
	if m := s.WaitLog(t, regexp.MustCompile(`begun (\d+)`)); m[1] != "17" {
		t.Errorf("matched %q", m)
	}
	if code := s.Stop(t, syscall.SIGTERM); code != 5 {
		t.Errorf("exit code %d, want 5", code)
	}
	if got := s.Log(); got != "begun 17\nended\n" {
		t.Errorf("log is %q", got)
	}
}
