// Package toolcall reads the calls of tools that models write into their answers. What a model writes is a convention of its family,
// which its chat template tells it: Format says which.
//
// Invariants:
//   - What a Parser returns is what it was given, in order: text as it is, but for white space around calls, and calls.
//   - A call names a tool of the request and its arguments are a JSON object. Whatever else looks like a call is text.
//   - A Parser holds back no more than what may yet become a call.
package toolcall
