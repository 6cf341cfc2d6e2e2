package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"ortserve/onnx/graph/llama"
)

// hfConfig is the part of a Hugging Face config.json that matters (configuration_*.py of huggingface/transformers). What a
// file does not say is transformers' default.
type hfConfig struct {
	Type          string                     `json:"model_type"`
	Architectures []string                   `json:"architectures"`
	AutoMap       map[string]json.RawMessage `json:"auto_map"`
	Quantization  json.RawMessage            `json:"quantization_config"`

	Vocab        int      `json:"vocab_size"`
	Hidden       int      `json:"hidden_size"`
	Intermediate int      `json:"intermediate_size"`
	Layers       int      `json:"num_hidden_layers"`
	Heads        int      `json:"num_attention_heads"`
	KVHeads      *int     `json:"num_key_value_heads"`
	HeadSize     *int     `json:"head_dim"`
	Positions    int      `json:"max_position_embeddings"`
	Epsilon      *float64 `json:"rms_norm_eps"`
	Activation   string   `json:"hidden_act"`
	Tied         bool     `json:"tie_word_embeddings"`
	Bias         bool     `json:"attention_bias"`
	MLPBias      bool     `json:"mlp_bias"`
	PartRotary   *float64 `json:"partial_rotary_factor"`

	Window     json.RawMessage `json:"sliding_window"` // missing and null differ
	UseWindow  bool            `json:"use_sliding_window"`
	FullLayers *int            `json:"max_window_layers"` // the first layers, which see all
	LayerTypes []string        `json:"layer_types"`

	Theta   *float64 `json:"rope_theta"`
	Scaling *hfRope  `json:"rope_scaling"`
	Rope    *hfRope  `json:"rope_parameters"` // transformers 5: both in one

	BOS hfIDs `json:"bos_token_id"`
	EOS hfIDs `json:"eos_token_id"`
	Pad hfIDs `json:"pad_token_id"`
}

// hfRope is a rotary embedding's settings.
type hfRope struct {
	Theta     *float64 `json:"rope_theta"`
	Type      string   `json:"rope_type"`
	OldType   string   `json:"type"`
	Factor    float64  `json:"factor"`
	LowFreq   float64  `json:"low_freq_factor"`
	HighFreq  float64  `json:"high_freq_factor"`
	Original  float64  `json:"original_max_position_embeddings"`
	FastTurns *float64 `json:"beta_fast"`
	SlowTurns *float64 `json:"beta_slow"`
	Magnitude *float64 `json:"attention_factor"`
	Scale     *float64 `json:"mscale"`
	ScaleAll  *float64 `json:"mscale_all_dim"`
	Truncate  *bool    `json:"truncate"`
}

// hfIDs is null, a number or a list of numbers.
type hfIDs []int

// UnmarshalJSON implements json.Unmarshaler.
func (t *hfIDs) UnmarshalJSON(b []byte) error {
	if b[0] == '[' {
		return json.Unmarshal(b, (*[]int)(t))
	}
	var one *int
	if err := json.Unmarshal(b, &one); err != nil {
		return err
	}
	if *t = nil; one != nil {
		*t = hfIDs{*one}
	}
	return nil
}

// hfClasses are the models that can be imported, by the name of their type.
var hfClasses = map[string]string{
	"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM",
}

// source reads the model's shape.
func (h *hfConfig) source() (*source, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	s := &source{architecture: h.Type, tied: h.Tied}
	switch h.Type {
	case "llama":
		s.qkvBias, s.outputBias = h.Bias, h.Bias
	case "qwen2":
		s.qkvBias = true
	case "qwen3":
		s.headNorms = true
		s.qkvBias, s.outputBias = h.Bias, h.Bias
	}
	s.config = llama.Config{
		Layers: h.Layers, Hidden: h.Hidden, Heads: h.Heads, KVHeads: h.Heads, Intermediate: h.Intermediate, Vocab: h.Vocab,
		Positions: h.Positions, Epsilon: 1e-6, AccuracyLevel: 4,
	}
	c := &s.config
	switch {
	case h.KVHeads != nil:
		c.KVHeads = *h.KVHeads
	case h.Type != "llama":
		return nil, errors.New("config.json does not say num_key_value_heads")
	}
	switch {
	case h.HeadSize != nil:
		c.HeadSize = *h.HeadSize
	case h.Type == "qwen3":
		return nil, errors.New("config.json does not say head_dim")
	case h.Heads > 0:
		c.HeadSize = h.Hidden / h.Heads
	}
	if h.Epsilon != nil {
		c.Epsilon = float32(*h.Epsilon)
	}
	if err := h.rope(c); err != nil {
		return nil, err
	}
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	var err error
	c.Windows, err = h.windows()
	return s, err
}

// check refuses what the graph cannot have.
func (h *hfConfig) check() error {
	class, known := hfClasses[h.Type]
	_, custom := h.AutoMap["AutoModelForCausalLM"]
	switch {
	case !known:
		return fmt.Errorf("config.json: models of type %q are not supported (llama, mistral, qwen2 and qwen3 are)", h.Type)
	case len(h.Architectures) > 0 && !slices.Contains(h.Architectures, class):
		return fmt.Errorf("config.json: the architecture %q is not supported (%s is)", h.Architectures[0], class)
	case custom:
		return errors.New("config.json: the model brings its own code (auto_map), which is not run here")
	case len(h.Quantization) > 0 && string(h.Quantization) != "null":
		return errors.New("config.json: the weights are quantized already (quantization_config): import the original ones")
	case h.Activation != "" && h.Activation != "silu" && h.Activation != "swish":
		return fmt.Errorf("config.json: hidden_act is %q (silu is supported)", h.Activation)
	case h.MLPBias:
		return errors.New("config.json: mlp_bias is not supported")
	case h.PartRotary != nil && *h.PartRotary != 1:
		return fmt.Errorf("config.json: partial_rotary_factor is %v (1 is supported)", *h.PartRotary)
	}
	return nil
}

// windows returns each layer's attention window; nil where all layers see everything.
func (h *hfConfig) windows() ([]int, error) {
	const usual = 4096 // of files that do not say it
	window := usual
	switch {
	case h.Type == "llama", string(h.Window) == "null", h.Type != "mistral" && !h.UseWindow:
		return nil, nil
	case len(h.Window) > 0:
		if err := json.Unmarshal(h.Window, &window); err != nil {
			return nil, fmt.Errorf("config.json: sliding_window: %w", err)
		}
	}
	if window < 1 {
		return nil, fmt.Errorf("config.json: sliding_window is %d", window)
	}
	if h.LayerTypes != nil && len(h.LayerTypes) != h.Layers {
		return nil, fmt.Errorf("config.json: layer_types has %d, the model has %d layers", len(h.LayerTypes), h.Layers)
	}
	full := 0
	if h.Type != "mistral" {
		if full = 28; h.FullLayers != nil {
			full = *h.FullLayers
		}
	}
	windows := make([]int, h.Layers)
	for i := range windows {
		sliding := i >= full
		if h.LayerTypes != nil {
			switch h.LayerTypes[i] {
			case "full_attention":
				sliding = false
			case "sliding_attention":
				sliding = true
			default:
				return nil, fmt.Errorf("config.json: layer %d is of type %q", i, h.LayerTypes[i])
			}
		}
		if sliding {
			windows[i] = window
		}
	}
	if slices.Max(windows) == 0 {
		return nil, nil
	}
	return windows, nil
}

// rope reads the rotary embedding (modeling_rope_utils.py of transformers).
func (h *hfConfig) rope(c *llama.Config) error {
	r := &c.Rope
	r.Base = 10000
	scaling := h.Scaling
	if h.Rope != nil {
		scaling = h.Rope
	}
	switch {
	case scaling != nil && scaling.Theta != nil:
		r.Base = *scaling.Theta
	case h.Theta != nil:
		r.Base = *h.Theta
	}
	if scaling == nil {
		return nil
	}
	kind := scaling.Type
	if kind == "" {
		kind = scaling.OldType
	}
	original := scaling.Original
	if original == 0 {
		original = float64(h.Positions)
	}
	switch kind {
	case "", "default":
	case "linear":
		r.Linear = scaling.Factor
		if r.Linear == 0 {
			return errors.New("config.json: linear rope scaling without a factor")
		}
	case "llama3":
		r.Llama3 = &llama.Llama3{Factor: scaling.Factor, LowFreq: scaling.LowFreq, HighFreq: scaling.HighFreq, Original: original}
	case "yarn":
		if scaling.Truncate != nil && !*scaling.Truncate {
			return errors.New("config.json: yarn rope scaling with truncate: false is not supported")
		}
		r.Yarn = scaling.yarn(original)
		// Files that were made longer by hand say the factor alone.
		c.Positions = max(c.Positions, int(min(scaling.Factor*original, math.MaxInt32)))
	default:
		return fmt.Errorf("config.json: rope scaling of type %q is not supported (linear, llama3 and yarn are)", kind)
	}
	return nil
}

func (r *hfRope) yarn(original float64) *llama.Yarn {
	or := func(v *float64, missing float64) float64 {
		if v == nil {
			return missing
		}
		return *v
	}
	scale := func(v float64) float64 { return (yarnMagnitude(r.Factor)-1)*v + 1 }
	magnitude := yarnMagnitude(r.Factor)
	if r.Scale != nil && r.ScaleAll != nil && *r.Scale != 0 && *r.ScaleAll != 0 {
		magnitude = scale(*r.Scale) / scale(*r.ScaleAll)
	}
	return &llama.Yarn{
		Factor: r.Factor, Original: original, FastTurns: or(r.FastTurns, 32), SlowTurns: or(r.SlowTurns, 1),
		Magnitude: or(r.Magnitude, magnitude),
	}
}
