package bench

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"ortserve/internal/testenv"
	"ortserve/models"
	"ortserve/onnx"
)

const (
	rounds = 10
	tokens = 256 // of each answer
)

// prompt is answered with more tokens than are measured.
const prompt = "Write a long story about a lighthouse keeper who finds a letter in a bottle."

// BenchmarkDecode compares decoding through HTTP, one client, from the first to the last token, with a loop that does nothing
// but run the graph and take the largest logit, over the same graph with as many threads. Both must give the same ids.
func BenchmarkDecode(b *testing.B) {
	dir := b.TempDir()
	binary, err := testenv.Build(dir, false)
	if err != nil {
		b.Fatal(err)
	}
	modelDir := testenv.DefaultModel(b)
	model, err := models.Describe(modelDir)
	if err != nil {
		b.Fatal(err)
	}
	s := testenv.Start(b, binary, "--model", modelDir, "--speculate", "off", "--kernels", "onnxruntime") // drafts would answer in fewer runs than the loop, other kernels may with other ids
	threads, err := strconv.Atoi(s.WaitLog(b, regexp.MustCompile(`msg=starting .*threads=(\d+)`))[1])
	if err != nil {
		b.Fatal(err)
	}
	if _, err := onnx.Load(testenv.Runtime(b)); err != nil {
		b.Fatal(err)
	}
	contract, err := onnx.Inspect(model.Graph, onnx.Hints{HeadSize: model.HeadSize, Vocab: model.Vocab})
	if err != nil {
		b.Fatal(err)
	}

	warm := decodeHTTP(b, s.URL, model.Name) // also tells the prompt's ids
	loop, err := newBareLoop(model.Graph, contract, threads, len(warm.prompt)+tokens)
	if err != nil {
		b.Fatal(err)
	}
	defer loop.close()
	if _, _, err := loop.decode(warm.prompt, tokens); err != nil {
		b.Fatal(err)
	}
	if _, err := onnx.UseHugePages(); err != nil { // as the server does
		b.Fatal(err)
	}
	for b.Loop() {
		var bare, served, ratios []float64
		for range rounds {
			h := decodeHTTP(b, s.URL, model.Name)
			ids, took, err := loop.decode(h.prompt, tokens)
			if err != nil {
				b.Fatal(err)
			}
			if !slices.Equal(ids, h.answer) {
				b.Fatalf("the loop decodes %v, the server %v", ids, h.answer)
			}
			rate := func(d time.Duration) float64 { return (tokens - 1) / d.Seconds() }
			bare, served = append(bare, rate(took)), append(served, rate(h.took))
			ratios = append(ratios, rate(h.took)/rate(took))
		}
		fmt.Fprintf(os.Stderr, `
Decode, one client, first to last token: %s, %d prompt tokens, %d tokens out, %d threads, medians of %d rounds in turn
  %-28s %8s %8s %8s
  %-28s %8.1f %8.1f %8.1f   tokens/s
  %-28s %8.1f %8.1f %8.1f   tokens/s
  %-28s %8.1f %8.1f %8.1f   %% of the bare loop, round by round
  make bench
`, model.Name, len(warm.prompt), tokens, threads, rounds,
			"", "median", "min", "max",
			"bare loop (Run + argmax)", median(bare), slices.Min(bare), slices.Max(bare),
			"/api/generate, streamed", median(served), slices.Min(served), slices.Max(served),
			"ratio", 100*median(ratios), 100*slices.Min(ratios), 100*slices.Max(ratios))
		b.ReportMetric(median(served), "tok/s")
		b.ReportMetric(100*median(ratios), "%-of-bare-loop")
		b.ReportMetric(0, "ns/op")
	}
}

// served is an answer with the time from its first to its last token.
type served struct {
	prompt, answer []int32
	took           time.Duration
}

// decodeHTTP streams one greedy answer.
func decodeHTTP(b *testing.B, url, model string) served {
	b.Helper()
	body, err := json.Marshal(map[string]any{
		"model": model, "prompt": prompt, "options": map[string]any{"temperature": 0, "num_predict": tokens},
	})
	if err != nil {
		b.Fatal(err)
	}
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url+"/api/generate", bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	var first time.Time
	var line struct {
		Done            bool    `json:"done"`
		Context         []int32 `json:"context"`
		PromptEvalCount int     `json:"prompt_eval_count"`
		EvalCount       int     `json:"eval_count"`
	}
	for lines := bufio.NewScanner(resp.Body); !line.Done; {
		if !lines.Scan() {
			b.Fatalf("the stream ended with status %d: %v %s", resp.StatusCode, lines.Err(), lines.Bytes())
		}
		if first.IsZero() {
			first = time.Now()
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			b.Fatal(err)
		}
	}
	took := time.Since(first)
	if line.EvalCount != tokens || len(line.Context) != line.PromptEvalCount+tokens {
		b.Fatalf("%d tokens and a context of %d, want %d tokens: take another prompt", line.EvalCount, len(line.Context), tokens)
	}
	return served{line.Context[:line.PromptEvalCount], line.Context[line.PromptEvalCount:], took}
}

// median is the mean of the middle two where there is no middle one.
func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

func TestMedian(t *testing.T) {
	f := func(want float64, v ...float64) {
		t.Helper()
		if got := median(v); got != want {
			t.Errorf("median(%v) = %v, want %v", v, got, want)
		}
	}
	f(2, 2)
	f(1.5, 2, 1)
	f(2, 3, 1, 2)
	f(2.5, 4, 3, 1, 2)
}
