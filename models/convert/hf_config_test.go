package convert

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ortserve/onnx/graph/llama"
)

// TestRopeOfConfig: the settings as files of each generation write them.
func TestRopeOfConfig(t *testing.T) {
	f := func(config string, positions int, want llama.Rope) {
		t.Helper()
		h := hfConfig{Positions: 32768}
		if err := json.Unmarshal([]byte(config), &h); err != nil {
			t.Fatal(err)
		}
		c := llama.Config{Positions: h.Positions}
		if err := h.rope(&c); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, c.Rope); diff != "" || c.Positions != positions {
			t.Errorf("%s: %d positions, not %d; (-want +got):\n%s", config, c.Positions, positions, diff)
		}
	}
	f(`{}`, 32768, llama.Rope{Base: 10000})
	f(`{"rope_theta": 1000000.0, "rope_scaling": null}`, 32768, llama.Rope{Base: 1e6})
	f(`{"rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"}}`, 32768, llama.Rope{Base: 5e5})
	f(`{"rope_scaling": {"type": "linear", "factor": 4.0}}`, 32768, llama.Rope{Base: 10000, Linear: 4})
	f(`{"rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}}`,
		32768, llama.Rope{Base: 5e5, Llama3: &llama.Llama3{Factor: 8, LowFreq: 1, HighFreq: 4, Original: 8192}})
	// As the model cards of Qwen2.5 and 3 say: the context grows by the factor.
	f(`{"rope_theta": 1000000.0, "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}}`,
		131072, llama.Rope{Base: 1e6, Yarn: &llama.Yarn{Factor: 4, Original: 32768, FastTurns: 32, SlowTurns: 1, Magnitude: 0.1*math.Log(4) + 1}})
	f(`{"rope_scaling": {"type": "yarn", "factor": 2.0, "original_max_position_embeddings": 16384, "attention_factor": 1.5, "beta_fast": 16, "beta_slow": 2}}`,
		32768, llama.Rope{Base: 10000, Yarn: &llama.Yarn{Factor: 2, Original: 16384, FastTurns: 16, SlowTurns: 2, Magnitude: 1.5}})
	f(`{"rope_scaling": {"type": "yarn", "factor": 2.0, "original_max_position_embeddings": 16384, "mscale": 1.0, "mscale_all_dim": 1.0}}`,
		32768, llama.Rope{Base: 10000, Yarn: &llama.Yarn{Factor: 2, Original: 16384, FastTurns: 32, SlowTurns: 1, Magnitude: 1}})
}

// TestWindowsOfConfig: which layers have a window, by transformers' rules.
func TestWindowsOfConfig(t *testing.T) {
	f := func(config string, want []int) {
		t.Helper()
		h := hfConfig{Layers: 3}
		if err := json.Unmarshal([]byte(config), &h); err != nil {
			t.Fatal(err)
		}
		got, err := h.windows()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", config, diff)
		}
	}
	f(`{"model_type": "mistral"}`, []int{4096, 4096, 4096})
	f(`{"model_type": "mistral", "sliding_window": null}`, nil)
	f(`{"model_type": "mistral", "sliding_window": 32}`, []int{32, 32, 32})
	f(`{"model_type": "llama", "sliding_window": 32}`, nil)
	f(`{"model_type": "qwen2", "sliding_window": 32}`, nil)
	f(`{"model_type": "qwen2", "sliding_window": 32, "use_sliding_window": true}`, nil) // the first 28 layers see all
	f(`{"model_type": "qwen2", "sliding_window": 32, "use_sliding_window": true, "max_window_layers": 1}`, []int{0, 32, 32})
	f(`{"model_type": "qwen3", "sliding_window": 8, "use_sliding_window": true, "max_window_layers": 0, "layer_types": ["full_attention", "sliding_attention", "full_attention"]}`, []int{0, 8, 0})
}
