// Package pip brings pinned files and Python environments by way of pip, for set-up and tests. The server does not use it.
//
// Every error is one line that says what to do.
package pip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// ErrNoPip says that this machine has no working pip.
var ErrNoPip = errors.New("no working pip found (tried pip3, pip, python3 -m pip): " +
	"install Python 3 with pip (Debian: apt-get install python3-pip) and run this again")

// Pip is a pip that works.
type Pip struct {
	argv []string // the command with its first arguments
}

// Find returns the first of the given commands that answers to --version; with none given it tries those of ErrNoPip.
func Find(ctx context.Context, commands ...[]string) (*Pip, error) {
	if len(commands) == 0 {
		commands = [][]string{{"pip3"}, {"pip"}, {"python3", "-m", "pip"}}
	}
	for _, argv := range commands {
		out, err := exec.CommandContext(ctx, argv[0], append(argv[1:len(argv):len(argv)], "--version")...).Output()
		if err == nil && strings.HasPrefix(string(out), "pip ") {
			return &Pip{argv: argv}, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return nil, ErrNoPip
}

// run runs pip with args; its progress goes to out. what says in an error what pip was asked for.
func (p *Pip) run(ctx context.Context, out io.Writer, what string, args ...string) error {
	argv := append(p.argv[1:len(p.argv):len(p.argv)], args...)
	cmd := exec.CommandContext(ctx, p.argv[0], argv...)
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = out, &stderr
	cmd.WaitDelay = 2 * time.Second // for what pip itself started
	err := cmd.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("pip could not bring %s: %s", what, reason(stderr.String(), err))
	}
	return nil
}

// reason reduces what pip wrote to one line that says what to do.
func reason(stderr string, err error) string {
	for _, sign := range []string{
		"Failed to establish a new connection", "Temporary failure in name resolution", "Name or service not known",
		"Connection refused", "Network is unreachable", "timed out", "ProxyError", "ConnectionResetError",
	} {
		if strings.Contains(stderr, sign) {
			return "the package index cannot be reached (" + sign + "): check the network and pip's proxy and index settings (pip config list), then run this again"
		}
	}
	if strings.Contains(stderr, "No space left on device") {
		return "the disk is full: make room, then run this again"
	}
	last := ""
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "ERROR: "); ok && last == "" {
			last = rest // the first error names the cause, later ones follow from it
		}
	}
	if last == "" {
		last = strings.Join(strings.Fields(stderr), " ")
	}
	if len(last) > 300 {
		last = last[:300] + "…"
	}
	if last == "" {
		last = err.Error()
	}
	return last + " (pip config list shows the index that pip asks)"
}
