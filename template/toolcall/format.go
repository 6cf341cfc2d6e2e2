package toolcall

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Format is how a model writes calls.
type Format uint8

// The formats.
const (
	// Generic is for a model whose template knows no tools, or writes calls as no format here does. The prompt has to describe the
	// tools and the form of a call, which is that of Hermes; JSON alone on a line is a call too.
	Generic Format = iota
	// Hermes is the form of Nous Research's Hermes 2 Pro, which Qwen 2.5 and 3 and many others took over: a JSON object with name and
	// arguments, or a list of them, in <tool_call> tags.
	Hermes
	// Llama is the form of Llama 3.1, 3.2 and 3.3: the answer is a JSON object with name and parameters, which <|python_tag|> may
	// precede.
	Llama
	// Mistral is the form of Mistral 7B v0.3, Nemo and others before 2025: the answer is a list of JSON objects with name and arguments,
	// which [TOOL_CALLS] may precede. That is a control token, of which an answer's text has nothing.
	Mistral
)

// String implements fmt.Stringer.
func (f Format) String() string { return [...]string{"generic", "hermes", "llama", "mistral"}[f] }

// Tag is what opens a call of the forms Generic and Hermes.
const Tag = "<tool_call>"

const (
	closeTag  = "</tool_call>"
	pythonTag = "<|python_tag|>"
	callsTag  = "[TOOL_CALLS]"
)

// Detect tells the format from the source of a chat template.
func Detect(template string) Format {
	text := strings.ReplaceAll(template, `\"`, `"`)
	has := func(s string) bool { return strings.Contains(text, s) }
	switch {
	case !has("tools"):
		return Generic
	case has(`{"name": function name, "parameters": dictionary`):
		return Llama
	case has(callsTag) && !has("[ARGS]") && has("tool_call_id"):
		return Mistral
	case has("<arg_key>"), has("<function="), has("<function name="), has("<tool_calls>"):
		return Generic // a tag is the same, or nearly; what it holds is not, or is no JSON
	case has(Tag) && has(closeTag) && has(`"name": `) && has(`"arguments": `):
		return Hermes
	}
	return Generic
}

// Begin is what a model writes before the arguments of its call to that tool: the call as the template writes it. The name has no
// character that JSON escapes.
func (f Format) Begin(name string) string {
	switch f {
	case Llama:
		return `{"name": "` + name + `", "parameters": `
	case Mistral:
		return `{"name": "` + name + `", "arguments": `
	}
	return Tag + "\n" + `{"name": "` + name + `", "arguments": `
}

// End is what a model writes after the arguments.
func (f Format) End() string {
	if f == Llama || f == Mistral {
		return "}"
	}
	return "}\n" + closeTag
}

// Around is what a model writes before its calls, between two of them, and after them.
func (f Format) Around() (before, between, after string) {
	if f == Mistral {
		return "[", ", ", "]"
	}
	return "", "\n", ""
}

// Parallel says whether an answer may hold several calls.
func (f Format) Parallel() bool { return f != Llama }

// ID returns the id by which a template's messages refer to a call, made of a client's: Mistral's templates take nine letters and digits.
func (f Format) ID(client string) string {
	const size = 9
	plain := len(client) == size && !strings.ContainsFunc(client, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	})
	if f != Mistral || plain {
		return client
	}
	sum := sha256.Sum256([]byte(client))
	return hex.EncodeToString(sum[:])[:size]
}
