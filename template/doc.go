// Package template turns the messages of a chat into a model's prompt, with the model's own chat template: the Jinja that
// Hugging Face's transformers runs (jinja2's immutable sandbox with trim_blocks, lstrip_blocks and loop controls, a tojson
// that neither escapes nor sorts, raise_exception, strftime_now, generation blocks), byte for byte. Tests render the same
// with Python's jinja2.
//
// From source to prompt: lexer.go (tokens), parser*.go (ast.go's trees), scope.go (which variable a name means), eval.go
// and macro.go (statements), expr.go and operators.go (expressions), filters*.go, tests.go, methods*.go, globals.go.
// value.go and text.go hold what expressions have; a text knows which of its bytes came from outside.
//
// Not there, and refused by name: inheritance and inclusion (block, extends, include, import), recursive loops, * and **
// in calls, \N escapes, and the filters of jinja2 that make HTML.
//
// Invariants:
//   - A template comes from a model directory, never from a request; it is still not trusted: a render is bounded in
//     steps, size, depth and time (eval.go, parser.go), and a panic in it is an error.
//   - Text that came from outside (messages, tools, variables) and looks like a control token is told apart from the
//     template's own control tokens: Prompt.Literal says where it is.
//   - A *Template does not change after Parse and may render concurrently. Values do not change either, but for
//     namespaces, loops and generators, which belong to one render.
package template
