package llama

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
)

// Description is what a model's folder says about it beside the graph.
type Description struct {
	Architecture string // as config.json names it: llama, mistral, qwen2 or qwen3; llama unless given
	BOS, Pad     int    // -1: none
	EOS          []int  // ids that end a text
	Tied         bool   // head and embedding are one matrix
	Biases       bool   // query, key, value and output products have biases, in an architecture where that is a setting
	Sampling     Sampling
}

// Sampling is what the model's makers or the one who imports it advise; nil where they say nothing.
type Sampling struct {
	Temperature       *float64 `json:"temperature,omitempty"`
	TopK              *int     `json:"top_k,omitempty"`
	TopP              *float64 `json:"top_p,omitempty"`
	MinP              *float64 `json:"min_p,omitempty"`
	RepetitionPenalty *float64 `json:"repetition_penalty,omitempty"`
}

// The graph's file and its external file, in the model's folder.
const (
	GraphFile = "model.onnx"
	DataFile  = "model.onnx.data"
)

// WriteGenAI writes genai_config.json into the model's folder.
func (c Config) WriteGenAI(dir string, d Description) error {
	return WriteJSON(filepath.Join(dir, "genai_config.json"), c.genai(d))
}

// WriteDescription writes genai_config.json, config.json and generation_config.json into the model's folder.
func (c Config) WriteDescription(dir string, d Description) error {
	if err := c.WriteGenAI(dir, d); err != nil {
		return err
	}
	for name, v := range map[string]any{
		"config.json":            c.huggingFace(d),
		"generation_config.json": generation(d),
	} {
		if err := WriteJSON(filepath.Join(dir, name), v); err != nil {
			return err
		}
	}
	return nil
}

// WriteJSON writes a file as the tools of Hugging Face do: two blanks a level, no HTML escapes, a newline at the end.
func WriteJSON(path string, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// optional is nil, which JSON writes as null, for ids that are none.
func optional(id int) any {
	if id < 0 {
		return nil
	}
	return id
}

// ends is the ids that end a text: a number where there is one, as most models have it.
func ends(ids []int) any {
	if len(ids) == 1 {
		return ids[0]
	}
	return ids
}

// genai is genai_config.json of onnxruntime-genai (src/config.h of microsoft/onnxruntime-genai).
func (c Config) genai(d Description) any {
	type inputs struct {
		InputIDs      string `json:"input_ids"`
		AttentionMask string `json:"attention_mask"`
		PastKeys      string `json:"past_key_names"`
		PastValues    string `json:"past_value_names"`
	}
	type outputs struct {
		Logits        string `json:"logits"`
		PresentKeys   string `json:"present_key_names"`
		PresentValues string `json:"present_value_names"`
	}
	type session struct {
		LogID     string `json:"log_id"`
		Providers []any  `json:"provider_options"`
	}
	type decoder struct {
		Session  session `json:"session_options"`
		Filename string  `json:"filename"`
		HeadSize int     `json:"head_size"`
		Hidden   int     `json:"hidden_size"`
		Inputs   inputs  `json:"inputs"`
		Outputs  outputs `json:"outputs"`
		Heads    int     `json:"num_attention_heads"`
		Layers   int     `json:"num_hidden_layers"`
		KVHeads  int     `json:"num_key_value_heads"`
	}
	type model struct {
		BOS     int     `json:"bos_token_id"`
		Context int     `json:"context_length"`
		Decoder decoder `json:"decoder"`
		EOS     any     `json:"eos_token_id"`
		Pad     int     `json:"pad_token_id"`
		Type    string  `json:"type"`
		Vocab   int     `json:"vocab_size"`
	}
	type search struct {
		MaxLength   int  `json:"max_length"`
		ShareBuffer bool `json:"past_present_share_buffer"`
		DoSample    bool `json:"do_sample,omitempty"`
		Sampling
	}
	// The format asks for numbers: a beginning that no tokenizer puts, and a filler that is never read.
	bos, pad := max(d.BOS, 0), d.Pad
	if pad < 0 && len(d.EOS) > 0 {
		pad = d.EOS[0]
	}
	sampling := d.Sampling
	if !sampling.any() {
		sampling = Sampling{} // no temperature of 0 here: greedy search is that there is none
	}
	return map[string]any{
		"model": model{
			BOS: bos, Context: c.Positions, EOS: ends(d.EOS), Pad: max(pad, 0), Type: d.architecture(), Vocab: c.Vocab,
			Decoder: decoder{
				Session:  session{LogID: "onnxruntime-genai", Providers: []any{}},
				Filename: GraphFile, HeadSize: c.HeadSize, Hidden: c.Hidden, Heads: c.Heads, Layers: c.Layers, KVHeads: c.KVHeads,
				Inputs:  inputs{"input_ids", "attention_mask", "past_key_values.%d.key", "past_key_values.%d.value"},
				Outputs: outputs{"logits", "present.%d.key", "present.%d.value"},
			},
		},
		"search": search{MaxLength: c.Positions, ShareBuffer: true, DoSample: sampling.any(), Sampling: sampling},
	}
}

// any says whether the advice is to sample at all; a temperature of 0 is not to.
func (s Sampling) any() bool {
	if s.Temperature != nil && *s.Temperature == 0 {
		return false
	}
	return s.Temperature != nil || s.TopK != nil || s.TopP != nil || s.MinP != nil
}

func (d Description) architecture() string {
	if d.Architecture == "" {
		return "llama"
	}
	return d.Architecture
}

// classes are transformers' names of the models.
var classes = map[string]string{
	"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM",
}

// huggingFace is config.json as the transformers library has it.
func (c Config) huggingFace(d Description) any {
	type scaling struct {
		Type      string  `json:"rope_type"`
		Factor    float64 `json:"factor"`
		LowFreq   float64 `json:"low_freq_factor,omitempty"`
		HighFreq  float64 `json:"high_freq_factor,omitempty"`
		Original  int     `json:"original_max_position_embeddings,omitempty"`
		FastTurns float64 `json:"beta_fast,omitempty"`
		SlowTurns float64 `json:"beta_slow,omitempty"`
		Magnitude float64 `json:"attention_factor,omitempty"`
	}
	var rope *scaling
	switch r := c.Rope; {
	case r.Llama3 != nil:
		rope = &scaling{Type: "llama3", Factor: r.Llama3.Factor, LowFreq: r.Llama3.LowFreq, HighFreq: r.Llama3.HighFreq, Original: int(r.Llama3.Original)}
	case r.Yarn != nil:
		rope = &scaling{
			Type: "yarn", Factor: r.Yarn.Factor, Original: int(r.Yarn.Original),
			FastTurns: r.Yarn.FastTurns, SlowTurns: r.Yarn.SlowTurns, Magnitude: r.Yarn.Magnitude,
		}
	case r.Linear != 0:
		rope = &scaling{Type: "linear", Factor: r.Linear}
	}
	window := 0
	if c.Windows != nil {
		window = slices.Max(c.Windows)
	}
	return struct {
		Architectures []string `json:"architectures"`
		AttentionBias bool     `json:"attention_bias"`
		BOS           any      `json:"bos_token_id"`
		EOS           any      `json:"eos_token_id"`
		HeadSize      int      `json:"head_dim"`
		Activation    string   `json:"hidden_act"`
		Hidden        int      `json:"hidden_size"`
		Intermediate  int      `json:"intermediate_size"`
		Positions     int      `json:"max_position_embeddings"`
		MLPBias       bool     `json:"mlp_bias"`
		Type          string   `json:"model_type"`
		Heads         int      `json:"num_attention_heads"`
		Layers        int      `json:"num_hidden_layers"`
		KVHeads       int      `json:"num_key_value_heads"`
		Pad           any      `json:"pad_token_id"`
		Epsilon       float32  `json:"rms_norm_eps"`
		Scaling       *scaling `json:"rope_scaling"`
		Theta         float64  `json:"rope_theta"`
		Window        int      `json:"sliding_window,omitempty"`
		Tied          bool     `json:"tie_word_embeddings"`
		Vocab         int      `json:"vocab_size"`
	}{
		Architectures: []string{classes[d.architecture()]}, AttentionBias: d.Biases, BOS: optional(d.BOS), EOS: ends(d.EOS),
		HeadSize: c.HeadSize, Activation: "silu", Hidden: c.Hidden, Intermediate: c.Intermediate, Positions: c.Positions,
		Type: d.architecture(), Heads: c.Heads, Layers: c.Layers, KVHeads: c.KVHeads, Pad: optional(d.Pad), Epsilon: c.Epsilon,
		Scaling: rope, Theta: c.Rope.Base, Window: window, Tied: d.Tied, Vocab: c.Vocab,
	}
}

// generation is generation_config.json.
func generation(d Description) any {
	return struct {
		BOS      any  `json:"bos_token_id"`
		EOS      any  `json:"eos_token_id"`
		Pad      any  `json:"pad_token_id"`
		DoSample bool `json:"do_sample,omitempty"`
		Sampling
	}{optional(d.BOS), ends(d.EOS), optional(d.Pad), d.Sampling.any(), d.Sampling}
}
