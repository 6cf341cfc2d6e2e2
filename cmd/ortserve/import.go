package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"ortserve/internal/home"
	"ortserve/models"
	"ortserve/models/convert"
)

// runImport converts a GGUF file into a model directory in the store.
func runImport(ctx context.Context, args []string, t terminal) error {
	f := flag.NewFlagSet("import", flag.ContinueOnError)
	f.SetOutput(t.err)
	f.Usage = func() {
		fmt.Fprint(t.err, "Usage: ortserve import FILE.gguf [flags]\n\nConverts a GGUF file of the Llama architecture into a model that `ortserve serve` loads. Nothing is downloaded.\n\n")
		f.PrintDefaults()
	}
	name := f.String("name", "", "`NAME` of the model in the store, like smollm2:135m; the file's unless given")
	bits := f.Int("bits", 0, "bits of a weight, 4 or 8: 4 is smaller and faster and answers worse (default: what keeps the file's quality); 32 keeps float32, which is large and slow")
	block := f.Int("block", 0, "how many weights share a scale, 32, 64 or 128: more are smaller and faster and answer worse (default: by the bits)")
	symmetric := f.Bool("symmetric", false, "no zero points: a little smaller, at 4 bits a little worse")
	var temperature *float64
	f.Func("temperature", "`T` of requests that ask for none, 0 for greedy (default: what the file advises, else what the API's own is)", func(v string) error {
		t, err := strconv.ParseFloat(v, 64)
		if err != nil || !(t >= 0 && t <= 100) {
			return errors.New("must be a number from 0 to 100")
		}
		temperature = &t
		return nil
	})
	path, err := parseMixed(f, args)
	if err != nil {
		return err
	}
	if *name == "" {
		*name = strings.ToLower(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)))
	}
	clean, err := models.CleanName(*name)
	if err != nil {
		return fmt.Errorf("--name: %w", err)
	}
	dst, err := storePath(clean)
	if err != nil {
		return err
	}

	ctx, stop := interruptible(ctx)
	defer stop()
	progress, finish := progressOf(t.err, "importing "+clean)
	report, err := convert.GGUF(ctx, path, dst, convert.Options{
		Bits: *bits, Block: *block, Symmetric: *symmetric, Name: clean, Temperature: temperature, Progress: progress,
	})
	finish()
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted; nothing was written")
	}
	if err != nil {
		return err
	}
	const mega = 1e6
	_, err = fmt.Fprintf(t.out, "imported %s in %.1f s: %.0f MB in %s\nweights %v, head %v, embedding %v; matrices kept exactly: %d, rounded: %d\n",
		clean, report.Duration.Seconds(), float64(report.Bytes)/mega, report.Dir,
		report.Weights, report.Head, report.Embedding, report.Exact, report.Rounded)
	return err
}

// parseMixed parses flags before and after the one argument that is not a flag, and returns that.
func parseMixed(f *flag.FlagSet, args []string) (string, error) {
	var rest []string
	for {
		if err := f.Parse(args); err != nil {
			return "", err
		}
		if f.NArg() == 0 {
			break
		}
		rest, args = append(rest, f.Arg(0)), f.Args()[1:]
	}
	if len(rest) != 1 {
		return "", fmt.Errorf("%d files named, one is expected: ortserve import FILE.gguf --name NAME", len(rest))
	}
	return rest[0], nil
}

// storePath is where the model called name lies or will lie.
func storePath(name string) (string, error) {
	dir, err := home.Dir()
	if err != nil {
		return "", err
	}
	s, err := models.OpenStore(home.Models(dir))
	if err != nil {
		return "", err
	}
	defer s.Close()
	return s.Path(name)
}

// progressOf shows how far something is: a bar on a terminal, a line for each quarter elsewhere. finish ends the bar.
func progressOf(w io.Writer, what string) (progress func(done, total int64), finish func()) {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		quarter := int64(0)
		return func(done, total int64) {
			if now := done * 4 / max(1, total); now > quarter {
				quarter = now
				fmt.Fprintf(w, "%s: %d %%\n", what, quarter*25)
			}
		}, func() {}
	}
	bar := progressbar.NewOptions64(-1,
		progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what), progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	return func(done, total int64) {
		if bar.GetMax64() != total {
			bar.ChangeMax64(total)
		}
		_ = bar.Set64(done) // a bar that cannot be drawn is no reason to stop
	}, func() { _ = bar.Finish() }
}
