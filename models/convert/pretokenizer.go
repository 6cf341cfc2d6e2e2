package convert

import (
	"maps"
	"slices"
	"strings"
)

// preTokenizer is how texts are cut into pieces before merging: what tokenizer.ggml.pre names.
type preTokenizer struct {
	normalizer   any // of the text before it is cut; may be nil
	json         any
	class        string // tokenizer_class, of transformers
	ignoreMerges bool   // a piece that is a token is taken without merging
	bos          bool   // begins texts with a token unless the file says otherwise
}

// llama3Pattern is the pattern in the tokenizer.json of the Llama 3 models.
const llama3Pattern = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

// qwen2Pattern is the pattern in the tokenizer.json of Qwen2, 2.5 and 3: digits one by one.
const qwen2Pattern = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

// tekkenPattern is the pattern of Mistral's models from NeMo on.
const tekkenPattern = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`

var preTokenizers = map[string]preTokenizer{
	"gpt-2": {class: "GPT2Tokenizer", json: byteLevel(true)},
	"qwen2": {
		class:      "Qwen2Tokenizer",
		normalizer: map[string]any{"type": "NFC"},
		json:       splitAt(qwen2Pattern),
	},
	"tekken": {class: "PreTrainedTokenizerFast", ignoreMerges: true, bos: true, json: splitAt(tekkenPattern)},
	"smollm": {
		class: "GPT2Tokenizer",
		json: sequence(
			map[string]any{"type": "Digits", "individual_digits": true},
			byteLevel(true),
		),
	},
	"llama-bpe": {
		class:        "PreTrainedTokenizerFast",
		ignoreMerges: true,
		bos:          true,
		json:         splitAt(llama3Pattern),
	},
}

func init() {
	// llama.cpp knows these by other names too.
	preTokenizers["llama3"] = preTokenizers["llama-bpe"]
	preTokenizers["llama-v3"] = preTokenizers["llama-bpe"]
	preTokenizers["deepseek-r1-qwen"] = preTokenizers["qwen2"]
}

func supportedPreTokenizers() string {
	return strings.Join(slices.Sorted(maps.Keys(preTokenizers)), ", ")
}

func sequence(parts ...any) any {
	return map[string]any{"type": "Sequence", "pretokenizers": parts}
}

// splitAt cuts at the matches of a pattern and turns bytes into letters.
func splitAt(pattern string) any {
	return sequence(
		map[string]any{"type": "Split", "pattern": map[string]any{"Regex": pattern}, "behavior": "Isolated", "invert": false},
		byteLevel(false),
	)
}

// byteLevel turns bytes into letters; with pattern it first cuts at GPT-2's.
func byteLevel(pattern bool) any {
	return map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": pattern}
}
