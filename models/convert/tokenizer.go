package convert

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ortserve/models/convert/gguf"
	"ortserve/onnx/graph/llama"
)

// The types of tokens that matter (enum llama_token_type of llama.h).
const (
	tokenNormal      = 1
	tokenUnknown     = 2 // for what no token stands for
	tokenControl     = 3 // part of the format of a conversation; hidden from texts
	tokenUserDefined = 4 // found in texts as it is, but shown
	tokenUnused      = 5 // fills the vocabulary up
)

// tokenizer is a GGUF file's tokenizer: byte-level BPE, or SentencePiece's BPE.
type tokenizer struct {
	sentencePiece      bool
	spacePrefix        bool // SentencePiece: texts begin with a blank that is not written
	tokens             []string
	types              []int64
	merges             [][2]string
	pre                preTokenizer
	addBOS             bool
	bos, eos, unk, pad int // ids; -1: none
	ends               []int
	template           string
}

// endNames are control tokens that end a text or a turn wherever they are in a vocabulary. Files do not list all their
// ends: they have a place for one, and some for the end of a turn.
var endNames = []string{"<|eot_id|>", "<|im_end|>", "<|end|>", "<|end_of_text|>", "<|endoftext|>", "<|eom_id|>", "<end_of_turn>"}

func readTokenizer(m *gguf.Metadata, vocab int) (*tokenizer, error) {
	const p = "tokenizer."
	t := &tokenizer{
		tokens:   m.Texts(p + "ggml.tokens"),
		types:    m.Ints(p + "ggml.token_type"),
		template: m.Text(p+"chat_template", ""),
	}
	kind := m.Text(p+"ggml.model", "")
	pre := m.Text(p+"ggml.pre", "")
	id := func(name string) int {
		return int(max(-1, min(m.Int(p+"ggml."+name+"_token_id", -1), math.MaxInt32)))
	}
	t.bos, t.eos, t.unk, t.pad = id("bos"), id("eos"), id("unknown"), id("padding")
	declared := []int{t.eos, id("eot"), id("eom")}
	if err := m.Err(); err != nil {
		return nil, err
	}
	switch {
	case kind != "gpt2" && kind != "llama":
		return nil, fmt.Errorf("a tokenizer of model %q is not supported (gpt2, byte-level BPE, and llama, SentencePiece's BPE, are)", kind)
	case len(t.tokens) == 0:
		return nil, errors.New("the file has no tokens (tokenizer.ggml.tokens)")
	case len(t.tokens) != vocab:
		return nil, fmt.Errorf("%d tokens for an embedding of %d rows", len(t.tokens), vocab)
	case len(t.types) != len(t.tokens):
		return nil, fmt.Errorf("%d types for %d tokens", len(t.types), len(t.tokens))
	}
	var ok bool
	if t.sentencePiece = kind == "llama"; t.sentencePiece {
		t.pre = preTokenizer{class: "LlamaTokenizer", bos: true}
		t.spacePrefix = m.Bool(p+"ggml.add_space_prefix", true)
	} else if t.pre, ok = preTokenizers[pre]; !ok {
		return nil, fmt.Errorf("pre-tokenizer %q is not supported (%s are)", pre, supportedPreTokenizers())
	}
	t.addBOS = m.Bool(p+"ggml.add_bos_token", t.pre.bos)
	if m.Bool(p+"ggml.add_eos_token", false) {
		return nil, errors.New("a tokenizer that adds an end to each text is not supported")
	}
	if err := m.Err(); err != nil {
		return nil, err
	}
	for _, x := range []*int{&t.bos, &t.eos, &t.unk, &t.pad} {
		if *x >= vocab {
			return nil, fmt.Errorf("special token %d is outside the vocabulary of %d", *x, vocab)
		}
	}
	if t.addBOS && t.bos < 0 {
		return nil, errors.New("the tokenizer adds a beginning to each text, but names none (tokenizer.ggml.bos_token_id)")
	}
	if err := t.unique(); err != nil {
		return nil, err
	}
	var err error
	if t.sentencePiece {
		err = t.makeMerges(m.Floats(p + "ggml.scores"))
	} else {
		err = t.readMerges(m.Texts(p + "ggml.merges"))
	}
	if err != nil {
		return nil, err
	}
	t.findEnds(declared)
	return t, m.Err()
}

func (t *tokenizer) readMerges(lines []string) error {
	t.merges = make([][2]string, 0, len(lines))
	for i, line := range lines {
		a, b, ok := strings.Cut(line, " ")
		if !ok || a == "" || b == "" || strings.Contains(b, " ") {
			return fmt.Errorf("merge %d is %q, not two tokens with a blank between", i, line)
		}
		t.merges = append(t.merges, [2]string{a, b})
	}
	return nil
}

// unique checks that no two tokens have one text: a vocabulary is a map of texts.
func (t *tokenizer) unique() error {
	seen := make(map[string]int, len(t.tokens))
	for id, s := range t.tokens {
		if other, ok := seen[s]; ok && t.types[id] != tokenUnused && t.types[other] != tokenUnused {
			return fmt.Errorf("tokens %d and %d are both %q", other, id, s)
		}
		seen[s] = id
	}
	return nil
}

func (t *tokenizer) findEnds(declared []int) {
	add := func(id int) {
		if id >= 0 && id < len(t.tokens) && !slices.Contains(t.ends, id) {
			t.ends = append(t.ends, id)
		}
	}
	for _, id := range declared {
		add(id)
	}
	for id, s := range t.tokens {
		if t.types[id] == tokenControl && slices.Contains(endNames, s) {
			add(id)
		}
	}
}

func (t *tokenizer) description() llama.Description {
	return llama.Description{BOS: t.bos, Pad: t.pad, EOS: t.ends}
}

// text is the text of a special token, nil where there is none.
func (t *tokenizer) text(id int) any {
	if id < 0 {
		return nil
	}
	return t.tokens[id]
}

// addedToken is an entry of added_tokens in tokenizer.json.
type addedToken struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

func (t *tokenizer) added() []addedToken {
	list := []addedToken{}
	for id, s := range t.tokens {
		switch t.types[id] {
		case tokenControl, tokenUnknown:
			list = append(list, addedToken{ID: id, Content: s, Special: true})
		case tokenUserDefined:
			list = append(list, addedToken{ID: id, Content: s})
		}
	}
	return list
}

// vocabulary maps texts to ids. Added tokens after all others are left out, as Hugging Face's files do: they get the
// ids that follow. Those in between must be in it, to keep theirs.
func (t *tokenizer) vocabulary() map[string]int {
	end := len(t.tokens)
	for end > 0 && t.types[end-1] != tokenUnused && t.types[end-1] >= tokenControl && t.types[end-1] <= tokenUserDefined {
		end--
	}
	vocab := make(map[string]int, end)
	for id, s := range t.tokens[:end] {
		if t.types[id] != tokenUnused {
			vocab[s] = id
		}
	}
	return vocab
}

// write writes tokenizer.json, tokenizer_config.json and, if there is one, chat_template.jinja.
func (t *tokenizer) write(dir string, positions int) error {
	if err := llama.WriteJSON(filepath.Join(dir, "tokenizer.json"), t.tokenizerJSON()); err != nil {
		return err
	}
	decoder := map[string]any{}
	for _, a := range t.added() {
		decoder[strconv.Itoa(a.ID)] = map[string]any{
			"content": a.Content, "lstrip": false, "normalized": false, "rstrip": false, "single_word": false, "special": a.Special,
		}
	}
	err := llama.WriteJSON(filepath.Join(dir, "tokenizer_config.json"), map[string]any{
		"add_bos_token":                t.addBOS,
		"add_prefix_space":             t.spacePrefix,
		"added_tokens_decoder":         decoder,
		"bos_token":                    t.text(t.bos),
		"eos_token":                    t.text(t.eos),
		"unk_token":                    t.text(t.unk),
		"pad_token":                    t.text(t.pad),
		"clean_up_tokenization_spaces": false,
		"model_max_length":             positions,
		"tokenizer_class":              t.pre.class,
	})
	if err != nil || t.template == "" {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "chat_template.jinja"), []byte(t.template), 0o644)
}

// tokenizerJSON is tokenizer.json of Hugging Face's tokenizers library.
func (t *tokenizer) tokenizerJSON() any {
	type model struct {
		Type         string         `json:"type"`
		Dropout      *float64       `json:"dropout"`
		Unk          *string        `json:"unk_token"`
		Prefix       *string        `json:"continuing_subword_prefix"`
		Suffix       *string        `json:"end_of_word_suffix"`
		FuseUnk      bool           `json:"fuse_unk"`
		ByteFallback bool           `json:"byte_fallback"`
		IgnoreMerges bool           `json:"ignore_merges"`
		Vocab        map[string]int `json:"vocab"`
		Merges       [][2]string    `json:"merges"`
	}
	file := struct {
		Version       string       `json:"version"`
		Truncation    any          `json:"truncation"`
		Padding       any          `json:"padding"`
		Added         []addedToken `json:"added_tokens"`
		Normalizer    any          `json:"normalizer"`
		PreTokenizer  any          `json:"pre_tokenizer"`
		PostProcessor any          `json:"post_processor"`
		Decoder       any          `json:"decoder"`
		Model         model        `json:"model"`
	}{
		Version: "1.0", Added: t.added(), Normalizer: t.pre.normalizer, PreTokenizer: t.pre.json, PostProcessor: t.postProcessor(), Decoder: byteLevel(true),
		Model: model{Type: "BPE", IgnoreMerges: t.pre.ignoreMerges, Vocab: t.vocabulary(), Merges: t.merges},
	}
	if t.sentencePiece {
		file.Normalizer, file.Decoder = t.blanks(), t.unblanks()
		file.Model.FuseUnk, file.Model.ByteFallback = true, true
		if t.unk >= 0 {
			file.Model.Unk = &t.tokens[t.unk]
		}
	}
	return file
}

// postProcessor puts the beginning of text before each text, where the model wants it.
func (t *tokenizer) postProcessor() any {
	if !t.addBOS {
		return nil
	}
	begin := t.tokens[t.bos]
	special := func(kind int) any {
		return map[string]any{"SpecialToken": map[string]any{"id": begin, "type_id": kind}}
	}
	sequence := func(name string, kind int) any {
		return map[string]any{"Sequence": map[string]any{"id": name, "type_id": kind}}
	}
	return map[string]any{
		"type":   "TemplateProcessing",
		"single": []any{special(0), sequence("A", 0)},
		"pair":   []any{special(0), sequence("A", 0), special(1), sequence("B", 1)},
		"special_tokens": map[string]any{
			begin: map[string]any{"id": begin, "ids": []int{t.bos}, "tokens": []string{begin}},
		},
	}
}
