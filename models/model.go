package models

import (
	"time"
)

// Model is a model directory, described.
type Model struct {
	Name  string // "smollm2:135m", always with a tag
	Dir   string // the directory
	Graph string // path of the ONNX graph

	Architecture  string // "llama", "qwen2", …: model_type of config.json, type of genai_config.json
	ContextLength int    // positions the model was made for
	Vocab         int    // rows of the embedding
	Layers        int
	Heads         int // attention heads of the queries
	KVHeads       int // attention heads of keys and values
	HeadSize      int // width of one head
	Hidden        int // width of the residual stream

	// Inputs and Outputs are the names of the graph's inputs and outputs by the keys of genai_config.json, nil where it says none.
	Inputs, Outputs map[string]string

	// BOS is the id of the token that begins a text, -1 for none. Exporters invent one where there is none; only
	// tokenizer.json says whether one is put first.
	BOS int32
	// EOS holds every id that ends a text: those of genai_config.json, generation_config.json and config.json together.
	EOS []int32
	// BOSToken and EOSToken are the texts that tokenizer_config.json gives, empty for none.
	BOSToken, EOSToken string
	// ChatTemplate is the Jinja source of chat_template.jinja, else of tokenizer_config.json; empty for none.
	ChatTemplate string
	Generation   Generation
	Custom       Custom // of a model that was made from another

	Family        string    // as Architecture; the name that model lists use for it
	ParameterSize string    // "135M", empty where not known
	Quantization  string    // "int4", "fp16", "int8 block 64 asymmetric", …; empty where not known
	Digest        string    // 64 hexadecimal digits; see digest.go for what it covers
	Size          int64     // bytes of all files of the model
	Modified      time.Time // when the newest of them was written
}

// Generation holds a model's own sampling defaults; nil is "not said".
type Generation struct {
	DoSample          *bool    `json:"do_sample"`
	Temperature       *float64 `json:"temperature"`
	TopK              *int     `json:"top_k"`
	TopP              *float64 `json:"top_p"`
	MinP              *float64 `json:"min_p"`
	RepetitionPenalty *float64 `json:"repetition_penalty"`
}

// over returns g with what it does not say taken from base.
func (g Generation) over(base Generation) Generation {
	if g.DoSample == nil {
		g.DoSample = base.DoSample
	}
	if g.Temperature == nil {
		g.Temperature = base.Temperature
	}
	if g.TopK == nil {
		g.TopK = base.TopK
	}
	if g.TopP == nil {
		g.TopP = base.TopP
	}
	if g.MinP == nil {
		g.MinP = base.MinP
	}
	if g.RepetitionPenalty == nil {
		g.RepetitionPenalty = base.RepetitionPenalty
	}
	return g
}
