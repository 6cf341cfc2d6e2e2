package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ortserve/internal/testenv"
	"ortserve/onnx/kernel"
)

// TestInspect: what is told of exporters' graphs, to a person and to a program.
func TestInspect(t *testing.T) {
	t.Setenv("ORTSERVE_ONNXRUNTIME", testenv.Runtime(t))
	t.Setenv("ORTSERVE_HOME", t.TempDir())
	t.Setenv("ORTSERVE_PROVIDER", "cpu")
	t.Setenv("ORTSERVE_JSON", "true") // no flag of the environment
	dir := func(name string) string { return filepath.Join(testenv.Graphs(t), name) }
	f := func(name string, want ...string) {
		t.Helper()
		code, out, failure := at("inspect", dir(name), "--slots", "2", "--max-len", "100")
		if code != 0 {
			t.Fatalf("%s: %d %s", name, code, failure)
		}
		said := strings.Join(strings.Fields(out), " ")
		for _, w := range want {
			if !strings.Contains(said, w) {
				t.Errorf("%s: no %q in\n%s", name, w, out)
			}
		}
	}
	f("genai-llama-int4", "computed by cpu (ONNX Runtime 1.", "past and present are one buffer", "positions 2048 in the graph",
		"input_ids int64 [B, S]", "past_key_values.0.key … past_key_values.1.value float32 [B, 2, P, 16] 4 tensors", "logits float32 [B, S, 512]",
		"a prompt in two runs same bits", "batching on up to 2 sequences a run", "2 GroupQueryAttention", "cache, a token 512 bytes",
		"2 slots of 100 tokens, and one of scratch")
	f("genai-llama-int4-kv8", "int8 [B, 2, P, 16]", "cache, a token 128 bytes")
	f("genai-mistral-fp32-window", "4 of them with a window of 32")
	f("optimum-llama-int8", "position_ids int64 [B, S]", "off: chunked prefill, prefix reuse and speculation", "batching off the graph quantizes activations",
		"DynamicQuantizeLinear", "present is a new tensor in each step")

	code, out, failure := at("inspect", "--json", dir("optimum-llama-fp16"))
	var got struct {
		Model     string
		Family    string
		Inputs    []struct{ Name, Type, Shape string }
		Checks    []struct{ Check, Result, Off string } `json:"self_check"`
		Abilities []struct {
			Name, Why string
			On        bool
		}
		Placement []struct {
			Provider  string
			Nodes     int
			Operators map[string]int
		}
		Memory struct {
			Token int64 `json:"kv_per_token"`
		}
	}
	if err := json.Unmarshal([]byte(out), &got); code != 0 || err != nil {
		t.Fatalf("%d %v %s %s", code, err, failure, out)
	}
	sum := 0
	for _, n := range got.Placement[0].Operators {
		sum += n
	}
	if got.Family != "growing" || got.Memory.Token != 256 || len(got.Inputs) != 4 || len(got.Checks) != 3 || len(got.Abilities) != 6 ||
		got.Placement[0].Provider != "CPUExecutionProvider" || got.Placement[0].Nodes != sum || sum < 100 {
		t.Errorf("%s", out)
	}
	if i := slices.IndexFunc(got.Inputs, func(v struct{ Name, Type, Shape string }) bool { return v.Type == "float16" }); i < 0 {
		t.Errorf("no input of float16: %+v", got.Inputs)
	}

	g := func(want string, args ...string) {
		t.Helper()
		if code, _, failure := at(append([]string{"inspect"}, args...)...); code != 1 || !strings.Contains(failure, want) || strings.Count(failure, "\n") != 1 {
			t.Errorf("%q: %d %q, want a line with %q", args, code, failure, want)
		}
	}
	g("no model is named")
	g(`"b" is one argument too many`, "a", "b")
	g("nowhere:latest is not in", "nowhere")
	g("refuse", dir("refuse-embeds")+"x")
	g("no input input_ids, but inputs_embeds", dir("refuse-embeds"))
	g("it runs a prompt, but not the first step with a past", dir("refuse-mha-fp16"))
	g("was built without openvino", dir("genai-llama-int4"), "--provider", "openvino")
}

// TestInspectCached: in a cache of huggingface_hub a commit's files are links to blobs, the weights beside the graph too, and a graph may have
// a name of its own.
func TestInspectCached(t *testing.T) {
	t.Setenv("ORTSERVE_ONNXRUNTIME", testenv.Runtime(t))
	t.Setenv("ORTSERVE_HOME", t.TempDir())
	f := func(name, folder string, rename map[string]string, own bool) {
		t.Helper()
		repo := filepath.Join(t.TempDir(), "models--org--repo")
		commit := filepath.Join(repo, "snapshots", "c0ffee")
		for dir, content := range map[string]string{filepath.Join(repo, "refs"): "c0ffee", filepath.Join(commit, folder): "", filepath.Join(repo, "blobs"): ""} {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if content != "" {
				if err := os.WriteFile(filepath.Join(dir, "main"), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		from := filepath.Join(testenv.Graphs(t), name)
		entries, err := os.ReadDir(from)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range entries {
			b, err := os.ReadFile(filepath.Join(from, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			blob := filepath.Join(repo, "blobs", fmt.Sprintf("%064d", i))
			if err := os.WriteFile(blob, b, 0o600); err != nil {
				t.Fatal(err)
			}
			link := filepath.Join(commit, cmp.Or(rename[e.Name()], e.Name()))
			if strings.Contains(link, ".onnx") {
				link = filepath.Join(commit, folder, filepath.Base(link))
			}
			to, err := filepath.Rel(filepath.Dir(link), blob)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(to, link); err != nil {
				t.Fatal(err)
			}
		}
		code, out, failure := at("inspect", repo, "--slots", "2", "--max-len", "64")
		if code != 0 || !strings.Contains(out, "org/repo") {
			t.Errorf("%s: %d %s %s", name, code, out, failure)
		}
		if best := kernel.Best(); own && best != 0 && !strings.Contains(out, best.String()+" (") {
			t.Errorf("%s: other kernels than %s\n%s", name, best, out)
		}
	}
	f("genai-llama-int4", ".", nil, true) // with model.onnx.data
	f("optimum-llama-q4", "onnx", nil, false)
	f("optimum-llama-q4", "onnx", map[string]string{"model_q4.onnx": "mine.onnx"}, false)
	f("optimum-llama-q4", ".", map[string]string{"model_q4.onnx": "mine.onnx"}, false)
}
