package main

import (
	"strings"
	"testing"

	"ortserve/internal/testhub"
)

func TestPullCommand(t *testing.T) {
	hub := testhub.New(t, testhub.TinyModel(t))
	t.Setenv("ORTSERVE_HOME", t.TempDir())
	t.Setenv("HF_ENDPOINT", hub.URL)
	t.Setenv("HF_HOME", t.TempDir())
	out, progress := commandLine(t, 0, "pull", testhub.Repo)
	if !strings.Contains(out, "pulled org/tiny-onnx:latest (model.onnx at commit c0c0c0c0c0c0, ") || !strings.Contains(progress, "downloading: 100 %") {
		t.Errorf("pull says %q and %q", out, progress)
	}
	if out, _ := commandLine(t, 0, "pull", testhub.Repo); !strings.Contains(out, "org/tiny-onnx:latest is up to date") {
		t.Errorf("again it says %q", out)
	}
	if out, _ := commandLine(t, 0, "pull", "hf.co/"+testhub.Repo, "--name", "mine:x", "--revision", hub.Commit); !strings.Contains(out, "pulled mine:x ") {
		t.Errorf("with a name it says %q", out)
	}
	out, _ = commandLine(t, 0, "list")
	if !strings.Contains(out, "\nmine:x ") || !strings.Contains(out, "\norg/tiny-onnx:latest ") {
		t.Errorf("list:\n%s", out)
	}
	f := func(says string, args ...string) {
		t.Helper()
		if _, errs := commandLine(t, 1, append([]string{"pull"}, args...)...); !strings.Contains(errs, says) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%q: %q, want a line with %q", args, errs, says)
		}
	}
	f("0 names")
	f("not a repository", "llama3.2:1b")
	f("there is no such repository", "org/other")
	f("there is no such repository, revision", testhub.Repo, "--revision", "v2")
	f(`nothing called "q4"`, testhub.Repo+":q4")
	f("not valid", testhub.Repo, "--name", "../x")
	t.Setenv("HF_ENDPOINT", "nowhere")
	f("HF_ENDPOINT", testhub.Repo)
}
