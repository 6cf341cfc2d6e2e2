package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ortserve/internal/testenv"
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
