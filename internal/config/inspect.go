package config

import (
	"errors"
	"flag"
	"io"
)

// Inspect is what `ortserve inspect` is asked for.
type Inspect struct {
	Model string // a name in the store or a directory
	JSON  bool
	Serve // of it what says how a model is opened
}

// ParseInspect reads the flags of `ortserve inspect` and the environment, as ParseServe does.
func ParseInspect(args []string, env func(string) string, out io.Writer) (*Inspect, error) {
	c := &Inspect{Serve: Serve{Provider: "auto", Kernels: "auto", KV: "auto", Chunk: 256}}
	f := newFlagSet("inspect")
	f.operand = &c.Model
	f.group = "Output"
	f.toggle(&c.JSON, "json", `as JSON, an object.`)
	f.flags[0].local = true
	c.machineFlags(f)
	f.group = "Batching"
	c.sizeFlags(f)
	c.deterministicFlag(f)
	err := f.parse(args, env)
	if errors.Is(err, flag.ErrHelp) {
		return nil, errors.Join(err, inspectHelp(f, out))
	}
	if err != nil {
		return nil, err
	}
	if c.Model == "" {
		return nil, errors.New("no model is named: ortserve inspect MODEL|DIRECTORY")
	}
	return c, c.checkProvider()
}

func inspectHelp(f *flagSet, out io.Writer) error {
	if _, err := io.WriteString(out, `Usage: ortserve inspect MODEL|DIRECTORY [flags]

Opens a model as ortserve serve would with the same flags, and tells what its graph asks for, what the
self-check found, which provider computes its nodes, and what it takes of the memory.
`); err != nil {
		return err
	}
	return f.usage(out)
}
