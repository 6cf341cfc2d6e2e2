package main

import (
	"flag"
	"fmt"

	"ortserve/internal/home"
	"ortserve/models"
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
	var names []string
	for {
		if err := f.Parse(args); err != nil {
			return nil, err
		}
		if f.NArg() == 0 {
			break
		}
		names, args = append(names, f.Arg(0)), f.Args()[1:]
	}
	if len(names) < low || len(names) > high {
		return nil, fmt.Errorf("%d names given; ortserve %s --help says what is expected", len(names), f.Name())
	}
	return names, nil
}
