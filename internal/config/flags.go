package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// envPrefix begins the names of all our environment variables.
const envPrefix = "ORTSERVE_"

// flagSet is a flag.FlagSet whose flags are also environment variables, with a help text in groups.
type flagSet struct {
	command string
	std     *flag.FlagSet
	flags   []*option
	group   string  // of the options that are added next
	operand *string // takes the one argument that is no flag; nil: there is none
	refused error   // what the last Set returned; flag.FlagSet keeps only its text
}

// option is one flag.
type option struct {
	name, group string
	arg         string // what stands for the value in the help text; empty for a switch
	help        string // what it does and what follows from it; lines as they shall be shown
	set         func(string) error
	list        bool // may be repeated; separated by commas in the environment
	local       bool // of this command line alone, no environment variable
	origin      string
	owner       *flagSet
}

func newFlagSet(command string) *flagSet {
	f := &flagSet{command: command, std: flag.NewFlagSet(command, flag.ContinueOnError)}
	f.std.SetOutput(io.Discard)
	f.std.Usage = func() {}
	return f
}

// String implements flag.Value.
func (o *option) String() string { return "" }

// Set implements flag.Value.
func (o *option) Set(v string) error {
	if err := o.set(v); err != nil {
		o.owner.refused = fmt.Errorf("%s: %q %w", o.origin, clip(v), err)
		return o.owner.refused
	}
	return nil
}

// IsBoolFlag lets a switch be given without a value.
func (o *option) IsBoolFlag() bool { return o.arg == "" }

func (f *flagSet) add(o *option) {
	o.group, o.owner, o.origin = f.group, f, "--"+o.name
	f.flags = append(f.flags, o)
	f.std.Var(o, o.name, o.help)
}

// envName is the environment variable of a flag.
func envName(name string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// parse reads args, then from env what args do not say. It returns flag.ErrHelp where help was asked for.
func (f *flagSet) parse(args []string, env func(string) string) error {
	for {
		if err := f.std.Parse(args); err != nil {
			return f.rephrase(err)
		}
		if f.std.NArg() == 0 {
			break
		}
		switch {
		case f.operand == nil:
			return fmt.Errorf("%q is not a flag; ortserve %s takes flags only", clip(f.std.Arg(0)), f.command)
		case *f.operand != "":
			return fmt.Errorf("%q is one argument too many for ortserve %s", clip(f.std.Arg(0)), f.command)
		}
		*f.operand, args = f.std.Arg(0), f.std.Args()[1:]
	}
	given := map[string]bool{}
	f.std.Visit(func(std *flag.Flag) { given[std.Name] = true })
	for _, o := range f.flags {
		v := env(envName(o.name))
		if given[o.name] || o.local || v == "" {
			continue
		}
		o.origin = envName(o.name)
		values := []string{v}
		if o.list {
			values = strings.Split(v, ",")
		}
		for _, v := range values {
			if err := o.Set(strings.TrimSpace(v)); err != nil {
				return err
			}
		}
	}
	return nil
}

// rephrase makes our sentences of package flag's errors.
func (f *flagSet) rephrase(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return flag.ErrHelp
	}
	if f.refused != nil {
		return f.refused
	}
	for text, format := range map[string]string{
		"flag provided but not defined: -": "--%s is not a flag of ortserve %s (--help lists them)",
		"flag needs an argument: -":        "--%s needs a value (ortserve %s --help says which)",
	} {
		if name, ok := strings.CutPrefix(err.Error(), text); ok {
			return fmt.Errorf(format, clip(name), f.command)
		}
	}
	return err
}

// usage writes the flags in their groups.
func (f *flagSet) usage(w io.Writer) error {
	var b strings.Builder
	group := ""
	for _, o := range f.flags {
		if o.group != group {
			group = o.group
			fmt.Fprintf(&b, "\n%s\n", group)
		}
		head := "--" + o.name
		if o.arg != "" {
			head += " " + o.arg
		}
		const column = 28
		text := strings.ReplaceAll(o.help, "\n", "\n"+strings.Repeat(" ", column))
		if len(head)+4 > column {
			head += "\n" + strings.Repeat(" ", column)
		}
		fmt.Fprintf(&b, "  %-*s%s\n", column-2, head, text)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// clip bounds what an error repeats of a value.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
