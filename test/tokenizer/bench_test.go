package tokenizer

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ortserve/internal/testenv"
	"ortserve/tokenize"
)

const (
	benchBytes = 2_000_000
	rounds     = 5
)

// BenchmarkSideBySide measures this package and Hugging Face's tokenizers in turns, one thread each, in processor time:
// encode of 2,000-character pieces, of the text as one string, of all pieces as a batch (encode_batch_fast there), and
// decode. Medians of five rounds. The tokenizers are the default model's and those of ORTSERVE_TOKENIZERS.
func BenchmarkSideBySide(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	python := testenv.Python(b, "tokenizer-corpus")
	file := filepath.Join(b.TempDir(), "text")
	text := benchText(b, python, file)
	pieces := piecesOf(text, 2000)
	for _, dir := range append(published(b), testenv.DefaultModel(b)) {
		tok, err := tokenize.Load(dir)
		if err != nil {
			b.Fatal(err)
		}
		ids := tok.Encode(text, tokenize.Options{})
		ways := []struct {
			name string
			run  func()
		}{
			{"pieces", func() {
				for _, p := range pieces {
					tok.Encode(p, tokenize.Options{})
				}
			}},
			{"whole", func() { tok.Encode(text, tokenize.Options{}) }},
			{"batch", func() { tok.EncodeBatch(pieces, tokenize.Options{}) }},
			{"decode", func() { tok.Decode(ids, true) }},
		}
		theirs := measurer(b, python, dir, file)
		for _, w := range ways {
			b.Run(filepath.Base(dir)+"/"+w.name, func(b *testing.B) {
				var ours, other []float64
				for range rounds {
					ours = append(ours, processorTime(b, w.run))
					other = append(other, theirs(w.name))
				}
				mb := float64(len(text)) / 1e6
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(mb/median(ours), "MB/s")
				b.ReportMetric(mb/median(other), "theirs-MB/s")
				b.ReportMetric(median(other)/median(ours), "times")
			})
		}
	}
}

// BenchmarkLinear measures input that makes other tokenizers slow: 1 MiB, and how many times as long 2 MiB take. The
// fastest of several rounds, since some take few milliseconds. An idle heap lets the Go runtime
// keep memory between the rounds: a page that the system hands out anew takes microseconds, more than its tokens do.
func BenchmarkLinear(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	idle := make([]byte, 1<<30) // never touched, so it takes no memory
	defer runtime.KeepAlive(idle)
	for _, dir := range append(published(b), testenv.DefaultModel(b)) {
		tok, err := tokenize.Load(dir)
		if err != nil {
			b.Fatal(err)
		}
		for _, c := range []struct{ name, part string }{
			{"letter", "a"}, {"spaces", " "}, {"emoji", "\U0001F600"}, {"digits", "7"}, {"word", "antidisestablishmentarianism"}, {"line-ends", "\n"}, {"marks", "\u0301"}, {"half-control", "<|reserved_special_token_"},
		} {
			b.Run(filepath.Base(dir)+"/"+c.name, func(b *testing.B) {
				one, two := strings.Repeat(c.part, 1<<20/len(c.part)), strings.Repeat(c.part, 2<<20/len(c.part))
				var short, long []float64
				for range 3 * rounds {
					short = append(short, processorTime(b, func() { tok.Encode(one, tokenize.Options{}) }))
					long = append(long, processorTime(b, func() { tok.Encode(two, tokenize.Options{}) }))
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(1000*slices.Min(short), "ms/MiB")
				b.ReportMetric(slices.Min(long)/slices.Min(short), "times-for-twice")
			})
		}
	}
}

// published returns the folders of ORTSERVE_TOKENIZERS.
func published(b *testing.B) []string {
	given := os.Getenv("ORTSERVE_TOKENIZERS")
	if given == "" {
		return nil
	}
	return glob(b, given)
}

// benchText makes the text that is measured, in file too.
func benchText(b *testing.B, python, file string) string {
	cmd := exec.CommandContext(b.Context(), python, "measure.py", "--text", strconv.Itoa(benchBytes))
	cmd.Dir, cmd.Stderr = "testdata", b.Output()
	text, err := cmd.Output()
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		b.Fatal(err)
	}
	return string(text)
}

func piecesOf(text string, n int) []string {
	runes := []rune(text)
	var out []string
	for piece := range slices.Chunk(runes, n) {
		out = append(out, string(piece))
	}
	return out
}

// measurer starts measure.py and returns a function that asks it.
func measurer(b *testing.B, python, dir, file string) func(way string) float64 {
	cmd := exec.CommandContext(b.Context(), python, "measure.py", filepath.Join(dir, "tokenizer.json"), file)
	cmd.Dir, cmd.Stderr = "testdata", b.Output()
	cmd.Env = append(os.Environ(), "RAYON_NUM_THREADS=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	r := bufio.NewReader(out)
	return func(way string) float64 {
		if _, err := io.WriteString(in, way+"\n"); err != nil {
			b.Fatal(err)
		}
		line, err := r.ReadString('\n')
		if err != nil {
			b.Fatal(err)
		}
		seconds, err := strconv.ParseFloat(strings.TrimSpace(line), 64)
		if err != nil {
			b.Fatal(err)
		}
		return seconds
	}
}

// processorTime returns the seconds that this process spends on run.
func processorTime(b *testing.B, run func()) float64 {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(fmt.Errorf("getrusage: %w", err))
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	runtime.GC() // what was left before is not this run's
	start := used()
	run()
	return (used() - start).Seconds()
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}
