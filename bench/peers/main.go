package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ortserve/internal/home"
)

// settings are the flags.
type settings struct {
	ortserve, llamaServer string
	models                []string
	clients, lengths      []int
	rounds, tokens        int
	seed                  uint64
	genai, extras, load   bool
	busy, write           bool
	wait                  time.Duration
	out, here, command    string
}

const (
	busyLimit = 0.25 // processors that others may use
	maxRounds = 100
	maxCount  = 64 // clients
	maxLength = 1 << 14
	runLimit  = 3 * time.Hour
	document  = "docs/benchmarks.md"
)

func main() {
	runtime.LockOSThread() // children die with this thread
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func parse(args []string, log io.Writer) (settings, error) {
	s := settings{here: filepath.Join("bench", "peers")}
	f := flag.NewFlagSet("peers", flag.ContinueOnError)
	f.SetOutput(log)
	f.StringVar(&s.ortserve, "ortserve", filepath.Join("bin", "ortserve"), "this server's `PROGRAM`")
	f.StringVar(&s.llamaServer, "llama-server", "", "llama.cpp's server, a `PROGRAM` (default: built once into ORTSERVE_HOME/peers)")
	list := f.String("models", "smollm2,1b", "`MODELS` to measure, separated by commas: smollm2, 1b, 8b")
	widths := f.String("clients", "1,4,8,16", "`NUMBERS` of clients, separated by commas, or none")
	lengths := f.String("lengths", "128,512,4096", "`TOKENS` of prompts of one client, separated by commas, or none")
	f.IntVar(&s.rounds, "rounds", 5, "`ROUNDS` of each measurement; figures are medians")
	f.IntVar(&s.tokens, "tokens", 64, "`TOKENS` of an answer")
	f.Uint64Var(&s.seed, "seed", 1, "`SEED` of the prompts")
	f.BoolVar(&s.genai, "genai", true, "measure onnxruntime-genai too")
	f.BoolVar(&s.extras, "extras", true, "measure text that repeats itself, the turns of a chat and the memory of full slots too")
	f.BoolVar(&s.load, "load", true, "measure the time from start to first token too")
	f.BoolVar(&s.busy, "busy", false, "go on although other programs use the processors; the figures then say little")
	f.DurationVar(&s.wait, "wait", 0, "`TIME` to wait for a quiet machine before a round")
	f.BoolVar(&s.write, "write", false, "write the tables into "+document)
	f.StringVar(&s.out, "out", "", "`FILE` of all raw numbers, JSON (default: ORTSERVE_HOME/peers/results.json)")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	s.command = commandLine(f)
	s.models = strings.Split(*list, ",")
	for _, m := range s.models {
		if !slices.Contains([]string{"smollm2", "1b", "8b"}, m) {
			return s, fmt.Errorf("-models: %q is not one of smollm2, 1b, 8b", m)
		}
	}
	var err error
	if s.clients, err = numbers("-clients", *widths, maxCount); err != nil {
		return s, err
	}
	if s.lengths, err = numbers("-lengths", *lengths, maxLength); err != nil {
		return s, err
	}
	if s.rounds < 1 || s.rounds > maxRounds {
		return s, fmt.Errorf("-rounds: %d is not from 1 to %d", s.rounds, maxRounds)
	}
	if s.tokens < 2 || s.tokens > window/2 {
		return s, fmt.Errorf("-tokens: %d is not from 2 to %d", s.tokens, window/2)
	}
	if f.NArg() > 0 {
		return s, fmt.Errorf("%q is not a flag", f.Arg(0))
	}
	return s, nil
}

// numbers reads a list of numbers from 1 to most.
func numbers(name, list string, most int) ([]int, error) {
	var all []int
	for w := range strings.SplitSeq(list, ",") {
		if list == "" {
			break
		}
		n, err := strconv.Atoi(w)
		if err != nil || n < 1 || n > most {
			return nil, fmt.Errorf("%s: %q is not a number from 1 to %d", name, w, most)
		}
		all = append(all, n)
	}
	return all, nil
}

func run(ctx context.Context, args []string, stdout, log io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	s, err := parse(args, log)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(s.here, "genai.py")); err != nil {
		return fmt.Errorf("%w: run this in the root of the checkout", err)
	}
	dir, err := home.Dir()
	if err != nil {
		return err
	}
	b := &bench{settings: s, home: dir, logs: filepath.Join(dir, "peers", "logs")}
	b.say = func(format string, args ...any) {
		fmt.Fprintf(log, time.Now().Format(time.TimeOnly)+" "+format+"\n", args...)
	}
	unlock, err := home.Lock(ctx, dir, "bench-peers", func() { b.say("another run is measuring; waiting for it") })
	if err != nil {
		return err
	}
	defer unlock()
	if err := os.MkdirAll(b.logs, 0o755); err != nil {
		return err
	}
	if b.llamaServer == "" {
		dir, err := buildLlama(ctx, dir, b.say)
		if err != nil {
			return err
		}
		b.llamaServer = filepath.Join(dir, "llama-server")
	}
	if s.out == "" {
		s.out = filepath.Join(dir, "peers", "results.json")
	}
	out := results{
		When: time.Now().UTC(), Machine: describeMachine(), Rounds: s.rounds, Tokens: s.tokens,
		Command: s.command, Versions: b.versions(ctx),
	}
	all, err := models(dir)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(m model) bool { return !slices.Contains(s.models, m.key) })
	for i := range all {
		if err := all[i].prepare(ctx, dir, b.say); err != nil {
			return err
		}
	}
	for _, m := range all {
		r, err := b.run(ctx, m)
		out.Models = append(out.Models, r)
		if err := save(s.out, out); err != nil { // what was measured before an error is kept
			return err
		}
		if err != nil {
			return err
		}
	}
	text := out.markdown()
	if s.write {
		if err := errors.Join(out.writeCharts(document), writeDocument(document, text)); err != nil {
			return err
		}
	}
	_, err = io.WriteString(stdout, text)
	b.say("all raw numbers: %s", s.out)
	return err
}

// commandLine is the command that repeats this run. Where programs and files lie is not part of it.
func commandLine(f *flag.FlagSet) string {
	var args []string
	f.Visit(func(set *flag.Flag) {
		switch set.Name {
		case "ortserve", "llama-server", "out":
		default:
			arg := "-" + set.Name + "=" + set.Value.String()
			args = append(args, strings.TrimSuffix(arg, "=true"))
		}
	})
	if len(args) == 0 {
		return "make bench-peers"
	}
	return "make bench-peers ARGS='" + strings.Join(args, " ") + "'"
}

// versions are those of all programs.
func (b *bench) versions(ctx context.Context) []string {
	first := func(argv ...string) string {
		out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
		if err != nil {
			return filepath.Base(argv[0]) + ": " + err.Error()
		}
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "version") || strings.Contains(line, "ortserve") {
				return strings.TrimSpace(line)
			}
		}
		return filepath.Base(argv[0])
	}
	requirements, _ := os.ReadFile(filepath.Join(b.here, "requirements.txt")) // genai.py needs it anyway
	genai := ""
	for line := range strings.Lines(string(requirements)) {
		if strings.HasPrefix(line, "onnxruntime-genai==") {
			genai = strings.TrimSpace(strings.Replace(line, "==", " ", 1))
		}
	}
	return []string{
		first(b.ortserve, "version"), "ONNX Runtime " + home.RuntimeVersion,
		"llama.cpp of " + llamaPackage + " " + llamaVersion + " (" + first(b.llamaServer, "--version") + ")", genai, runtime.Version(),
	}
}

func save(path string, r results) error {
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
