package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Bench is what `ortserve bench` is asked for.
type Bench struct {
	Model    string // a name in the store or a directory
	Contexts []int  // tokens, ascending; none: the command's choice
	Batches  []int  // sequences decoded together, ascending
	Rounds   int    // prompts of each length
	Steps    int    // decode steps at each length and batch
	JSON     string // where to write the figures; empty: nowhere
	SVG      string // where to draw them; empty: nowhere
	Serve           // of it what says how a model is opened
}

// Bounds of what is measured.
const (
	maxPoints = 32
	maxRounds = 1000
	maxSteps  = 4096
)

// ParseBench reads the flags of `ortserve bench` and the environment, as ParseServe does.
func ParseBench(args []string, env func(string) string, out io.Writer) (*Bench, error) {
	c := &Bench{Batches: []int{1, 2, 4, 8}, Rounds: 3, Steps: 32, Serve: Serve{Provider: "auto", KV: "auto", Chunk: 256}}
	f := c.flags()
	err := f.parse(args, env)
	if errors.Is(err, flag.ErrHelp) {
		return nil, errors.Join(err, benchHelp(f, out))
	}
	if err != nil {
		return nil, err
	}
	return c, c.checkProvider()
}

func (c *Bench) flags() *flagSet {
	f := newFlagSet("bench")
	f.operand = &c.Model
	f.group = "Measurement"
	f.add(&option{
		name: "context", arg: "N,N,…", local: true, set: numbers(&c.Contexts, maxMax),
		help: `tokens before the ones that are measured (128,512,2048, as far as the
model's window goes). Decoding gets slower with each, and so do prompts.`,
	})
	f.add(&option{
		name: "batch", arg: "N,N,…", local: true, set: numbers(&c.Batches, maxSlots),
		help: `sequences decoded together (1,2,4,8). The weights are read once for all
of them; KV memory is set aside for as many.`,
	})
	f.whole(&c.Rounds, "rounds", 1, maxRounds, `prompts of each length, of which the median counts (3).`)
	f.whole(&c.Steps, "steps", 1, maxSteps, `decode steps at each length and batch, of which the median counts (32).`)
	f.text(&c.JSON, "json", "FILE", `write the figures there too, as a JSON object.`)
	f.text(&c.SVG, "svg", "FILE", `draw them there, for a light and a dark page.`)
	for _, o := range f.flags {
		o.local = true
	}
	c.machineFlags(f)
	f.group = "Batching"
	c.deterministicFlag(f)
	return f
}

// numbers reads numbers between 1 and high, separated by commas, in place of those that *p holds. They are sorted.
func numbers(p *[]int, high int) func(string) error {
	return func(v string) error {
		var list []int
		for s := range strings.SplitSeq(v, ",") {
			n, err := strconv.Atoi(strings.TrimSpace(s))
			if err != nil || n < 1 || n > high {
				return fmt.Errorf("must be whole numbers between 1 and %d, separated by commas", high)
			}
			list = append(list, n)
		}
		slices.Sort(list)
		if list = slices.Compact(list); len(list) > maxPoints {
			return fmt.Errorf("has more than %d numbers", maxPoints)
		}
		*p = list
		return nil
	}
}

func benchHelp(f *flagSet, out io.Writer) error {
	if _, err := io.WriteString(out, `Usage: ortserve bench [MODEL|DIRECTORY] [flags]

Measures how fast this machine reads prompts (prefill) and writes answers (decode) with a model, by context
length and batch, in this process: without HTTP and without sampling. It says too how fast all threads
together read memory, and which share of that decoding reaches. End other programs first.
`); err != nil {
		return err
	}
	return f.usage(out)
}
