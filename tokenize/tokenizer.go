package tokenize

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Tokenizer turns text into token ids and back. It does not change after Parse: all methods but those of a Stream may
// be called at once from any number of goroutines.
type Tokenizer struct {
	classes         *classTable
	added           *matcher // added tokens that are looked for in the text as it stands
	addedNormalized *matcher // and in its normalized form
	normalizer      normalizer
	alignment       normalizer // normalizer without what it prepends, where the parts of a text can be normalized alone; else nil
	prepended       int        // bytes that normalizer prepends
	steps           []step
	boundary        func(s string, i int) int // see parallel.go
	bpe             *bpe
	template        []templatePart
	decoders        []decoder
	pieces          []string         // by id, as the vocabulary or added_tokens write it; "" where there is none
	known           []bool           // by id
	ids             map[string]int32 // by piece
	byID            []*addedToken    // by id; nil: not an added token
	tokens          []*addedToken    // the added tokens, by id
	normalForms     map[int32]string // added tokens whose normalized form is another
	specials        map[string]bool  // contents of special tokens
	idle            chan *encoder
}

// Load reads tokenizer.json in a directory.
func Load(dir string) (*Tokenizer, error) {
	path := filepath.Join(dir, "tokenizer.json")
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: %d bytes, at most %d are supported", path, info.Size(), maxFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// Parse reads the bytes of a tokenizer.json. What the file asks for and this package does not support is refused by
// name, so that a tokenizer that loads gives the ids of Hugging Face's.
func Parse(data []byte) (*Tokenizer, error) {
	f, err := readFile(data)
	if err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	t, err := build(f)
	if err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	return t, nil
}

// build makes a tokenizer of what a file says.
func build(f *file) (*Tokenizer, error) {
	t := &Tokenizer{classes: classes(), idle: make(chan *encoder, runtime.GOMAXPROCS(0))}
	var err error
	if err = t.buildNormalizer(f.normalizer); err != nil {
		return nil, fmt.Errorf("normalizer: %w", err)
	}
	byteLevel, err := t.buildSteps(f.preTokenizer)
	if err != nil {
		return nil, fmt.Errorf("pre_tokenizer: %w", err)
	}
	if t.bpe, err = newBPE(&f.model, byteLevel); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if err = t.addTokens(f.model.vocab, f.added); err != nil {
		return nil, fmt.Errorf("added_tokens: %w", err)
	}
	if t.template, err = buildTemplate(f.postProcessor); err != nil {
		return nil, fmt.Errorf("post_processor: %w", err)
	}
	if t.decoders, err = buildDecoders(f.decoder); err != nil {
		return nil, fmt.Errorf("decoder: %w", err)
	}
	t.boundary = t.safeBoundary()
	return t, nil
}

// addTokens joins the added tokens with the vocabulary. A token of the vocabulary keeps its id there, another gets the
// next one behind the vocabulary, whatever the file says (added_vocabulary.rs, add_tokens).
func (t *Tokenizer) addTokens(vocab map[string]int32, added []addedToken) error {
	next := int32(len(vocab))
	t.ids = vocab
	for piece, id := range vocab {
		if other, ok := t.Piece(id); ok {
			return fmt.Errorf("%q and %q have the same id %d", clip(min(piece, other)), clip(max(piece, other)), id)
		}
		t.put(id, piece)
	}
	t.specials = map[string]bool{}
	for i := range added {
		a := &added[i]
		if a.Content == "" {
			continue
		}
		if len(a.Content) > maxAdded {
			return fmt.Errorf("a token of %d bytes, at most %d are supported", len(a.Content), maxAdded)
		}
		id, ok := t.ids[a.Content]
		if !ok {
			id = next
			next++
		}
		if id > maxID {
			return fmt.Errorf("token id %d, at most %d are supported", id, maxID)
		}
		if piece, ok := t.Piece(id); ok && piece != a.Content {
			return fmt.Errorf("%q and %q have the same id %d", clip(piece), clip(a.Content), id)
		}
		a.ID, a.control = id, a.Special || controlShape(a.Content)
		t.ids[a.Content] = id
		t.put(id, a.Content)
		t.byID[id] = a
		if a.Special {
			t.specials[a.Content] = true
		}
	}
	t.buildMatchers()
	return nil
}

// buildMatchers sorts the added tokens by where they are looked for.
func (t *Tokenizer) buildMatchers() {
	plain, normal := map[string]*addedToken{}, map[string]*addedToken{}
	t.normalForms = map[int32]string{}
	for _, a := range t.byID {
		switch {
		case a == nil:
			continue
		case !a.Normalized:
			plain[a.Content] = a
		default:
			form := a.Content
			if t.normalizer != nil {
				form = t.normalizer.normalize(form)
			}
			if form != a.Content {
				t.normalForms[a.ID] = form
			}
			if form != "" {
				normal[form] = a
			}
		}
		t.tokens = append(t.tokens, a)
	}
	t.added, t.addedNormalized = newMatcher(plain), newMatcher(normal)
}

// maxAdded bounds an added token, and so what one look for it costs.
const maxAdded = 512

// put notes the piece of an id.
func (t *Tokenizer) put(id int32, piece string) {
	if n := int(id) + 1; n > len(t.pieces) {
		t.pieces = append(t.pieces, make([]string, n-len(t.pieces))...)
		t.known = append(t.known, make([]bool, n-len(t.known))...)
		t.byID = append(t.byID, make([]*addedToken, n-len(t.byID))...)
	}
	t.pieces[id], t.known[id] = piece, true
}

func (t *Tokenizer) byIDOf(id int32) *addedToken {
	if id < 0 || int(id) >= len(t.byID) {
		return nil
	}
	return t.byID[id]
}

// clip shortens a text for an error.
func clip(s string) string {
	if len(s) > 40 {
		return validText(s[:40]) + "…"
	}
	return s
}

// Vocab returns the largest id + 1.
func (t *Tokenizer) Vocab() int { return len(t.pieces) }

// ID returns the id of a piece, as token_to_id does.
func (t *Tokenizer) ID(piece string) (int32, bool) {
	id, ok := t.ids[piece]
	return id, ok
}

// Piece returns the piece of an id, as id_to_token does: in a byte-level vocabulary with a character for each byte.
func (t *Tokenizer) Piece(id int32) (string, bool) {
	if id < 0 || int(id) >= len(t.pieces) || !t.known[id] {
		return "", false
	}
	return t.pieces[id], true
}

// Special says that id is an added token that the file marks as special.
func (t *Tokenizer) Special(id int32) bool {
	a := t.byIDOf(id)
	return a != nil && a.Special
}

// SpecialTokens returns the contents of the added tokens that the file marks as special, by id.
func (t *Tokenizer) SpecialTokens() []string {
	var out []string
	for _, a := range t.tokens {
		if a.Special {
			out = append(out, a.Content)
		}
	}
	return out
}

// ControlTokens returns the contents of the tokens that steer a model: the special ones, others written like one
// (<|…|>), and added tokens that the source of the chat template writes itself, as Qwen's <tool_call>, which files do
// not mark as special.
func (t *Tokenizer) ControlTokens(templateSource string) []string {
	var out []string
	for _, a := range t.tokens {
		if a.control || strings.ContainsAny(a.Content, "<[") && strings.Contains(templateSource, a.Content) {
			out = append(out, a.Content)
		}
	}
	return out
}

// controlShape says that an added token is written as only control tokens are: <|eot_id|>, DeepSeek's <｜User｜>.
func controlShape(s string) bool {
	return len(s) > 4 && strings.HasPrefix(s, "<|") && strings.HasSuffix(s, "|>") ||
		strings.HasPrefix(s, "<｜") && strings.HasSuffix(s, "｜>")
}
