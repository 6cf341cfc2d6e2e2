package routes

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"ortserve/engine"
	"ortserve/pool"
	"ortserve/sample"
)

// maxTopLogprobs is how many of the most probable tokens a request may ask for at each place: OpenAI's limit.
const maxTopLogprobs = 20

// leastLogprob stands for minus infinity, which JSON has no number for: OpenAI's choice.
const leastLogprob = -9999

// reporting is what a request wants to know of the probabilities of its answer's tokens.
type reporting struct {
	on  bool
	top *int64
}

// order is that, as the engine takes it: nil where nothing is wanted.
func (r *reporting) order() *engine.Logprobs {
	if !r.on {
		return nil
	}
	l := &engine.Logprobs{}
	if r.top != nil {
		l.Top = int(*r.top)
	}
	return l
}

// check refuses a number of tokens where no log-probabilities are wanted.
func (r *reporting) check() error {
	if !r.on && r.top != nil && *r.top > 0 {
		return invalid("top_logprobs", "top_logprobs is %d, which needs logprobs to be true", *r.top)
	}
	return nil
}

// logprobFields are the rows of OpenAI's chat and of Ollama.
func logprobFields[T any](of func(*T) *reporting) []field[T] {
	return []field[T]{
		boolField("logprobs", func(r *T) *bool { return &of(r).on }),
		integerField("top_logprobs", 0, maxTopLogprobs, func(r *T) **int64 { return &of(r).top }),
	}
}

// countedField is a row of one number that is both: how many of the most probable tokens are wanted, and that log-probabilities are.
func countedField[T any](name string, of func(*T) *reporting) field[T] {
	f := integerField(name, 0, maxTopLogprobs, func(r *T) **int64 { return &of(r).top })
	read := f.read
	f.read = func(d *decoder, at string, v value, r *T) error {
		of(r).on = true
		return read(d, at, v, r)
	}
	return f
}

// scores returns what the engine is asked of each prompt's tokens: as much as the requests for them want together. Nil is nothing.
func scores(n int, wanted ...*engine.Logprobs) []*engine.Score {
	top := -1
	for _, w := range wanted {
		if w != nil {
			top = max(top, w.Top)
		}
	}
	if top < 0 {
		return nil
	}
	all := make([]*engine.Score, n)
	for i := range all {
		all[i] = &engine.Score{From: 1, Top: top}
	}
	return all
}

// spelling turns tokens to text and bytes.
type spelling struct{ *pool.Loaded }

// bytes returns a token's bytes; those of a control token are its name.
func (s spelling) bytes(id int32) []byte { return s.Tokenizer.Bytes(id) }

// text returns a token's text. What is no text, because a rune has several tokens, is written as OpenAI does: \xe2\x98, with prefix before it.
func (s spelling) text(id int32, prefix string) string {
	b := s.bytes(id)
	if utf8.Valid(b) {
		return string(b)
	}
	var escaped strings.Builder
	escaped.WriteString(prefix)
	for _, c := range b {
		fmt.Fprintf(&escaped, `\x%02x`, c)
	}
	return escaped.String()
}

// numbers returns a token's bytes as JSON has them.
func (s spelling) numbers(id int32) []int {
	numbers := []int{}
	for _, b := range s.bytes(id) {
		numbers = append(numbers, int(b))
	}
	return numbers
}

// finite is a log-probability that JSON can hold.
func finite(l float64) float64 { return math.Max(l, leastLogprob) }

// chatLogprobs are the log-probabilities of a chat completion, whole or a chunk's.
type chatLogprobs struct {
	Content []tokenLogprob `json:"content"`
	Refusal *struct{}      `json:"refusal"`
}

// tokenLogprob is one token of them, of responses and of Ollama's answers.
type tokenLogprob struct {
	Token       string       `json:"token"`
	Logprob     float64      `json:"logprob"`
	Bytes       []int        `json:"bytes"`
	TopLogprobs []topLogprob `json:"top_logprobs"`
}

type topLogprob struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	Bytes   []int   `json:"bytes"`
}

// tokens returns the log-probabilities in that form; never nil.
func (s spelling) tokens(all []sample.Logprobs) []tokenLogprob {
	out := make([]tokenLogprob, len(all))
	for i, l := range all {
		out[i] = tokenLogprob{s.text(l.ID, ""), finite(l.Logprob.Logprob), s.numbers(l.ID), []topLogprob{}}
		for _, t := range l.Top {
			out[i].TopLogprobs = append(out[i].TopLogprobs, topLogprob{s.text(t.ID, ""), finite(t.Logprob), s.numbers(t.ID)})
		}
	}
	return out
}

// heldLogprobs are log-probabilities of answers that are streamed, by answer, until a chunk takes them along.
type heldLogprobs map[int][]sample.Logprobs

func (h heldLogprobs) add(choice int, l []sample.Logprobs) {
	if len(l) > 0 {
		h[choice] = append(h[choice], l...)
	}
}

// take returns those of an answer, which then are no longer held.
func (h heldLogprobs) take(choice int) []sample.Logprobs {
	l := h[choice]
	delete(h, choice)
	return l
}

// drop leaves out the first n of an answer's, or as many as are held, and returns how many that were.
func (h heldLogprobs) drop(choice, n int) int {
	n = min(n, len(h[choice]))
	h[choice] = h[choice][n:]
	return n
}

// completionLogprobs is the older form, of /v1/completions. Offsets count characters from the beginning of the choice's text.
type completionLogprobs struct {
	Tokens        []string   `json:"tokens"`
	TokenLogprobs []*float64 `json:"token_logprobs"` // null for the first token of a prompt
	TopLogprobs   []any      `json:"top_logprobs"`   // likewise; else objects of numbers by token
	TextOffset    []int      `json:"text_offset"`
}

// textOffset is a place in a text that comes token by token, in characters.
type textOffset int

// next returns where the token begins, and goes on to behind it. Control tokens are not in the text.
func (o *textOffset) next(s spelling, id int32) int {
	at := int(*o)
	b := s.bytes(id)
	if s.Tokenizer.Decode([]int32{id}, true) == "" {
		return at
	}
	for i, c := range b {
		switch {
		case utf8.RuneStart(c):
			*o++
		case i == 0 && at > 0:
			at-- // in the middle of the character before
		}
	}
	return at
}

// older returns log-probabilities in the older form. The top tokens are those that the request wants, and the token itself.
func (s spelling) older(all []sample.Logprobs, top int, o *textOffset) *completionLogprobs {
	out := &completionLogprobs{Tokens: []string{}, TokenLogprobs: []*float64{}, TopLogprobs: []any{}, TextOffset: []int{}}
	for _, l := range all {
		out.Tokens = append(out.Tokens, s.text(l.ID, "bytes:"))
		out.TextOffset = append(out.TextOffset, o.next(s, l.ID))
		if l.Rank == 0 { // nothing is known of it
			out.TokenLogprobs = append(out.TokenLogprobs, nil)
			out.TopLogprobs = append(out.TopLogprobs, nil)
			continue
		}
		own := finite(l.Logprob.Logprob)
		out.TokenLogprobs = append(out.TokenLogprobs, &own)
		likely := map[string]float64{}
		for _, t := range l.Top[:min(top, len(l.Top))] {
			if name := s.text(t.ID, "bytes:"); likely[name] == 0 {
				likely[name] = finite(t.Logprob)
			}
		}
		if top > 0 {
			likely[s.text(l.ID, "bytes:")] = own
		}
		out.TopLogprobs = append(out.TopLogprobs, likely)
	}
	return out
}

// ofPrompt puts the prompt's first token, of which nothing is known, before the log-probabilities of the others.
func ofPrompt(prompt []int32, l []sample.Logprobs) []sample.Logprobs {
	return append([]sample.Logprobs{{Logprob: sample.Logprob{ID: prompt[0]}}}, l...)
}

// promptLogprob is a token in vLLM's form of a prompt's log-probabilities: a list of null for the first token and of objects by id.
type promptLogprob struct {
	Logprob      float64 `json:"logprob"`
	Rank         int     `json:"rank"`
	DecodedToken string  `json:"decoded_token"`
}

// prompt returns a prompt's log-probabilities in vLLM's form.
func (s spelling) prompt(all []sample.Logprobs, top int) []any {
	out := []any{nil}
	for _, l := range all {
		m := map[string]promptLogprob{}
		for i, t := range l.Top[:min(top, len(l.Top))] {
			m[strconv.Itoa(int(t.ID))] = promptLogprob{finite(t.Logprob), i + 1, s.text(t.ID, "")}
		}
		m[strconv.Itoa(int(l.ID))] = promptLogprob{finite(l.Logprob.Logprob), l.Rank, s.text(l.ID, "")}
		out = append(out, m)
	}
	return out
}

// llamaProbability is a token in llama.cpp's form.
type llamaProbability struct {
	llamaToken
	TopLogprobs []llamaToken `json:"top_logprobs"`
}

type llamaToken struct {
	ID      int32   `json:"id"`
	Token   string  `json:"token"`
	Bytes   []int   `json:"bytes"`
	Logprob float64 `json:"logprob"`
}

// llama returns log-probabilities in llama.cpp's form.
func (s spelling) llama(all []sample.Logprobs) []llamaProbability {
	of := func(l sample.Logprob) llamaToken {
		return llamaToken{ID: l.ID, Token: s.text(l.ID, ""), Bytes: s.numbers(l.ID), Logprob: finite(l.Logprob)}
	}
	var out []llamaProbability
	for _, l := range all {
		p := llamaProbability{of(l.Logprob), []llamaToken{}}
		for _, t := range l.Top {
			p.TopLogprobs = append(p.TopLogprobs, of(t))
		}
		out = append(out, p)
	}
	return out
}
