// Package template turns the messages of a chat into a model's prompt, with the model's own chat template: Jinja as Hugging
// Face's transformers sets it up (jinja2's immutable sandbox, trim_blocks, lstrip_blocks, loop controls, tojson that
// neither escapes nor sorts, raise_exception, strftime_now).
//
// Invariants:
//   - A template comes from a model directory, never from a request; it is still not trusted: a render is bounded in time
//     and size, and a panic in it is an error.
//   - Text that came from outside (messages, tools, variables) and looks like a control token is told apart from the
//     template's own control tokens: Prompt.Literal says where it is.
//   - A *Template may render concurrently.
package template
