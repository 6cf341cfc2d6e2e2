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

	"ortserve/models"
	"ortserve/models/convert"
)

// runImport converts a GGUF file or a Hugging Face folder into a model directory in the store.
func runImport(ctx context.Context, args []string, t terminal) error {
	f := flag.NewFlagSet("import", flag.ContinueOnError)
	f.SetOutput(t.err)
	f.Usage = func() {
		fmt.Fprint(t.err, "Usage: ortserve import FILE.gguf|FOLDER [flags]\n\nConverts a GGUF file, or a Hugging Face folder of safetensors, into a model that `ortserve serve` loads: Llama, Mistral,\nQwen2 and Qwen3 architectures. Nothing is downloaded.\n\n")
		f.PrintDefaults()
	}
	name := f.String("name", "", "`NAME` of the model in the store, like smollm2:135m; the file's unless given")
	bits := f.Int("bits", 0, "bits of a weight, 4 or 8: 4 is smaller and faster and answers worse (default: what keeps the file's quality, which is 8 unless it has 4 itself); 16 or 32 keep --dtype's numbers, which are large and slow")
	head := f.Int("head-bits", 0, "bits of the head, the largest matrix of a small model, 4 or 8 (default: as --bits)")
	edge := f.Int("edge-bits", 0, "bits of the first and the last layer, on which answers depend most, 4 or 8 (default: as --bits)")
	dtype := f.String("dtype", "", "`TYPE` of activations and the KV cache, fp32 or fp16: fp16 is for GPUs and slow on a CPU (default fp32). Without --bits, naming it keeps weights in it too")
	block := f.Int("block", 0, "how many weights share a scale, 32, 64 or 128: more are smaller and faster and answer worse (default: by the bits)")
	symmetric := f.Bool("symmetric", false, "no zero points: a little smaller, at 4 bits a little worse")
	nearest := f.Bool("nearest", false, "round weights to nearest instead of searching for the scales that lose least: faster, answers worse at 4 bits")
	measured := f.String("measure", "", "`FILE` with a text, on which the model is then compared with the source's own values: what the form of the weights costs. It takes room for these in 32 bits meanwhile, and minutes")
	kv := f.String("kv", "", "`TYPE` of the KV cache, int8 or as --dtype: int8 is a quarter of the memory, see docs/import.md (default: as --dtype)")
	library := f.String("onnxruntime", os.Getenv("ORTSERVE_ONNXRUNTIME"), "`PATH` of the ONNX Runtime library, for --measure and --kv int8 (default: as ortserve serve)")
	var temperature *float64
	f.Func("temperature", "`T` of requests that ask for none, 0 for greedy (default: what the file advises, else what the API's own is)", func(v string) error {
		t, err := strconv.ParseFloat(v, 64)
		if err != nil || !(t >= 0 && t <= 100) {
			return errors.New("must be a number from 0 to 100")
		}
		temperature = &t
		return nil
	})
	files, err := parseWords(f, args)
	if err != nil {
		return err
	}
	if len(files) != 1 {
		return fmt.Errorf("%d files named, one is expected: ortserve import FILE.gguf|FOLDER --name NAME", len(files))
	}
	path := files[0]
	if *name == "" {
		base := filepath.Base(filepath.Clean(path))
		*name = strings.ToLower(strings.TrimSuffix(base, ".gguf"))
	}
	half := *dtype == "fp16"
	switch {
	case *dtype != "" && *dtype != "fp16" && *dtype != "fp32":
		return fmt.Errorf("--dtype %q is not known (fp32 and fp16 are)", *dtype)
	case *dtype != "" && *bits == 0 && half:
		*bits = 16
	case *dtype != "" && *bits == 0:
		*bits = 32
	}
	var quantizeKV func(context.Context, string) ([]convert.CacheSizes, error)
	switch {
	case *kv == "int8":
		quantizeKV = func(_ context.Context, dir string) ([]convert.CacheSizes, error) { return calibrate(dir, *library) }
	case *kv == "fp32" && !half, *kv == "fp16" && half, *kv == "":
	default:
		return fmt.Errorf("--kv %q: it is int8, or as --dtype (fp32 unless given)", *kv)
	}
	clean, err := models.CleanName(*name)
	if err != nil {
		return fmt.Errorf("--name: %w", err)
	}
	dst, err := storePath(clean)
	if err != nil {
		return err
	}

	text := ""
	if *measured != "" {
		if text, err = readText(*measured); err != nil {
			return err
		}
	}

	ctx, stop := interruptible(ctx)
	defer stop()
	progress, finish := progressOf(t.err, "importing "+clean)
	report, err := convert.Import(ctx, path, dst, convert.Options{
		Bits: *bits, Block: *block, Symmetric: *symmetric, Nearest: *nearest, HeadBits: *head, EdgeBits: *edge, Float16: half,
		QuantizeKV: quantizeKV, Name: clean, Temperature: temperature, Progress: progress,
	})
	finish()
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted; nothing was written")
	}
	if err != nil {
		return err
	}
	const mega = 1e6
	_, err = fmt.Fprintf(t.out, "imported %s in %.1f s: %.0f MB in %s\nweights %v, head %v, embedding %v, KV cache %v; matrices kept exactly: %d, rounded: %d\n",
		clean, report.Duration.Seconds(), float64(report.Bytes)/mega, report.Dir,
		report.Weights, report.Head, report.Embedding, report.KV, report.Exact, report.Rounded)
	if err != nil || *measured == "" {
		return err
	}
	progress, finish = progressOf(t.err, "measuring "+clean)
	m, err := measure(ctx, path, clean, report.Dir, text, *library, progress)
	finish()
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted; the model was imported, but not measured")
	}
	if err != nil {
		return fmt.Errorf("the model was imported, but not measured: %w", err)
	}
	_, err = fmt.Fprintf(t.out, "%s %v\n", *measured, m)
	return err
}

// storePath is where the model called name lies or will lie.
func storePath(name string) (path string, err error) {
	err = withStore(func(s *models.Store) error {
		path, err = s.Path(name)
		return err
	})
	return path, err
}

// progressOf shows how far something is: a bar on a terminal, a line for each quarter elsewhere. finish ends the bar.
func progressOf(w io.Writer, what string) (progress func(done, total int64), finish func()) {
	if !isTerminal(w) {
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
