package toolcall

import "strings"

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
)

// String implements fmt.Stringer.
func (f Format) String() string { return [...]string{"generic", "hermes", "llama"}[f] }

// Tag is what opens a call of the forms Generic and Hermes.
const Tag = "<tool_call>"

const (
	closeTag  = "</tool_call>"
	pythonTag = "<|python_tag|>"
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
	case has("<arg_key>"), has("<function="), has("<function name="):
		return Generic // the tags are the same, what they hold is no JSON
	case has(Tag) && has(closeTag) && has(`"name": `) && has(`"arguments": `):
		return Hermes
	}
	return Generic
}

// Begin is what a model writes before the arguments of its call to that tool: the call as the template writes it. The name has no
// character that JSON escapes.
func (f Format) Begin(name string) string {
	if f == Llama {
		return `{"name": "` + name + `", "parameters": `
	}
	return Tag + "\n" + `{"name": "` + name + `", "arguments": `
}

// End is what a model writes after the arguments.
func (f Format) End() string {
	if f == Llama {
		return "}"
	}
	return "}\n" + closeTag
}

// Parallel says whether an answer may hold several calls. Between them is a line break.
func (f Format) Parallel() bool { return f != Llama }
