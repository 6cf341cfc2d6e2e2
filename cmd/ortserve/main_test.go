package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// at runs a command line and returns the exit code and what it wrote.
func at(args ...string) (code int, out, err string) {
	var stdout, stderr strings.Builder
	code = run(args, terminal{strings.NewReader(""), &stdout, &stderr})
	return code, stdout.String(), stderr.String()
}

func TestRun(t *testing.T) {
	t.Setenv("ORTSERVE_MODEL", "")
	t.Setenv("ORTSERVE_ADDR", "")
	f := func(args string, code int, out, failure string) {
		t.Helper()
		got, stdout, stderr := at(strings.Fields(args)...)
		if got != code {
			t.Errorf("%q: exit code %d, want %d", args, got, code)
		}
		if (stdout == "") != (out == "") || !strings.Contains(stdout, out) {
			t.Errorf("%q: output %q, want %q in it", args, stdout, out)
		}
		if (stderr == "") != (failure == "") || !strings.Contains(stderr, failure) {
			t.Errorf("%q: errors %q, want %q in them", args, stderr, failure)
		}
		if code == 1 && strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: not one line: %q", args, stderr)
		}
	}
	f("", 2, "", "Usage: ortserve COMMAND")
	f("help", 0, "Usage: ortserve COMMAND", "")
	f("-h", 0, "Usage: ortserve COMMAND", "")
	f("--help", 0, "Usage: ortserve COMMAND", "")
	f("fly", 2, "", `ortserve: there is no command "fly"; see ortserve help`)
	f("Serve", 2, "", `no command "Serve"`)
	f("-version", 2, "", `no command "-version"`)
	f("version", 0, "ortserve ", "")
	f("--version", 0, "ortserve ", "")
	f("serve --help", 0, "Usage: ortserve serve", "")
	f("serve --slot 3", 1, "", "ortserve serve: ")
	f("serve --addr 0.0.0.0:0", 1, "", "--insecure-no-auth")
	f("serve --model /nowhere/at/all", 1, "", "ortserve serve: --model /nowhere/at/all: ")
	f("import --help", 0, "", "Usage: ortserve import")
	f("import", 1, "", "ortserve import: 0 files named, one is expected")
	f("import a.gguf b.gguf", 1, "", "2 files named")
	f("import --name ../x a.gguf", 1, "", "ortserve import: --name: ")
	f("import --dtype bf16 a.gguf", 1, "", `ortserve import: --dtype "bf16" is not known (fp32 and fp16 are)`)
	f("import --name x /nowhere/at/all.gguf", 1, "", "ortserve import: ")
	f("inspect --help", 0, "Usage: ortserve inspect", "")
	f("tokenize --help", 0, "", "Usage: ortserve tokenize")
	f("tokenize", 1, "", "ortserve tokenize: --model is missing")
	f("healthcheck --help", 0, "", "-addr")
}

// Each command of the table is in the help text, with a summary, and says how it is used.
func TestUsage(t *testing.T) {
	_, text, _ := at("help")
	for _, c := range commands {
		if !regexp.MustCompile(`(?m)^  ` + c.name + ` +` + regexp.QuoteMeta(c.summary) + `$`).MatchString(text) {
			t.Errorf("%s is not in the help text:\n%s", c.name, text)
		}
		if c.name == "version" {
			continue
		}
		if code, out, err := at(c.name, "--help"); code != 0 || !strings.Contains(out+err, "-") && !strings.Contains(out+err, "Usage") {
			t.Errorf("%s --help: exit code %d, %q, %q", c.name, code, out, err)
		}
	}
}

func TestVersion(t *testing.T) {
	_, out, _ := at("version")
	if !regexp.MustCompile(`^ortserve \S+ \(go[0-9.]+\S*, \w+/\w+\)\n$`).MatchString(out) {
		t.Errorf("version: %q", out)
	}
}

func TestOneLine(t *testing.T) {
	f := func(err error, want string) {
		t.Helper()
		if got := oneLine(err); got != want {
			t.Errorf("%q: %q, want %q", err, got, want)
		}
	}
	f(errors.New("one"), "one")
	f(errors.Join(errors.New("one"), errors.New("two")), "one; two")
	f(fmt.Errorf("both: %w\n", errors.Join(errors.New("one"), errors.New("two"))), "both: one; two")
	f(errors.New("\n one\n"), "one")
}
