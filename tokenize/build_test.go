package tokenize

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
)

// fields is a part of a tokenizer.json.
type fields = map[string]any

// llamaFile is a small tokenizer.json of Llama 3's kind: bytes, a few merges and 256 special tokens behind them.
func llamaFile() fields {
	vocab, merges := byteVocabulary("t h", "th e", "Ġ the", "i n", "e r", "Ġ a", "n d", "Ġa nd", "Ġ Ġ", "ĠĠ ĠĠ", "l l", "h e", "he ll", "hell o", "Ġ w", "o r", "Ġw or")
	special := []string{"<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>"}
	for i := len(special); i < 256; i++ {
		special = append(special, fmt.Sprintf("<|reserved_special_token_%d|>", i))
	}
	var added []fields
	for i, s := range special {
		added = append(added, fields{"id": len(vocab) + i, "content": s, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true})
	}
	pattern := `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	return fields{
		"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": added, "normalizer": nil,
		"pre_tokenizer": fields{"type": "Sequence", "pretokenizers": []fields{
			{"type": "Split", "pattern": fields{"Regex": pattern}, "behavior": "Isolated", "invert": false},
			{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
		}},
		"post_processor": fields{
			"type": "TemplateProcessing", "single": []fields{{"SpecialToken": fields{"id": "<|begin_of_text|>", "type_id": 0}}, {"Sequence": fields{"id": "A", "type_id": 0}}},
			"special_tokens": fields{"<|begin_of_text|>": fields{"id": "<|begin_of_text|>", "ids": []int{len(vocab)}, "tokens": []string{"<|begin_of_text|>"}}},
		},
		"decoder": fields{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
		"model":   fields{"type": "BPE", "unk_token": nil, "fuse_unk": false, "byte_fallback": false, "ignore_merges": true, "vocab": vocab, "merges": merges},
	}
}

// mistralFile is a small tokenizer.json of Llama 2's and Mistral's kind.
func mistralFile() fields {
	vocab := map[string]int{"<unk>": 0, "<s>": 1, "</s>": 2}
	for b := range 256 {
		vocab[fmt.Sprintf("<0x%02X>", b)] = len(vocab)
	}
	var merges []string
	for _, r := range "▁abcdefghijklmnopqrstuvwxyz.,é中" {
		vocab[string(r)] = len(vocab)
	}
	for _, m := range []string{"t h", "th e", "▁ the", "i n", "▁ a", "n d", "▁a nd", "▁ ▁", "▁▁ ▁▁", "h e", "l l", "he ll", "hell o", "▁ hello"} {
		merges = append(merges, m)
		if piece := strings.Replace(m, " ", "", 1); vocab[piece] == 0 {
			vocab[piece] = len(vocab)
		}
	}
	var added []fields
	for i, s := range []string{"<unk>", "<s>", "</s>"} {
		added = append(added, fields{"id": i, "content": s, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true})
	}
	return fields{
		"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": added,
		"normalizer": fields{"type": "Sequence", "normalizers": []fields{
			{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": fields{"String": " "}, "content": "▁"},
		}},
		"pre_tokenizer": nil, "post_processor": nil,
		"decoder": fields{"type": "Sequence", "decoders": []fields{
			{"type": "Replace", "pattern": fields{"String": "▁"}, "content": " "},
			{"type": "ByteFallback"},
			{"type": "Fuse"},
			{"type": "Strip", "content": " ", "start": 1, "stop": 0},
		}},
		"model": fields{"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true, "vocab": vocab, "merges": merges},
	}
}

// byteVocabulary has a character for each byte and what the merges give.
func byteVocabulary(merges ...string) (map[string]int, []string) {
	vocab := map[string]int{}
	for b := range 256 {
		vocab[string(byteChar[b])] = b
	}
	for _, m := range merges {
		vocab[strings.Replace(m, " ", "", 1)] = len(vocab)
	}
	return vocab, merges
}

// with returns a copy of a file in which a section is another.
func with(file fields, name string, value any) fields {
	out := maps.Clone(file)
	out[name] = value
	return out
}

// withModel returns a copy of a file in which a field of the model is another.
func withModel(file fields, name string, value any) fields {
	return with(file, "model", with(file["model"].(fields), name, value))
}

func encoded(t testing.TB, file fields) []byte {
	t.Helper()
	data, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parsed(t testing.TB, file fields) *Tokenizer {
	t.Helper()
	tok, err := Parse(encoded(t, file))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}
