package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ortserve/internal/testenv"
	"ortserve/internal/testmodel"
	"ortserve/models/convert"
)

// shape is a published model's, of random weights, in so many files of safetensors.
type shape struct {
	name  string
	c     testmodel.Checkpoint
	parts int
}

// shapes returns those that are imported here. Of the 8B shape it is two layers.
func shapes() []shape {
	slice := testmodel.Llama8B
	slice.Layers = 2
	return []shape{{"Llama-3.2-1B", testmodel.Llama1B, 2}, {"Qwen3-0.6B", testmodel.Qwen06B, 1}, {"Llama-3.1-8B, 2 layers", slice, 3}}
}

// BenchmarkImport imports random weights in the exact shapes of published models with the real program and says how long it takes
// and how much memory at most; then it checks every weight of the graph against the source.
func BenchmarkImport(b *testing.B) {
	for _, s := range shapes() {
		b.Run(s.name, func(b *testing.B) {
			home := b.TempDir()
			source := s.write(b, home)
			for b.Loop() {
				c := importShape(b, home, source)
				b.ReportMetric(c.took.Seconds(), "s/import")
				b.ReportMetric(c.processor.Seconds(), "processor-s/import")
				b.ReportMetric(float64(c.peak)/(1<<20), "peak-MiB")
			}
			checkImport(b, source, filepath.Join(home, "models", "m@latest"))
		})
	}
}

// TestPublishedShapes imports the same shapes from GGUF files.
func TestPublishedShapes(t *testing.T) {
	if testing.Short() {
		t.Skip("writes and imports gigabytes: minutes")
	}
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) {
			home := t.TempDir()
			source, file := s.write(t, home), filepath.Join(home, "source.gguf")
			writeGGUF(t, s.c, source, file)
			c := importShape(t, home, file)
			t.Logf("%.1f s, %.1f s of the processors, %d MiB at most", c.took.Seconds(), c.processor.Seconds(), c.peak>>20)
			if c.peak > 1<<30 {
				t.Errorf("the import took %d bytes of memory", c.peak)
			}
			checkImport(t, source, filepath.Join(home, "models", "m@latest"))
		})
	}
}

// write writes the shape's folder into home.
func (s shape) write(t testing.TB, home string) (source string) {
	t.Helper()
	source = filepath.Join(home, "source")
	if err := os.Mkdir(source, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.c.Write(source, s.parts); err != nil {
		t.Fatal(err)
	}
	return source
}

// cost is what a program's run took.
type cost struct {
	took      time.Duration
	processor time.Duration // of all threads, in the kernel too
	peak      int64         // the most memory that was its own, in bytes
}

// importShape imports a source as m into home's store.
func importShape(t testing.TB, home, source string) cost {
	t.Helper()
	binary, err := testenv.Build(home, false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "import", source, "--name", "m", "--bits", "4", "--block", "32", "--head-bits", "8")
	cmd.Env = append(os.Environ(), "ORTSERVE_HOME="+home)
	start := time.Now()
	out, peak, err := runPeak(cmd)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return cost{time.Since(start), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), peak}
}

// runPeak runs a program and returns what it writes, and the most memory that was its own, as the kernel tells while it runs
// (proc_pid_status(5)): getrusage also counts what its parent had.
func runPeak(cmd *exec.Cmd) (out []byte, peak int64, err error) {
	var written bytes.Buffer
	cmd.Stdout, cmd.Stderr = &written, &written
	if err := cmd.Start(); err != nil {
		return nil, 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid)); err == nil {
			_, line, _ := strings.Cut(string(status), "VmHWM:")
			kib := int64(0)
			if _, err := fmt.Sscan(line, &kib); err == nil {
				peak = max(peak, kib<<10)
			}
		}
		select {
		case err := <-ended:
			return written.Bytes(), peak, err
		case <-tick.C:
		}
	}
}

// TestImportShapes does in small what the benchmark does: each architecture, single and in parts, every form.
func TestImportShapes(t *testing.T) {
	for _, kind := range []string{"llama", "mistral", "qwen2", "qwen3"} {
		c := testmodel.Checkpoint{
			Type: kind, Layers: 3, Hidden: 128, Heads: 4, KVHeads: 2, HeadSize: 32, Intermediate: 192, Vocab: 600, Positions: 64, Tied: kind != "llama",
		}
		for parts, o := range map[int]convert.Options{
			1: {Bits: 4, Block: 32, HeadBits: 8},
			2: {Bits: 4, Block: 64, Symmetric: true},
			3: {Bits: 4, Block: 128, EdgeBits: 8, Float16: true},
			5: {Bits: 8},
			6: {Bits: 32},
			7: {Bits: 16, Float16: true},
		} {
			source, dir := t.TempDir(), filepath.Join(t.TempDir(), "m")
			if err := c.Write(source, parts); err != nil {
				t.Fatal(err)
			}
			if _, err := convert.Import(t.Context(), source, dir, o); err != nil {
				t.Fatalf("%s, %+v: %v", kind, o, err)
			}
			checkImport(t, source, dir)
			if kind == "mistral" { // in GGUF it calls itself llama
				continue
			}
			file, dir := filepath.Join(source, "m.gguf"), filepath.Join(t.TempDir(), "m")
			writeGGUF(t, c, source, file)
			if _, err := convert.Import(t.Context(), file, dir, o); err != nil {
				t.Fatalf("GGUF of %s, %+v: %v", kind, o, err)
			}
			checkImport(t, source, dir)
		}
	}
}
