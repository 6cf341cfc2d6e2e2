package test

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"ortserve/internal/testenv"
)

// TestGraphs serves every graph of the exporters at once. Each answers its prompts and chats with the ids and texts that a plain loop in
// Python gave, alone and all in a crowd. Those that cannot be served are refused with the reason, and the rest go on.
func TestGraphs(t *testing.T) {
	for _, kernels := range []string{"onnxruntime", "auto"} {
		t.Run(kernels, func(t *testing.T) { serveGraphs(t, kernels) })
	}
}

func serveGraphs(t *testing.T, kernels string) {
	all := testenv.ReadExpected(t)
	// A cache of float16 rounds once more, which activations of 8 bits amplify: onnx's TestHalfKV judges it by its logits.
	args := []string{"--max-len", "512", "--memory-limit", "64GiB", "--kernels", kernels, "--kv", "f32"}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		args = append(args, "--model", name+"="+filepath.Join(testenv.Graphs(t), name))
	}
	s := testenv.Start(t, binary, args...)
	s.WaitLog(t, regexp.MustCompile(`msg=ready`))

	for name, want := range all {
		t.Run(name, func(t *testing.T) {
			if want == nil {
				checkRefused(t, s, name)
				return
			}
			checkAnswers(t, s, name, kernels, want)
		})
	}
}

// checkAnswers asks a model what its expected answers are to, one after the other and then all at once.
func checkAnswers(t *testing.T, s *testenv.Server, name, kernels string, want *testenv.Expected) {
	t.Helper()
	var questions []question
	for _, p := range want.Prompts {
		n := testenv.Comparable(name, kernels, p.Margins, p.Stop)
		questions = append(questions, question{
			"/completion", marshal(t, map[string]any{"model": name, "prompt": p.Prompt, "temperature": 0, "n_predict": 32, "return_tokens": true}),
			p.Greedy[:n], "", len(p.IDs),
		})
	}
	for _, c := range want.Chats {
		if testenv.Comparable(name, kernels, c.Margins, c.Stop) < c.Stop {
			continue // the text may differ, and a chat does not tell its ids
		}
		questions = append(questions, question{
			"/v1/chat/completions", marshal(t, map[string]any{"model": name, "messages": c.Messages, "temperature": 0, "max_tokens": 32}),
			nil, c.Text, len(c.IDs),
		})
	}
	if len(questions) < 5 {
		t.Fatalf("%d questions", len(questions))
	}
	for _, q := range questions {
		q.check(t, s.URL, "alone")
	}
	var wg sync.WaitGroup
	for _, q := range questions {
		wg.Go(func() { q.check(t, s.URL, "in a crowd") })
	}
	wg.Wait()
}

// question is a request, and its answer: ids, or a text where ids is nil.
type question struct {
	path, body string
	ids        []int32
	text       string
	prompt     int // tokens of the prompt
}

func (q question) check(t *testing.T, url, when string) {
	a := post(t, url+q.path, q.body)
	if q.ids == nil {
		got := decode[struct {
			Choices []struct{ Message struct{ Content string } }
			Usage   struct {
				PromptTokens int `json:"prompt_tokens"`
			}
		}](t, a)
		if got.Choices[0].Message.Content != q.text || got.Usage.PromptTokens != q.prompt {
			t.Errorf("%s: %s\n%q after %d tokens, want %q after %d", when, q.body, got.Choices[0].Message.Content, got.Usage.PromptTokens, q.text, q.prompt)
		}
		return
	}
	got := decode[struct {
		Tokens    []int32
		Evaluated int `json:"tokens_evaluated"`
	}](t, a)
	if len(got.Tokens) < len(q.ids) || !slices.Equal(got.Tokens[:len(q.ids)], q.ids) || got.Evaluated != q.prompt {
		t.Errorf("%s: %s\n%v after %d tokens, want %v after %d", when, q.body, got.Tokens, got.Evaluated, q.ids, q.prompt)
	}
}

// reasons are what the refusal of a graph must say.
var reasons = map[string]string{
	"refuse-paged":    "it has PagedAttention",
	"refuse-embeds":   "no input input_ids, but inputs_embeds",
	"refuse-nopast":   "exported without a KV cache",
	"refuse-mha-fp16": "it runs a prompt, but not the first step with a past",
	"refuse-invalid":  "Graph output (present.0.key) does not exist",
	"cuda-qwen3-fp16": "implemented only on the CUDA",
}

// checkRefused asks for a model that could not be loaded. The reason is the operator's to know.
func checkRefused(t *testing.T, s *testenv.Server, name string) {
	if a := post(t, s.URL+"/v1/completions", `{"model":"`+name+`","prompt":"Hi"}`); a.status < 500 {
		t.Errorf("%d %s, want an error of the server's", a.status, a.body)
	}
	_, rest, found := strings.Cut(s.Log(), "model "+name+":latest: ")
	said, _, _ := strings.Cut(rest, "; model ")
	if !found || reasons[name] == "" || !strings.Contains(said, reasons[name]) || !strings.Contains(said, ".onnx") {
		t.Errorf("the log says %q, want the file and %q", said, reasons[name])
	}
}
