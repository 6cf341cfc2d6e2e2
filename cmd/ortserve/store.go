package main

import (
	"flag"
	"fmt"
	"os"

	"ortserve/internal/buildinfo"
	"ortserve/internal/home"
	"ortserve/models"
	"ortserve/models/hub"
)

// withStore runs f on the model store.
func withStore(f func(*models.Store) error) error {
	dir, err := home.Dir()
	if err != nil {
		return err
	}
	s, err := models.OpenStore(home.Models(dir))
	if err != nil {
		return err
	}
	defer s.Close()
	return f(s)
}

// newHub returns the hub that the environment names, which is not asked where offline or the environment says so.
func newHub(offline bool) (*hub.Hub, error) {
	o := hub.FromEnv(os.Getenv)
	o.Offline = o.Offline || offline
	o.UserAgent = "ortserve/" + buildinfo.Version
	return hub.New(o)
}

// newFlags returns the flags of a command. usage is its command line and what it does.
func newFlags(name, usage string, t terminal) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(t.err)
	f.Usage = func() {
		fmt.Fprintf(t.err, "Usage: ortserve %s\n", usage)
		flags := false
		f.VisitAll(func(*flag.Flag) { flags = true })
		if flags {
			fmt.Fprintln(t.err)
			f.PrintDefaults()
		}
	}
	return f
}

// parseNames parses flags before, between and after the names, of which there must be at least low and at most high.
func parseNames(f *flag.FlagSet, args []string, low, high int) ([]string, error) {
	names, err := parseWords(f, args)
	if err != nil {
		return nil, err
	}
	if len(names) < low || len(names) > high {
		return nil, fmt.Errorf("%d names given; ortserve %s --help says what is expected", len(names), f.Name())
	}
	return names, nil
}

// parseWords parses flags before, between and after the arguments that are none, and returns those.
func parseWords(f *flag.FlagSet, args []string) (words []string, err error) {
	for {
		if err := f.Parse(args); err != nil {
			return nil, err
		}
		if f.NArg() == 0 {
			return words, nil
		}
		words, args = append(words, f.Arg(0)), f.Args()[1:]
	}
}
