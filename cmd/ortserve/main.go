// Command ortserve serves language models as ONNX graphs behind the OpenAI and Ollama APIs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"ortserve/internal/buildinfo"
)

// terminal is where a command reads and writes.
type terminal struct {
	in       io.Reader
	out, err io.Writer
}

// command is a subcommand. Its error is printed as one line; flag.ErrHelp says that help was asked for and given.
type command struct {
	name, summary string
	run           func(ctx context.Context, args []string, t terminal) error
}

// commands are in the order of the help text.
var commands = []command{
	{"serve", "serve models over HTTP", runServe},
	{"run", "talk to a model on the terminal", runChat},
	{"import", "convert a GGUF file or a Hugging Face folder into a model of the store", runImport},
	{"pull", "bring a model from a Hugging Face hub into the store", runPull},
	{"list", "the models of the store", runList},
	{"show", "describe a model of the store", runShow},
	{"bench", "how fast this machine reads prompts and writes answers", runBench},
	{"inspect", "what a graph asks for, what the self-check found, what computes it", runInspect},
	{"rm", "delete models of the store", runRemove},
	{"cp", "give a model of the store a second name", runCopy},
	{"tokenize", "text to token ids, and back", runTokenize},
	{"healthcheck", "exit 0 if a server is ready, 1 if not", runHealthcheck},
	{"version", "print the version", runVersion},
}

func main() {
	os.Exit(run(os.Args[1:], terminal{os.Stdin, os.Stdout, os.Stderr}))
}

// run runs a command line and returns the exit status: 0, 1 for a failure, 2 for a wrong command line.
func run(args []string, t terminal) int {
	if len(args) == 0 {
		usage(t.err)
		return 2
	}
	name := args[0]
	if name == "help" || name == "-h" || name == "--help" {
		usage(t.out)
		return 0
	}
	for _, c := range commands {
		if c.name != name && "--"+c.name != name {
			continue
		}
		err := c.run(context.Background(), args[1:], t)
		switch {
		case err == nil || errors.Is(err, flag.ErrHelp):
			return 0
		default:
			fmt.Fprintf(t.err, "ortserve %s: %s\n", c.name, oneLine(err))
			return 1
		}
	}
	fmt.Fprintf(t.err, "ortserve: there is no command %q; see ortserve help\n", name)
	return 2
}

// oneLine returns the text of err on one line.
func oneLine(err error) string { return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ") }

func usage(w io.Writer) {
	fmt.Fprint(w, "Usage: ortserve COMMAND [flags]\n\nServes language models as ONNX graphs behind the OpenAI and Ollama APIs.\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-12s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "\nortserve COMMAND --help says more.\n")
}

// interruptible returns a context that SIGINT and SIGTERM end.
func interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}

func runVersion(_ context.Context, _ []string, t terminal) error {
	_, err := fmt.Fprintf(t.out, "ortserve %s (%s, %s/%s)\n", buildinfo.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
