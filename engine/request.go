package engine

import (
	"errors"
	"fmt"
	"time"

	"ortserve/grammar"
	"ortserve/sample"
)

// Request is one sequence to generate.
type Request struct {
	// Prompt holds the prompt's token ids; at least one.
	Prompt []int32
	// MaxTokens is how many tokens to generate at most; 0 or less means up to the window. More than the window has room
	// for is cut to it.
	MaxTokens int
	// Params are the sampling parameters.
	Params sample.Params
	// StopTokens end the sequence; they are counted, not shown.
	StopTokens []int32
	// Constraint says which tokens may come; the answer then ends by itself once nothing may follow. Nil is any. It belongs to the sequence.
	Constraint *grammar.Matcher
	// Stop strings end the sequence; the text from the first one on is not shown.
	Stop []string
	// Logprobs asks for the log-probability of each token of the answer, and of the Top most probable ones at its place.
	Logprobs *Logprobs
	// Score asks for those of the prompt's tokens.
	Score *Score
	// NoAnswer ends the sequence once its prompt is computed, as if the limit had been reached.
	NoAnswer bool
	// Detokenizer turns this sequence's ids into text.
	Detokenizer Detokenizer

	// Group is whom the request counts for: groups that wait are served in turn.
	Group string
	// Priority orders the requests of a group that wait: lower ones come first.
	Priority int
	// Scope bounds the use of KV rows that other requests computed: only those of equal scope, and those of shared texts.
	Scope string
	// Fresh computes the whole prompt, whatever is cached.
	Fresh bool
	// Progress asks for events that say how far the prompt is computed.
	Progress bool
}

// room returns how many tokens the answer may have.
func (r *Request) room(maxLen int) int {
	room := maxLen - len(r.Prompt)
	if r.MaxTokens > 0 {
		room = min(room, r.MaxTokens)
	}
	return room
}

// Detokenizer turns the ids of one sequence into text as they come.
type Detokenizer interface {
	// Next returns the text that ids complete, never half a rune. With no ids it returns what was still held back.
	Next(ids []int32) string
}

// Logprobs are the log-probabilities that a request wants of its answer's tokens.
type Logprobs struct {
	Top int // most probable tokens at each place
}

// Score is which log-probabilities a request wants of its prompt's tokens.
type Score struct {
	From int // index of the first token that is scored, at least 1: nothing comes before the first
	Top  int // most probable tokens at each place
}

// FinishReason says why a sequence ended.
type FinishReason string

// The reasons.
const (
	FinishStop   FinishReason = "stop"   // a stop token or a stop string
	FinishLength FinishReason = "length" // MaxTokens or the window
	FinishError  FinishReason = "error"  // Event.Err says which
)

// Event is a piece of an answer. Reading late joins pieces; nothing is lost. The last event of a stream has Finish set.
type Event struct {
	Text   string  // may be empty
	Tokens []int32 // the ids sampled since the event before, those of control tokens included
	// Logprobs of the tokens that Text completes, where the request wants them. Text and they stay together: a token's come when its text does,
	// so later than in Tokens where it is held back, and never if it is not shown.
	Logprobs []sample.Logprobs
	Prompt   []sample.Logprobs // of the prompt's tokens, from Request.Score.From on
	Progress Progress          // how far the prompt is, where it went on since the event before and the request wants to know
	Finish   FinishReason      // empty while the sequence runs
	Err      error             // set where Finish is FinishError
	Usage    Usage             // set on the last event
}

// Progress is how far a prompt is computed.
type Progress struct {
	Tokens   int // of the prompt
	Cached   int // of these, those whose KV rows were there already
	Computed int // of these, those whose KV rows are there; the cached ones too
	Took     time.Duration
}

// Usage is what a sequence took.
type Usage struct {
	PromptTokens     int
	CachedTokens     int // of PromptTokens, those whose KV rows were there already
	CompletionTokens int // sampled tokens, the one that ended the text included
	DraftTokens      int // tokens that speculation proposed
	AcceptedTokens   int // of those, the ones that were right
	Queue            time.Duration
	Prefill          time.Duration
	Decode           time.Duration // from the first sampled token to the last
}

// The errors of Submit and of Event.Err, beside sample.ErrBanned.
var (
	// ErrClosed: the engine is shutting down.
	ErrClosed = errors.New("the server is shutting down")
	// ErrNoPrompt: the request has no token.
	ErrNoPrompt = errors.New("the prompt has no tokens")
	// ErrToken: the prompt has a token that the model does not know.
	ErrToken = errors.New("unknown token in the prompt")
	// ErrNoScores: the model's graph gives too few logits for Request.Score.
	ErrNoScores = errors.New("the log-probabilities of a prompt's tokens are not available: the model's graph gives the logits of its last position alone, or takes a prompt in one run")
	// ErrInternal: the run failed; the request may be right.
	ErrInternal = errors.New("internal error")
)

// OverloadedError is the error of Submit where no more may wait.
type OverloadedError struct {
	Text       string        // what is full, and the flag that moves it
	RetryAfter time.Duration // when room is expected, from how long requests took lately
}

// Error implements error.
func (e *OverloadedError) Error() string { return "the server is busy: " + e.Text }

// ContextLengthError is the error of Submit for a prompt that leaves no room in the window.
type ContextLengthError struct {
	PromptTokens int
	MaxLen       int
}

// Error implements error.
func (e *ContextLengthError) Error() string {
	return fmt.Sprintf("the prompt has %d tokens, the window holds %d (--max-len) and the answer needs at least one", e.PromptTokens, e.MaxLen)
}
