package testmodel

import (
	"fmt"
	"os"
	"path/filepath"

	"ortserve/onnx/graph/llama"
)

// ChatTemplate is the model's template: Llama 3's headers.
const ChatTemplate = `{{- bos_token }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
`

// pieces returns the texts of all tokens in order, bytes in the letters that byte-level tokenizers have for them, and
// the pairs that merge into the tokens after the bytes.
func pieces() (texts []string, merges [][2]string) {
	for b := range 256 {
		texts = append(texts, byteLetter(b))
	}
	pair := func(a, b string) {
		merges = append(merges, [2]string{a, b})
		texts = append(texts, a+b)
	}
	const common = "etaoinshrdlcum"
	for _, b := range "abcdefghijklmnopqrstuvwxyz" {
		pair(byteLetter(' '), string(b))
	}
	for _, a := range common {
		for _, b := range common {
			pair(string(a), string(b))
		}
	}
	for b := 'A'; len(texts) < int(BeginOfText); b++ {
		pair(byteLetter(' '), string(b))
	}
	texts = append(texts, "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
	for i := range Vocab - int(firstReserved) {
		texts = append(texts, fmt.Sprintf("<|reserved_special_token_%d|>", i))
	}
	return texts, merges
}

// byteLetter is the letter that stands for a byte in the vocabulary of a byte-level tokenizer (GPT-2's encoder.py): the
// byte's own where it is printable in Latin-1, else one of those from U+0100 on, in order.
func byteLetter(b int) string {
	printable := func(b int) bool { return b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae }
	if printable(b) {
		return string(rune(b))
	}
	n := 0
	for i := range b {
		if !printable(i) {
			n++
		}
	}
	return string(rune(0x100 + n))
}

func writeTokenizer(dir string, c Config) error {
	texts, merges := pieces()
	vocab := map[string]int{}
	type added struct {
		ID         int    `json:"id"`
		Content    string `json:"content"`
		SingleWord bool   `json:"single_word"`
		LStrip     bool   `json:"lstrip"`
		RStrip     bool   `json:"rstrip"`
		Normalized bool   `json:"normalized"`
		Special    bool   `json:"special"`
	}
	var specials []added
	for id, s := range texts {
		if id >= int(BeginOfText) {
			specials = append(specials, added{ID: id, Content: s, Special: true})
			continue
		}
		vocab[s] = id
	}
	byteLevel := map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}
	err := llama.WriteJSON(filepath.Join(dir, "tokenizer.json"), map[string]any{
		"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": specials, "normalizer": nil,
		"pre_tokenizer": byteLevel, "post_processor": nil, "decoder": byteLevel,
		"model": map[string]any{
			"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil, "end_of_word_suffix": nil,
			"fuse_unk": false, "byte_fallback": false, "ignore_merges": false, "vocab": vocab, "merges": merges,
		},
	})
	if err != nil {
		return err
	}
	err = llama.WriteJSON(filepath.Join(dir, "tokenizer_config.json"), map[string]any{
		"bos_token": texts[BeginOfText], "eos_token": texts[c.EOS[len(c.EOS)-1]], "pad_token": texts[EndOfText],
		"clean_up_tokenization_spaces": false, "model_max_length": c.Positions, "tokenizer_class": "PreTrainedTokenizerFast",
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "chat_template.jinja"), []byte(ChatTemplate), 0o644)
}
