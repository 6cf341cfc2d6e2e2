package routes

import (
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"ortserve/tokenize"
)

// tokenizeRequest is the body of POST /tokenize: llama.cpp's (content) or vLLM's (prompt, or messages).
type tokenizeRequest struct {
	model                  string
	content, prompt        *string
	conversation           conversation
	addSpecial             *bool // nil: as the peer does whose field was sent
	parseSpecial           *bool
	withPieces             bool
	withoutGenerationStart bool
}

var tokenizeFields = newTable([]field[tokenizeRequest]{
	textField("model", func(r *tokenizeRequest) *string { return &r.model }),
	optionalText("content", func(r *tokenizeRequest) **string { return &r.content }),
	optionalText("prompt", func(r *tokenizeRequest) **string { return &r.prompt }),
	{name: "messages", schema: listOf(openaiMessageFields.schema()), read: func(d *decoder, at string, v value, r *tokenizeRequest) (err error) {
		r.conversation.messages, err = readMessages(d, openaiMessageFields, at, v)
		return err
	}},
	variablesField(func(r *tokenizeRequest) *conversation { return &r.conversation }),
	optionalBool("add_special", func(r *tokenizeRequest) **bool { return &r.addSpecial }),
	optionalBool("add_special_tokens", func(r *tokenizeRequest) **bool { return &r.addSpecial }),
	optionalBool("parse_special", func(r *tokenizeRequest) **bool { return &r.parseSpecial }),
	boolField("with_pieces", func(r *tokenizeRequest) *bool { return &r.withPieces }),
	boolField("return_token_strs", func(r *tokenizeRequest) *bool { return &r.withPieces }),
	generationPromptField(func(r *tokenizeRequest) *bool { return &r.withoutGenerationStart }),
	refusedField[tokenizeRequest]("continue_final_message", ""),
	refusedField[tokenizeRequest]("chat_template", "the model's own is used"),
	toolsField(func(r *tokenizeRequest) *toolbox { return &r.conversation.tools }),
})

// optionalText is a row of a string that may be absent, which is not the same as empty.
func optionalText[T any](name string, of func(*T) **string) field[T] {
	return field[T]{name: name, schema: textSchema, read: func(d *decoder, at string, v value, dst *T) error {
		var s string
		err := textField(name, func(*T) *string { return &s }).read(d, at, v, dst)
		*of(dst) = &s
		return err
	}}
}

// optionalBool is a row of a boolean whose default depends on other fields.
func optionalBool[T any](name string, of func(*T) **bool) field[T] {
	return field[T]{name: name, schema: schema{"type": "boolean"}, read: func(d *decoder, at string, v value, dst *T) error {
		var b bool
		err := boolField(name, func(*T) *bool { return &b }).read(d, at, v, dst)
		*of(dst) = &b
		return err
	}}
}

// generationPromptField is the row of add_generation_prompt, whose default is true.
func generationPromptField[T any](without func(*T) *bool) field[T] {
	return withoutField("add_generation_prompt", without)
}

// withoutField is the row of a boolean whose default is true: what it sets is its opposite.
func withoutField[T any](name string, without func(*T) *bool) field[T] {
	return field[T]{name: name, schema: schema{"type": "boolean"}, read: func(d *decoder, at string, v value, dst *T) error {
		var b bool
		err := boolField(name, func(*T) *bool { return &b }).read(d, at, v, dst)
		*without(dst) = !b
		return err
	}}
}

// tokenizeAnswer is the answer of POST /tokenize: tokens for both peers' clients, the rest for vLLM's.
type tokenizeAnswer struct {
	Tokens      any      `json:"tokens"` // ids, or with_pieces of llama.cpp
	Count       int      `json:"count"`
	MaxModelLen int      `json:"max_model_len"`
	TokenStrs   []string `json:"token_strs,omitempty"`
}

// tokenPiece is a token with its text, or with its bytes where they are no text.
type tokenPiece struct {
	ID    int32 `json:"id"`
	Piece any   `json:"piece"`
}

// tokenize serves POST /tokenize.
func (s *server) tokenize(c *fiber.Ctx) error {
	var req tokenizeRequest
	if err := decodeBody(s, c, tokenizeFields, &req); err != nil {
		return err
	}
	g, err := s.begin(c, req.model)
	if err != nil {
		return err
	}
	defer g.done()
	ids, err := g.tokenizeRequest(&req)
	if err != nil {
		return err
	}
	a := tokenizeAnswer{Tokens: ids, Count: len(ids), MaxModelLen: g.Engine.Info().MaxLen}
	if len(ids) == 0 {
		a.Tokens = []int32{}
	}
	switch {
	case req.withPieces && req.content != nil:
		a.Tokens = g.pieces(ids)
	case req.withPieces:
		for _, id := range ids {
			piece, _ := g.Tokenizer.Piece(id)
			a.TokenStrs = append(a.TokenStrs, piece)
		}
	}
	return sendJSON(c, openaiJSON, a)
}

// tokenizeRequest encodes what the request holds. llama.cpp adds no special token unless asked to, vLLM does unless asked not to.
func (g *generation) tokenizeRequest(req *tokenizeRequest) ([]int32, error) {
	special := func(otherwise bool) bool {
		if req.addSpecial != nil {
			return *req.addSpecial
		}
		return otherwise
	}
	plain := req.parseSpecial != nil && !*req.parseSpecial
	switch {
	case req.content != nil:
		return g.Tokenizer.Encode(*req.content, tokenize.Options{LiteralAll: plain, Template: special(false)}), nil
	case req.prompt != nil:
		return g.Tokenizer.Encode(*req.prompt, tokenize.Options{LiteralAll: plain, Template: special(true)}), nil
	case len(req.conversation.messages) > 0:
		req.conversation.open = req.withoutGenerationStart
		return g.chatPrompt(req.conversation)
	default:
		return nil, invalid("content", "content, prompt or messages is needed")
	}
}

func (g *generation) pieces(ids []int32) []tokenPiece {
	all := make([]tokenPiece, len(ids))
	for i, id := range ids {
		b := g.Tokenizer.Bytes(id)
		if b == nil {
			text, _ := g.Tokenizer.Piece(id)
			b = []byte(text)
		}
		all[i] = tokenPiece{ID: id, Piece: string(b)}
		if !utf8.Valid(b) {
			numbers := make([]int, len(b))
			for k, x := range b {
				numbers[k] = int(x)
			}
			all[i].Piece = numbers
		}
	}
	return all
}

// detokenizeRequest is the body of POST /detokenize.
type detokenizeRequest struct {
	model  string
	tokens []int32
}

var detokenizeFields = newTable([]field[detokenizeRequest]{
	textField("model", func(r *detokenizeRequest) *string { return &r.model }),
	{name: "tokens", schema: tokensSchema, read: func(_ *decoder, at string, v value, r *detokenizeRequest) (err error) {
		r.tokens, err = readTokens(at, v)
		return err
	}},
})

// detokenizeAnswer is the text by llama.cpp's name and by vLLM's.
type detokenizeAnswer struct {
	Content string `json:"content"`
	Prompt  string `json:"prompt"`
}

// detokenize serves POST /detokenize: the text of tokens, control tokens included.
func (s *server) detokenize(c *fiber.Ctx) error {
	var req detokenizeRequest
	if err := decodeBody(s, c, detokenizeFields, &req); err != nil {
		return err
	}
	g, err := s.begin(c, req.model)
	if err != nil {
		return err
	}
	defer g.done()
	for i, id := range req.tokens {
		if int(id) >= g.Tokenizer.Vocab() {
			return invalid("tokens", "tokens[%d] is %d, must be below the vocabulary's size %d", i, id, g.Tokenizer.Vocab())
		}
	}
	text := g.Tokenizer.Decode(req.tokens, false)
	return sendJSON(c, openaiJSON, detokenizeAnswer{text, text})
}

// applyTemplateRequest is the body of POST /apply-template.
type applyTemplateRequest struct {
	model        string
	conversation conversation
}

var applyTemplateFields = newTable([]field[applyTemplateRequest]{
	textField("model", func(r *applyTemplateRequest) *string { return &r.model }),
	{name: "messages", schema: listOf(openaiMessageFields.schema()), read: func(d *decoder, at string, v value, r *applyTemplateRequest) (err error) {
		r.conversation.messages, err = readMessages(d, openaiMessageFields, at, v)
		return err
	}},
	variablesField(func(r *applyTemplateRequest) *conversation { return &r.conversation }),
	generationPromptField(func(r *applyTemplateRequest) *bool { return &r.conversation.open }),
	toolsField(func(r *applyTemplateRequest) *toolbox { return &r.conversation.tools }),
	refusedField[applyTemplateRequest]("chat_template", "the model's own is used"),
}, thinkFields(func(r *applyTemplateRequest) *thinkWish { return &r.conversation.think }),
	inertFields[applyTemplateRequest]("include_reasoning", "reasoning_format")) // of the answer

// templateAnswer is the answer of POST /apply-template.
type templateAnswer struct {
	Prompt string `json:"prompt"`
}

// applyTemplate serves POST /apply-template: the prompt's text, which tokenizing anew does not always bring back to the same ids, because
// text of a message that looks like a control token is no such token.
func (s *server) applyTemplate(c *fiber.Ctx) error {
	var req applyTemplateRequest
	if err := decodeBody(s, c, applyTemplateFields, &req); err != nil {
		return err
	}
	if len(req.conversation.messages) == 0 {
		return invalid("messages", "messages is empty; it needs at least one message")
	}
	g, err := s.begin(c, req.model)
	if err != nil {
		return err
	}
	defer g.done()
	p, err := g.render(req.conversation)
	if err != nil {
		return err
	}
	return sendJSON(c, openaiJSON, templateAnswer{p.Text})
}
