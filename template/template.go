package template

import (
	"time"
)

// Message is one message of a chat.
type Message struct {
	Role    string
	Content string
	// Fields are further keys (tool_calls, name, …), in the order of their names after role and content. A "role" or
	// "content" here replaces the one above; Absent leaves it out.
	Fields map[string]any
}

// Input is what a template sees.
type Input struct {
	Messages            []Message
	AddGenerationPrompt bool
	Tools               any            // nil for none; as ParseJSON gives it
	Variables           map[string]any // further variables (chat_template_kwargs)
	BOS, EOS            string         // the variables bos_token and eos_token
	Now                 func() time.Time
}

// Prompt is the rendered text.
type Prompt struct {
	Text string
	// Literal holds the byte ranges [begin, end) of Text where what looks like a control token came from outside.
	// Ascending, not overlapping.
	Literal [][2]int
}

// Error is a fault of what was to be rendered: an exception that the template raised, or a limit. Its text is for the
// client.
type Error struct {
	Text string

	raised bool // by the template, whose text is complete
}

// Error implements error.
func (e *Error) Error() string { return e.Text }

// Absent is the value of a field that a message does not have.
type Absent struct{}

// Object is a JSON object whose members are in order.
type Object []Member

// Member is one member of an Object.
type Member struct {
	Name  string
	Value any // nil, bool, int64, float64, json.Number (an integer that int64 does not hold), string, []any or Object
}
