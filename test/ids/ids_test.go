// Package ids compares the server's greedy token ids with those of a loop in Python over the same graph, run anew each time:
// the bits of logits depend on the machine's instruction set, so stored ids would not do.
package ids

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ortserve/internal/testenv"
	"ortserve/models"
)

var prompts = []string{
	"What is the capital of France?",
	"Write a haiku about the sea.",
	"Explain in one sentence why the sky is blue.",
	"List three prime numbers.",
	"Translate 'good morning' into Spanish.",
	"What is 17 + 25?",
	"Who wrote Romeo and Juliet?",
	"Give me a recipe for pancakes.",
	"What does the HTTP status 404 mean?",
	"Write a Python function that adds two numbers.",
	"Name the planets of the solar system in order.",
	"Summarise the plot of Cinderella.",
	"Was ist der höchste Berg der Welt?",
	"日本の首都はどこですか。",
	"Tell me a joke about a programmer.",
	"Why do cats purr? 🐈",
	"Finish this sentence: The quick brown fox",
	"What is the difference between a list and a tuple?\n\nAnswer in two sentences.",
	"Count from 1 to 20.",
	"{\"question\": \"Is water wet?\", \"answer\": ",
}

const (
	maxTokens = 64
	threads   = 1 // tests of other packages run beside
)

// exchange is a prompt's ids and the ids of the answer, with the stop token that ended it.
type exchange struct{ prompt, answer []int }

// startDefault serves the default model, which it describes too.
func startDefault(t *testing.T) (*testenv.Server, *models.Model) {
	t.Helper()
	binary, err := testenv.Build(t.TempDir(), false) // without the race detector: sampling is ten times slower with it
	if err != nil {
		t.Fatal(err)
	}
	dir := testenv.DefaultModel(t)
	// Verifying a draft runs several tokens at once, which rounds otherwise than one by one, as the loop does; other kernels round otherwise too.
	s := testenv.Start(t, binary, "--model", dir, "--threads", strconv.Itoa(threads), "--speculate", "off", "--kernels", "onnxruntime")
	model, err := models.Describe(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s, model
}

func TestGreedyIDs(t *testing.T) {
	s, model := startDefault(t)
	alone := make([]exchange, len(prompts))
	for i, p := range prompts {
		alone[i] = ask(t, s.URL, model.Name, p)
	}
	want := reference(t, model, alone)
	for i, p := range prompts {
		if diff := cmp.Diff(want[i], alone[i].answer); diff != "" {
			t.Errorf("alone, %q (-reference +server):\n%s", p, diff)
		}
	}

	// In this model's layout rows of one run are bit for bit what each gives alone.
	crowd := make([]exchange, len(prompts))
	var wg sync.WaitGroup
	for i, p := range prompts {
		wg.Go(func() { crowd[i] = ask(t, s.URL, model.Name, p) })
	}
	wg.Wait()
	for i, p := range prompts {
		if diff := cmp.Diff(want[i], crowd[i].answer); diff != "" {
			t.Errorf("in a crowd, %q (-reference +server):\n%s", p, diff)
		}
	}
}

// ask has the server answer a prompt greedily. The answer's context holds the ids of both.
func ask(t *testing.T, url, model, prompt string) exchange {
	body, err := json.Marshal(map[string]any{
		"model": model, "prompt": prompt, "stream": false,
		"options": map[string]any{"temperature": 0, "repeat_penalty": 1, "num_predict": maxTokens},
	})
	if err != nil {
		t.Error(err)
		return exchange{}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/api/generate", bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return exchange{}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return exchange{}
	}
	defer resp.Body.Close()
	var a struct {
		Context         []int  `json:"context"`
		DoneReason      string `json:"done_reason"`
		PromptEvalCount int    `json:"prompt_eval_count"`
		EvalCount       int    `json:"eval_count"`
	}
	b, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(b, &a)
	}
	if err != nil || resp.StatusCode != http.StatusOK || a.PromptEvalCount == 0 || len(a.Context) <= a.PromptEvalCount {
		t.Errorf("%q: %d %v %s", prompt, resp.StatusCode, err, b)
		return exchange{}
	}
	e := exchange{a.Context[:a.PromptEvalCount], a.Context[a.PromptEvalCount:]}
	if a.DoneReason == "stop" {
		e.answer = append(e.answer[:len(e.answer):len(e.answer)], stopped)
	}
	if len(e.answer) != a.EvalCount {
		t.Errorf("%q: %d tokens counted, %d in the context", prompt, a.EvalCount, len(e.answer))
	}
	return e
}

// stopped stands for whichever stop token ended an answer, which no dialect tells.
const stopped = -1

// reference has Python answer the same prompts.
func reference(t *testing.T, model *models.Model, asked []exchange) [][]int {
	t.Helper()
	request := map[string]any{"max_tokens": maxTokens, "stop": model.EOS}
	var all [][]int
	for _, e := range asked {
		if e.prompt == nil {
			t.FailNow()
		}
		all = append(all, e.prompt)
	}
	request["prompts"] = all
	var answers [][]int
	if python(t, "reference.py", model.Graph, request, &answers); len(answers) != len(asked) {
		t.Fatalf("%d answers of %d", len(answers), len(asked))
	}
	total := 0
	for i, a := range answers {
		total += len(a)
		for _, id := range model.EOS {
			if a[len(a)-1] == int(id) {
				answers[i][len(a)-1] = stopped
			}
		}
	}
	t.Logf("%d prompts, %d tokens", len(answers), total)
	return answers
}

// python gives a script of this folder the graph and a request, and reads its answer.
func python(t *testing.T, script, graph string, request, answer any) {
	t.Helper()
	in, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), testenv.Python(t, "onnxruntime"), script, graph, strconv.Itoa(threads))
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stdin = bytes.NewReader(in)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, stderr.String())
	}
	if err := json.Unmarshal(out, answer); err != nil {
		t.Fatalf("%s: %v", script, err)
	}
}
