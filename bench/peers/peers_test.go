package main

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ortserve/internal/testmodel"
	"ortserve/models/convert"
	"ortserve/tokenize"
)

// ask streams what a server of that dialect would, a line every few milliseconds.
func ask(t *testing.T, d dialect, lines ...string) (answer, error) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc(d.path, func(w http.ResponseWriter, _ *http.Request) {
		for _, l := range lines {
			fmt.Fprintln(w, l)
			w.(http.Flusher).Flush()
			time.Sleep(5 * time.Millisecond)
		}
	})
	h := httptest.NewServer(mux)
	t.Cleanup(h.Close)
	s := &server{name: "test", url: h.URL, client: h.Client()}
	var a answer
	err := s.ask(t.Context(), d, "text", 3, time.Now(), &a)
	return a, err
}

func TestDialects(t *testing.T) {
	f := func(d dialect, want answer, lines ...string) {
		t.Helper()
		got, err := ask(t, d, lines...)
		if err != nil {
			t.Error(err)
			return
		}
		if len(got.Pieces) != 2 || got.Pieces[0] < got.Sent || got.Pieces[1]-got.Pieces[0] < 0.002 {
			t.Errorf("times of pieces %v", got.Pieces)
		}
		got.Pieces, got.Sent = nil, 0
		if d := cmp.Diff(want, got, cmp.AllowUnexported(answer{})); d != "" {
			t.Error(d)
		}
	}
	f(generate, answer{Prompt: 7, Cached: 2, Tokens: 3, text: "one two"},
		`{"response":"one","done":false}`, `{"response":" two","done":false}`,
		`{"response":"","done":true,"prompt_eval_count":7,"prompt_eval_cached_count":2,"eval_count":3}`)
	f(chatWith(), answer{Prompt: 7, Tokens: 3, text: "one two"},
		`{"message":{"content":"one"},"done":false}`, `{"message":{"content":" two"},"done":false}`,
		`{"message":{"content":""},"done":true,"prompt_eval_count":7,"eval_count":3}`)
	f(completion, answer{Prompt: 7, Tokens: 3, text: "one two"},
		`data: {"content":"one","stop":false}`, ``, `data: {"content":" two","stop":false}`, ``,
		`data: {"content":"","stop":true,"tokens_evaluated":7,"tokens_predicted":3}`, ``)
}

func TestFailedAnswers(t *testing.T) {
	f := func(d dialect, want string, lines ...string) {
		t.Helper()
		if _, err := ask(t, d, lines...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
	f(generate, "before its last line", `{"response":"one","done":false}`)
	f(generate, "out of order", `{"error":"out of order"}`)
	f(generate, "without text", `{"response":"","done":true,"eval_count":3}`)
	f(completion, "out of order", `data: {"error":{"message":"out of order"}}`)
	f(completion, "event", `data: {`)
}

func TestFigures(t *testing.T) {
	a := func(sent float64, tokens int, pieces ...float64) answer {
		return answer{Sent: sent, Tokens: tokens, Pieces: pieces}
	}
	s := series{Rounds: []round{
		{Wall: 2, Answers: []answer{a(0, 3, 1, 1.5, 2), a(0.5, 2, 1, 2)}},
		{Wall: 4, Answers: []answer{a(0, 5, 1, 3), a(0, 3, 2, 3)}}, // several tokens in a piece
	}}
	if d := cmp.Diff([]float64{2.5, 2}, s.each((*round).rate)); d != "" {
		t.Error("rate", d)
	}
	if d := cmp.Diff([]float64{0.75, 1.5}, s.perRound((*answer).firstToken)); d != "" {
		t.Error("first token", d)
	}
	if d := cmp.Diff([]float64{0.75, 0.5}, s.perRound((*answer).betweenTokens)); d != "" {
		t.Error("between tokens", d)
	}
	v := []float64{5, 1, 4, 2, 3, 6, 7, 8, 9, 10}
	if got := []float64{median(v), percentile(v, 95), percentile(v, 50), percentile(v, 0)}; !cmp.Equal(got, []float64{5.5, 10, 5, 1}) {
		t.Errorf("median and percentiles are %v", got)
	}
	if !math.IsNaN(median(nil)) || !math.IsNaN(percentile(nil, 95)) {
		t.Error("a median of nothing is a number")
	}
}

func TestPrompts(t *testing.T) {
	one, same, other := prompt(1, 1, 100), prompt(1, 1, 100), prompt(1, 2, 100)
	if one != same || one == other || len(strings.Fields(one)) != 100 {
		t.Errorf("prompts %q, %q, %q", one, same, other)
	}
	if p := repeat(1, 1); strings.Count(p, passage) != 2 || !strings.HasSuffix(p, "The lighthouse at the") {
		t.Errorf("a prompt to repeat is %q", p)
	}
}

// A small file of random weights is imported, and a prompt is a token for each word.
func TestRandomWeights(t *testing.T) {
	s := shape{hidden: 64, heads: 4, kvHeads: 2, headSize: 16, intermediate: 128, layers: 2, vocab: 2000, context: 64}
	path, dir := filepath.Join(t.TempDir(), "random.gguf"), filepath.Join(t.TempDir(), "random")
	if err := writeRandom(path, s); err != nil {
		t.Fatal(err)
	}
	report, err := convert.GGUF(t.Context(), path, dir, convert.Options{Bits: 4, Block: 32})
	if err != nil {
		t.Fatal(err)
	}
	if report.Rounded != 0 {
		t.Errorf("%d matrices of Q4_0 were rounded", report.Rounded)
	}
	weights, bytes, rest, rotary, err := measure(path)
	if err != nil {
		t.Fatal(err)
	}
	matrices := int64(s.vocab*s.hidden + s.layers*(2*s.hidden*s.hidden+2*s.hidden*s.kvHeads*s.headSize+3*s.hidden*s.intermediate))
	if want := []int64{matrices, matrices / 32 * 18, int64(5*s.hidden + s.headSize/2), int64(s.context * s.headSize)}; !cmp.Equal(
		[]int64{weights, bytes, rest, rotary}, want) {
		t.Errorf("the file is measured as %v, want %v", []int64{weights, bytes, rest, rotary}, want)
	}
	tokens, err := tokenize.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	text := prompt(1, 1, 100)
	if ids := tokens.Encode(" "+text, tokenize.Options{}); len(ids) != 100 {
		t.Errorf("100 words are %d tokens", len(ids))
	}
	if err := writeRandom(path, shape{hidden: 64, vocab: int(testmodel.BeginOfText) + reserved}); err == nil {
		t.Error("a vocabulary without room for the words was written")
	}
}

func TestDocument(t *testing.T) {
	path := filepath.Join(t.TempDir(), "docs", "benchmarks.md")
	f := func(text, want string) {
		t.Helper()
		if err := writeDocument(path, text); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, string(got)); d != "" {
			t.Error(d)
		}
	}
	const head = "# Benchmarks\n\n## Beside llama.cpp and onnxruntime-genai\n\n"
	f("first\n", head+"<!-- peers -->\nfirst\n<!-- /peers -->\n")
	f("second\n", head+"<!-- peers -->\nsecond\n<!-- /peers -->\n")
	if _, err := replacePart("a <!-- peers --> b", "c"); err == nil {
		t.Error("a part without an end was replaced")
	}
}

func TestMarkdown(t *testing.T) {
	burst := func(wall float64, ms ...float64) round {
		a := answer{Tokens: len(ms)}
		for _, m := range ms {
			a.Pieces = append(a.Pieces, m/1e3)
		}
		return round{Wall: wall, Answers: []answer{a}}
	}
	prompted := func(tokens int, ms ...float64) round {
		r := burst(1, ms...)
		r.Answers[0].Prompt = tokens
		return r
	}
	r := results{Rounds: 2, Tokens: 3, Models: []modelResult{{Key: "model", Title: "model", Bits: 4.5, Stages: []stage{
		{
			Kind: kindClients, Clients: 1,
			Series: []series{
				{Name: "ortserve, 4 bits", Rounds: []round{burst(0.1, 50, 60, 70), burst(0.1, 50, 60, 70)}},
				{Name: "llama.cpp", Rounds: []round{burst(0.2, 100, 120, 140), burst(0.3, 200, 220, 240)}},
			},
			Bare: []bare{{Batch: 1, Prompt: 128, Tokens: 3, Prefill: 0.128, Decode: 0.04}},
		},
		{
			Kind: kindLength, Clients: 1, Length: 512,
			Series: []series{
				{Name: "ortserve, 4 bits", Rounds: []round{prompted(512, 256, 266), prompted(512, 512, 522)}},
				{Name: "llama.cpp", Rounds: []round{prompted(512, 512, 532), prompted(512, 512, 532)}},
			},
			Bare: []bare{{Batch: 1, Prompt: 512, Tokens: 3, Prefill: 1.024, Decode: 0.08}},
		},
		{Kind: kindLoad, Clients: 1, Series: []series{
			{Name: "ortserve, 4 bits", Rounds: []round{burst(1, 500)}}, {Name: "llama.cpp", Rounds: []round{burst(1, 1000)}},
		}},
		{Kind: kindMemory, Clients: 8, Length: 2000, Series: []series{{Name: "ortserve, 4 bits", Pss: 3 << 20}, {Name: "llama.cpp", Pss: 2 << 20}}},
		{Kind: kindTurns, Clients: 1, Series: []series{{Name: "ortserve", Rounds: []round{burst(1, 500, 510), burst(1, 25, 35)}}}},
	}}}}
	text := r.markdown()
	f := func(want string) {
		t.Helper()
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	document := filepath.Join(t.TempDir(), "docs", "b.md")
	if err := r.writeCharts(document); err != nil {
		t.Fatal(err)
	}
	drawn, err := os.ReadFile(filepath.Join(filepath.Dir(document), "images", "peers-model.svg"))
	if err != nil || strings.Count(string(drawn), "<circle") != 4 || !strings.Contains(string(drawn), "llama.cpp, 512 tokens of the prompt: 1000 tokens a second") {
		t.Errorf("%v\n%s", err, drawn)
	}
	f("](images/peers-model.svg)")
	f("| 1 | ortserve, 4 bits | 30.0 | 2.50 (2.00 to 3.00) | 50, 50 | 0.38 (0.25 to 0.50) | 10.00 | 0.50 (0.50 to 0.50) |")
	f("| 1 | llama.cpp | 12.5 |  | 150, 200 |  | 20.00 |  |")
	f("| 512 | ortserve, 4 bits | 1500 | 1.50 (1.00 to 2.00) | 10.00 | 0.50 (0.50 to 0.50) |")
	f("| 512 | onnxruntime-genai, no server around it | 500 | 0.50 (0.50 to 0.50) | 40.00 | 2.00 (2.00 to 2.00) |")
	f("| ortserve, 4 bits | 0.50 | 0.50 (0.50 to 0.50) |")
	f("| ortserve, 4 bits: 8 x 2000 tokens | 3 | 1.50 (1.50 to 1.50) |")
	f("prefill 1000 tokens/s, decode 50.0")
	f("is 0.50 (0.50 to 0.50) of that")
	f("after 500 ms, of the\nsecond after 25 ms: 0.05")
	f("shorter than asked: 0")
}

func TestFlags(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		_, err := parse(args, t.Output())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error is %v, want %q", args, err, want)
		}
	}
	f("one of smollm2, 1b", "-models", "x")
	f("from 1 to 64", "-clients", "1,0")
	f("-lengths: \"x\" is not a number from 1 to 16384", "-lengths", "x")
	f("from 1 to 100", "-rounds", "0")
	f("from 2 to 512", "-tokens", "1")
	f("not a flag", "x")
	s, err := parse([]string{"-clients", "2,3"}, t.Output())
	if err != nil || !cmp.Equal(s.clients, []int{2, 3}) || !cmp.Equal(s.lengths, []int{128, 512, 4096}) || !cmp.Equal(s.models, []string{"smollm2", "1b"}) {
		t.Errorf("flags are %+v, %v", s, err)
	}
	if want := "make bench-peers ARGS='-clients=2,3'"; s.command != want {
		t.Errorf("the command is %s, want %s", s.command, want)
	}
	if s, err = parse([]string{"-busy", "-out", "x", "-llama-server=y"}, t.Output()); s.command != "make bench-peers ARGS='-busy'" {
		t.Errorf("the command is %s, %v", s.command, err)
	}
}

// A server that does not come up is an error, not a wait.
func TestStart(t *testing.T) {
	f := func(want string, argv ...string) {
		t.Helper()
		_, err := start(t.Context(), launch{name: "test", argv: argv}, t.TempDir())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error is %v, want %q", argv, err, want)
		}
	}
	f("ended before it was ready", "true")
	f("no such file", "/nowhere/server")
}
