package main

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"ortserve/internal/testenv"
	"ortserve/internal/testmodel"
	"ortserve/tokenize"
)

// import --measure: what the values in float32 give is what the forward pass in plain Go says, a form that keeps them loses nothing, and
// one of few bits loses something.
func TestMeasure(t *testing.T) {
	t.Setenv("ORTSERVE_ONNXRUNTIME", testenv.Runtime(t))
	t.Setenv("ORTSERVE_HOME", t.TempDir())
	dir := t.TempDir()
	gguf, text := filepath.Join(dir, "tiny.gguf"), filepath.Join(dir, "text")
	c := testmodel.Config{Positions: 128}
	if err := c.GGUF("smollm").Write(gguf); err != nil {
		t.Fatal(err)
	}
	words := strings.Repeat("the quick brown fox jumps over 13 lazy dogs, and then 7 more; ", 9)
	if err := os.WriteFile(text, []byte(words), 0o600); err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`on (\d+) tokens: nll ([\d.]+), of the source's values ([\d.]+): loss (-?[\d.]+) ± ([\d.]+); kl (-?[\d.]+); likeliest token the same ([\d.]+) %`)
	f := func(args ...string) []float64 {
		t.Helper()
		out, progress := commandLine(t, 0, append([]string{"import", gguf, "--name", "m", "--measure", text}, args...)...)
		m := line.FindStringSubmatch(out)
		if m == nil || !strings.Contains(progress, "measuring m:latest: 100 %") {
			t.Fatalf("it says %q and %q", out, progress)
		}
		var numbers []float64
		for _, s := range m[1:] {
			v, err := strconv.ParseFloat(s, 64)
			if err != nil {
				t.Fatal(err)
			}
			numbers = append(numbers, v)
		}
		return numbers
	}
	got := f("--bits", "32")
	tokenizer, err := tokenize.Load(filepath.Join(os.Getenv("ORTSERVE_HOME"), "models", "m@latest"))
	if err != nil {
		t.Fatal(err)
	}
	ids := tokenizer.Encode(words, tokenize.Options{})
	nll, n := 0.0, 0
	for from := 0; from < len(ids); from += c.Positions { // the window is the model's
		window := ids[from:min(from+c.Positions, len(ids))]
		for i, logits := range testmodel.Reference(c, window) {
			if i+1 == len(window) {
				break
			}
			sum := 0.0
			for _, v := range logits {
				sum += math.Exp(float64(v))
			}
			nll += math.Log(sum) - float64(logits[window[i+1]])
			n++
		}
	}
	if nll /= float64(n); int(got[0]) != n || math.Abs(got[1]-nll) > 2e-3 || math.Abs(got[2]-nll) > 2e-3 {
		t.Errorf("%v: the reference has %d tokens, nll %.4f", got, n, nll)
	}
	if got[3] != 0 || got[4] != 0 || got[5] != 0 || got[6] != 100 {
		t.Errorf("float32 loses something: %v", got)
	}
	eight, four := f("--bits", "8"), f("--bits", "4", "--block", "128")
	if !(eight[5] > 0 && eight[5] < 0.1*four[5] && four[6] < 100) {
		t.Errorf("8 bits lose %v, 4 bits %v", eight, four)
	}
	if left, _ := filepath.Glob(filepath.Join(os.Getenv("ORTSERVE_HOME"), "models", ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	for want, args := range map[string][]string{
		"--measure: open ":      {"--measure", filepath.Join(dir, "nothing")},
		"the text has 0 tokens": {"--measure", os.DevNull},
		"cannot load /no":       {"--measure", text, "--onnxruntime", "/no"}, // another is
	} {
		_, errs := commandLine(t, 1, append([]string{"import", gguf, "--name", "m"}, args...)...)
		if !strings.Contains(errs, want) {
			t.Errorf("%q: %q, want %q", args, errs, want)
		}
	}
}

// The default model in 4 bits is nearer to its file's values than rounding to nearest leaves it.
func TestQuantizer(t *testing.T) {
	if testing.Short() {
		t.Skip("imports and measures the default model six times: minutes")
	}
	t.Setenv("ORTSERVE_ONNXRUNTIME", testenv.Runtime(t))
	gguf := testenv.DefaultGGUF(t)
	t.Setenv("ORTSERVE_HOME", t.TempDir())
	f := func(args ...string) (kl float64) {
		t.Helper()
		args = append([]string{"import", gguf, "--name", "m", "--bits", "4", "--measure", filepath.Join("..", "..", "bench", "testdata", "prose.txt")}, args...)
		out, _ := commandLine(t, 0, args...)
		m := regexp.MustCompile(`kl ([\d.]+);`).FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("it says %q", out)
		}
		kl, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		return kl
	}
	for _, args := range [][]string{{"--block", "32"}, {"--block", "128"}, {"--block", "64", "--symmetric"}} {
		fitted, nearest := f(args...), f(append(args, "--nearest")...)
		t.Logf("%q: kl %.4f, rounded to nearest %.4f", args, fitted, nearest)
		if fitted > 0.8*nearest {
			t.Errorf("%q: kl %.4f, rounded to nearest %.4f", args, fitted, nearest)
		}
	}
}
