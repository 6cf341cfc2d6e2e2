package models

import (
	"encoding/json"
	"fmt"
)

// The names of the files that describe a model.
const (
	fileGenai           = "genai_config.json"      // onnxruntime-genai's model builder
	fileConfig          = "config.json"            // Hugging Face
	fileGeneration      = "generation_config.json" // Hugging Face
	fileTokenizer       = "tokenizer.json"
	fileTokenizerConfig = "tokenizer_config.json"
	fileTemplate        = "chat_template.jinja"
)

// genaiConfig is the part of genai_config.json that is read.
type genaiConfig struct {
	Model struct {
		Type          string   `json:"type"`
		ContextLength int      `json:"context_length"`
		Vocab         int      `json:"vocab_size"`
		BOS           tokenIDs `json:"bos_token_id"`
		EOS           tokenIDs `json:"eos_token_id"`
		Decoder       struct {
			Filename string `json:"filename"`
			HeadSize int    `json:"head_size"`
			Hidden   int    `json:"hidden_size"`
			Heads    int    `json:"num_attention_heads"`
			Layers   int    `json:"num_hidden_layers"`
			KVHeads  int    `json:"num_key_value_heads"`

			Inputs  map[string]string `json:"inputs"`
			Outputs map[string]string `json:"outputs"`
		} `json:"decoder"`
	} `json:"model"`
	Search Generation `json:"search"`
}

// hfConfig is the part of config.json that is read.
type hfConfig struct {
	ModelType    string   `json:"model_type"`
	Positions    int      `json:"max_position_embeddings"`
	Vocab        int      `json:"vocab_size"`
	Layers       int      `json:"num_hidden_layers"`
	Heads        int      `json:"num_attention_heads"`
	KVHeads      int      `json:"num_key_value_heads"`
	HeadSize     int      `json:"head_dim"`
	Hidden       int      `json:"hidden_size"`
	Intermediate int      `json:"intermediate_size"`
	Tied         *bool    `json:"tie_word_embeddings"`
	BOS          tokenIDs `json:"bos_token_id"`
	EOS          tokenIDs `json:"eos_token_id"`
}

// generationConfig is the part of generation_config.json that is read.
type generationConfig struct {
	Generation

	EOS tokenIDs `json:"eos_token_id"`
}

// tokenizerConfig is the part of tokenizer_config.json that is read.
type tokenizerConfig struct {
	BOS      tokenText      `json:"bos_token"`
	EOS      tokenText      `json:"eos_token"`
	Template templateSource `json:"chat_template"`
}

// tokenIDs is written as null, a number or a list of numbers.
type tokenIDs []int32

// UnmarshalJSON implements json.Unmarshaler.
func (t *tokenIDs) UnmarshalJSON(data []byte) error {
	var list []int32
	if data[0] == '[' {
		if err := json.Unmarshal(data, &list); err != nil {
			return fmt.Errorf("token ids: %w", err)
		}
	} else {
		var one *int32
		if err := json.Unmarshal(data, &one); err != nil {
			return fmt.Errorf("token id: %w", err)
		}
		if one != nil {
			list = []int32{*one}
		}
	}
	for _, id := range list {
		if id < 0 {
			return fmt.Errorf("token id %d is negative", id)
		}
	}
	*t = list
	return nil
}

// tokenText is written as null, a string or an object with "content".
type tokenText string

// UnmarshalJSON implements json.Unmarshaler.
func (t *tokenText) UnmarshalJSON(data []byte) error {
	if data[0] == '{' {
		var o struct {
			Content string `json:"content"`
		}
		if err := json.Unmarshal(data, &o); err != nil {
			return fmt.Errorf("token text: %w", err)
		}
		*t = tokenText(o.Content)
		return nil
	}
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("token text: %w", err)
	}
	*t = tokenText(s)
	return nil
}

// templateSource is written as null, a string or a list of named templates of which "default" is the one for chats.
type templateSource string

// UnmarshalJSON implements json.Unmarshaler.
func (t *templateSource) UnmarshalJSON(data []byte) error {
	if data[0] == '[' {
		var list []struct {
			Name     string `json:"name"`
			Template string `json:"template"`
		}
		if err := json.Unmarshal(data, &list); err != nil {
			return fmt.Errorf("chat_template: %w", err)
		}
		for _, e := range list {
			if e.Name == "default" {
				*t = templateSource(e.Template)
			}
		}
		return nil
	}
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("chat_template: %w", err)
	}
	*t = templateSource(s)
	return nil
}
