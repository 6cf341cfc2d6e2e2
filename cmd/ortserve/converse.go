package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/peterh/liner"
)

// conversation is a chat that a person leads on a terminal.
type conversation struct {
	*chat
	line  *liner.State
	out   io.Writer
	stats bool
}

// errLeave is the error of /bye.
var errLeave = errors.New("leave")

// slash is a command of the conversation. Its argument is the rest of the line.
type slash struct {
	name, args, help string
	run              func(v *conversation, ctx context.Context, arg string) error
}

// slashes are in the order of /help. They are made by a function, since /help reads them.
func slashes() []slash {
	return []slash{
		{"help", "", "these commands", (*conversation).help},
		{"again", "", "ask the last question again", (*conversation).again},
		{"clear", "", "forget the conversation", (*conversation).clear},
		{"system", "[TEXT]", "set the system text, or take it back", (*conversation).setSystem},
		{"set", "[NAME VALUE]", "set an option like temperature, seed or num_predict; without a value take it back; alone list them", (*conversation).set},
		{"format", "[json|FILE]", "answers are JSON, or fit the JSON Schema in a file; alone: any text", (*conversation).setForm},
		{"models", "", "list the models", (*conversation).list},
		{"model", "NAME", "go on with another model", (*conversation).change},
		{"show", "", "describe the model", (*conversation).show},
		{"stats", "", "print tokens and times after each answer, or no longer", (*conversation).toggle},
		{"bye", "", "leave", func(*conversation, context.Context, string) error { return errLeave }},
	}
}

// converse leads a conversation until the person leaves.
func converse(ctx context.Context, c *chat, t terminal, stats bool) error {
	loading := working(t.err, "loading "+c.model)
	err := c.load(ctx)
	loading()
	if err != nil {
		return err
	}
	line := liner.NewLiner()
	defer line.Close()
	line.SetCtrlCAborts(true)
	line.SetBeep(false)
	line.SetCompleter(complete)
	defer keepHistory(line)()
	v := &conversation{chat: c, line: line, out: t.out, stats: stats}
	fmt.Fprintf(t.out, "%s. /help lists commands, \"\"\" begins and ends a text of several lines, Ctrl-D leaves.\n", c.model)
	for {
		text, err := v.read()
		switch {
		case errors.Is(err, liner.ErrPromptAborted):
			continue
		case errors.Is(err, io.EOF):
			fmt.Fprintln(t.out)
			return nil
		case err != nil:
			return err
		}
		err = v.do(ctx, text)
		if errors.Is(err, errLeave) {
			return nil
		}
		if err != nil {
			fmt.Fprintln(t.out, "error:", oneLine(err))
		}
	}
}

// read returns what the person wrote: a line, lines that end in a backslash with the next, or a text between """.
func (v *conversation) read() (string, error) {
	const quotes = `"""`
	text, err := v.line.Prompt("> ")
	if err != nil {
		return "", err
	}
	if rest, ok := strings.CutPrefix(strings.TrimSpace(text), quotes); ok {
		for {
			if whole, ok := strings.CutSuffix(strings.TrimRight(rest, " "), quotes); ok {
				text = whole
				break
			}
			more, err := v.line.Prompt(". ")
			if err != nil {
				return "", err
			}
			rest += "\n" + more
		}
	} else {
		for strings.HasSuffix(text, `\`) {
			more, err := v.line.Prompt(". ")
			if err != nil {
				return "", err
			}
			text = strings.TrimSuffix(text, `\`) + "\n" + more
		}
	}
	text = strings.TrimSpace(text)
	if text != "" {
		v.line.AppendHistory(strings.ReplaceAll(text, "\n", " "))
	}
	return text, nil
}

// do runs a command or puts a question. An interrupt ends it.
func (v *conversation) do(ctx context.Context, text string) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	if text == "" {
		return nil
	}
	if !strings.HasPrefix(text, "/") {
		return v.answer(ctx, text)
	}
	name, arg, _ := strings.Cut(text[1:], " ")
	for _, s := range slashes() {
		if s.name == name {
			return s.run(v, ctx, strings.TrimSpace(arg))
		}
	}
	return fmt.Errorf("there is no command /%s; /help lists them", name)
}

// answer prints the answer to a question.
func (v *conversation) answer(ctx context.Context, question string) error {
	s, err := v.ask(ctx, question, func(text string) error {
		_, err := io.WriteString(v.out, text)
		return err
	})
	fmt.Fprintln(v.out)
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(v.out, "(stopped)")
		return nil
	}
	if err == nil && v.stats {
		fmt.Fprintln(v.out, s)
	}
	return err
}

func (v *conversation) help(context.Context, string) error {
	for _, s := range slashes() {
		fmt.Fprintf(v.out, "  %-20s %s\n", strings.TrimSpace("/"+s.name+" "+s.args), s.help)
	}
	fmt.Fprintln(v.out, "  Ctrl-C stops an answer. A line that ends in \\ goes on in the next.")
	return nil
}

func (v *conversation) again(ctx context.Context, _ string) error {
	for i := len(v.messages) - 1; i >= 0; i-- {
		if v.messages[i].Role == "user" {
			before := v.messages
			question := before[i].Content
			v.messages = slices.Clip(before[:i])
			err := v.answer(ctx, question)
			if err != nil {
				v.messages = before
			}
			return err
		}
	}
	return errors.New("there is no question yet")
}

func (v *conversation) clear(context.Context, string) error {
	v.messages = nil
	return nil
}

func (v *conversation) setSystem(_ context.Context, text string) error {
	v.system = text
	return nil
}

func (v *conversation) set(_ context.Context, arg string) error {
	if arg != "" {
		name, value, _ := strings.Cut(arg, " ")
		return v.setOption(name + "=" + value)
	}
	for _, name := range slices.Sorted(maps.Keys(v.options)) {
		fmt.Fprintf(v.out, "  %s %v\n", name, v.options[name])
	}
	return nil
}

func (v *conversation) setForm(_ context.Context, arg string) error { return v.setFormat(arg) }

func (v *conversation) list(ctx context.Context, _ string) error {
	names, err := v.models(ctx)
	for _, name := range names {
		fmt.Fprintln(v.out, " ", name)
	}
	return err
}

func (v *conversation) change(ctx context.Context, name string) error {
	if name == "" {
		return errors.New("/model wants a name; /models lists them")
	}
	before := v.model
	v.model = name
	loading := working(v.out, "loading "+name)
	err := v.load(ctx)
	loading()
	if err != nil {
		v.model = before
	}
	return err
}

func (v *conversation) show(ctx context.Context, _ string) error {
	text, err := v.describe(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(v.out, text)
	return err
}

func (v *conversation) toggle(context.Context, string) error {
	v.stats = !v.stats
	return nil
}

// complete completes the names of commands.
func complete(line string) []string {
	var all []string
	for _, s := range slashes() {
		if strings.HasPrefix("/"+s.name, line) {
			all = append(all, "/"+s.name)
		}
	}
	return all
}

// keepHistory reads the lines of earlier conversations and returns the function that writes them, for their owner alone.
func keepHistory(line *liner.State) (write func()) {
	path := historyFile()
	if path == "" {
		return func() {}
	}
	if f, err := os.Open(path); err == nil {
		_, _ = line.ReadHistory(f) // what cannot be read is left out
		_ = f.Close()
	}
	return func() {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return
		}
		_, _ = line.WriteHistory(f)
		_ = f.Close()
	}
}
