package tokenize

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// What a tokenizer.json may hold at most; published ones have up to 262,144 tokens and 580,604 merges.
const (
	maxFile  = 512 << 20
	maxID    = 1<<22 - 1
	maxToken = 64 << 10 // bytes of a token
)

// file is tokenizer.json as it is written, version 1.0 (serialization.rs of Hugging Face's tokenizers). Its truncation
// and padding are not here: they shape batches for training, and transformers sets both anew for each call.
type file struct {
	added         []addedToken
	normalizer    *part
	preTokenizer  *part
	postProcessor *part
	decoder       *part
	model         modelFile
}

// modelFile is the section "model".
type modelFile struct {
	Type                    string   `json:"type"`
	Dropout                 *float64 `json:"dropout"`
	UnkToken                *string  `json:"unk_token"`
	ContinuingSubwordPrefix *string  `json:"continuing_subword_prefix"`
	EndOfWordSuffix         *string  `json:"end_of_word_suffix"`
	FuseUnk                 bool     `json:"fuse_unk"`
	ByteFallback            bool     `json:"byte_fallback"`
	IgnoreMerges            bool     `json:"ignore_merges"`

	vocab  map[string]int32
	merges [][2]string
}

// part is any normalizer, pre-tokenizer, post-processor or decoder; type says which fields count.
type part struct {
	Type             string      `json:"type"`
	AddPrefixSpace   *bool       `json:"add_prefix_space"`
	UseRegex         *bool       `json:"use_regex"`
	Replacement      string      `json:"replacement"`
	PrependScheme    string      `json:"prepend_scheme"`
	Split            *bool       `json:"split"`
	Pattern          textPattern `json:"pattern"`
	Behavior         string      `json:"behavior"`
	Invert           bool        `json:"invert"`
	IndividualDigits *bool       `json:"individual_digits"`
	Length           *int        `json:"length"`
	Delimiter        string      `json:"delimiter"`
	Content          *string     `json:"content"`
	Prepend          string      `json:"prepend"`
	StripLeft        bool        `json:"strip_left"`
	StripRight       bool        `json:"strip_right"`
	Start            int         `json:"start"`
	Stop             int         `json:"stop"`
	Suffix           *string     `json:"suffix"`
	PreTokenizers    []part      `json:"pretokenizers"`
	Normalizers      []part      `json:"normalizers"`
	Processors       []part      `json:"processors"`
	Decoders         []part      `json:"decoders"`
	Sep              tokenAndID  `json:"sep"`
	Cls              tokenAndID  `json:"cls"`

	Single        []templateItem             `json:"single"`
	SpecialTokens map[string]templateSpecial `json:"special_tokens"`
}

// textPattern is {"String": …} or {"Regex": …}.
type textPattern struct {
	String *string `json:"String"`
	Regex  *string `json:"Regex"`
}

// templateItem is one item of TemplateProcessing's "single".
type templateItem struct {
	Sequence *struct {
		ID string `json:"id"`
	} `json:"Sequence"`
	SpecialToken *struct {
		ID string `json:"id"`
	} `json:"SpecialToken"`
}

type templateSpecial struct {
	IDs []int32 `json:"ids"`
}

// tokenAndID is ["</s>", 2].
type tokenAndID struct{ id int32 }

func (x *tokenAndID) UnmarshalJSON(data []byte) error {
	var token string
	if err := json.Unmarshal(data, &[]any{&token, &x.id}); err != nil {
		return fmt.Errorf("a token and its id are expected: %w", err)
	}
	return nil
}

// readFile reads the text of a tokenizer.json.
func readFile(data []byte) (*file, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("%d bytes, at most %d are supported", len(data), maxFile)
	}
	if !utf8.Valid(data) {
		return nil, errors.New("not UTF-8")
	}
	f, r := new(file), &reader{data: data}
	seen := map[string]bool{}
	err := r.object(func(key string) error {
		if seen[key] {
			return fmt.Errorf("%q is there twice", key)
		}
		seen[key] = true
		if key == "model" {
			return section(key, f.model.read(r))
		}
		raw, err := r.raw()
		if err != nil {
			return err
		}
		return section(key, f.set(key, raw))
	})
	if err != nil {
		return nil, err
	}
	if r.peek() != 0 || r.pos < len(r.data) {
		return nil, r.fail("something follows the end")
	}
	if !seen["model"] {
		return nil, errors.New(`there is no "model"`)
	}
	return f, nil
}

func section(key string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// set decodes one section but the model.
func (f *file) set(key string, raw []byte) error {
	switch key {
	case "version":
		var version string
		if err := json.Unmarshal(raw, &version); err != nil {
			return err
		}
		if version != "1.0" {
			return fmt.Errorf("version %q is not supported, only 1.0 is", version)
		}
	case "added_tokens":
		return json.Unmarshal(raw, &f.added)
	case "normalizer":
		return json.Unmarshal(raw, &f.normalizer)
	case "pre_tokenizer":
		return json.Unmarshal(raw, &f.preTokenizer)
	case "post_processor":
		return json.Unmarshal(raw, &f.postProcessor)
	case "decoder":
		return json.Unmarshal(raw, &f.decoder)
	default:
		if !json.Valid(raw) {
			return errors.New("not JSON")
		}
	}
	return nil
}

// read reads the section "model".
func (m *modelFile) read(r *reader) error {
	small := []byte{'{'}
	seen := map[string]bool{}
	err := r.object(func(key string) error {
		if seen[key] {
			return fmt.Errorf("%q is there twice", key)
		}
		seen[key] = true
		switch key {
		case "vocab":
			return section(key, m.readVocab(r))
		case "merges":
			return section(key, m.readMerges(r))
		}
		raw, err := r.raw()
		if err != nil {
			return err
		}
		name, err := json.Marshal(key)
		if err != nil {
			return err
		}
		if len(small) > 1 {
			small = append(small, ',')
		}
		small = append(append(append(small, name...), ':'), raw...)
		return nil
	})
	if err != nil {
		return err
	}
	if err := json.Unmarshal(append(small, '}'), m); err != nil {
		return err
	}
	if m.Type != "" && m.Type != "BPE" {
		return fmt.Errorf("type %q is not supported, only BPE is", m.Type)
	}
	if m.vocab == nil || m.merges == nil {
		return errors.New("vocab or merges are missing")
	}
	return nil
}

func (m *modelFile) readVocab(r *reader) error {
	if r.peek() == '[' {
		return errors.New("a list with scores (Unigram) is not supported, only BPE is")
	}
	m.vocab = make(map[string]int32, len(r.data)/96)
	return r.object(func(key string) error {
		if len(key) > maxToken {
			return fmt.Errorf("a token of %d bytes, at most %d are supported", len(key), maxToken)
		}
		id, err := r.id()
		if err != nil {
			return err
		}
		m.vocab[key] = id
		return nil
	})
}

func (m *modelFile) readMerges(r *reader) error {
	m.merges = make([][2]string, 0, len(r.data)/48)
	return r.array(func() error {
		var pair [2]string
		if r.peek() == '[' {
			n := 0
			err := r.array(func() error {
				s, err := r.string()
				if err == nil && n < len(pair) {
					pair[n] = s
				}
				n++
				return err
			})
			if err != nil {
				return err
			}
			if n != len(pair) {
				return fmt.Errorf("merge %d has %d parts, not two", len(m.merges), n)
			}
			m.merges = append(m.merges, pair)
			return nil
		}
		line, err := r.string()
		if err != nil {
			return err
		}
		return m.addLine(line)
	})
}

// addLine adds a merge written as one line, "left right".
func (m *modelFile) addLine(line string) error {
	if len(line) >= 8 && line[:8] == "#version" {
		return nil
	}
	space, more := -1, false
	for i := range len(line) {
		if line[i] == ' ' {
			more = space >= 0
			space = i
		}
	}
	if space < 0 || more {
		return fmt.Errorf("merge %d is not two parts", len(m.merges))
	}
	m.merges = append(m.merges, [2]string{line[:space], line[space+1:]})
	return nil
}
