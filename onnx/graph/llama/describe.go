package llama

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
)

// Description is what a model's folder says about it beside the graph.
type Description struct {
	BOS, Pad int   // -1: none
	EOS      []int // ids that end a text
	Tied     bool  // head and embedding are one matrix
	Sampling Sampling
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

// WriteDescription writes genai_config.json, config.json and generation_config.json into the model's folder.
func (c Config) WriteDescription(dir string, d Description) error {
	for name, v := range map[string]any{
		"genai_config.json":      c.genai(d),
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
			BOS: bos, Context: c.Positions, EOS: ends(d.EOS), Pad: max(pad, 0), Type: "llama", Vocab: c.Vocab,
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

// huggingFace is config.json as the transformers library has it for LlamaForCausalLM.
func (c Config) huggingFace(d Description) any {
	type scaling struct {
		Type     string  `json:"rope_type"`
		Factor   float64 `json:"factor"`
		LowFreq  float64 `json:"low_freq_factor,omitempty"`
		HighFreq float64 `json:"high_freq_factor,omitempty"`
		Original int     `json:"original_max_position_embeddings,omitempty"`
	}
	var rope *scaling
	switch r := c.Rope; {
	case r.Llama3 != nil:
		rope = &scaling{"llama3", r.Llama3.Factor, r.Llama3.LowFreq, r.Llama3.HighFreq, int(r.Llama3.Original)}
	case r.Linear != 0:
		rope = &scaling{Type: "linear", Factor: r.Linear}
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
		Tied          bool     `json:"tie_word_embeddings"`
		Vocab         int      `json:"vocab_size"`
	}{
		Architectures: []string{"LlamaForCausalLM"}, BOS: optional(d.BOS), EOS: ends(d.EOS), HeadSize: c.HeadSize, Activation: "silu",
		Hidden: c.Hidden, Intermediate: c.Intermediate, Positions: c.Positions, Type: "llama", Heads: c.Heads, Layers: c.Layers,
		KVHeads: c.KVHeads, Pad: optional(d.Pad), Epsilon: c.Epsilon, Scaling: rope, Theta: c.Rope.Base, Tied: d.Tied, Vocab: c.Vocab,
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
