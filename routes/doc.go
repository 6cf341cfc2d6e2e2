// Package routes speaks HTTP: OpenAI's dialect and Ollama's, on Fiber. A handler decodes the body by its dialect's table of fields,
// renders and encodes the prompt, submits it to the model's engine and turns the engine's events into the dialect's answer.
//
// Invariants:
//   - A field of a request is honoured, inert, or refused by name; an unknown one is listed in X-Ignored-Params. Nothing is
//     silently dropped.
//   - What a handler keeps shares no memory with fasthttp: JSON values are copies, and *fiber.Ctx is not used once the handler
//     has returned.
//   - Each request that a model works for has a context of its own, which ends when its client leaves, when it takes too long or
//     when it is done; never with fasthttp's context, which ends for all requests at once.
//   - A stream is read by the connection's own goroutine (streamBody is an io.Reader), so that a client that does not read holds
//     back nothing but itself, and each write has a deadline of its own.
//   - After the first byte of a stream an error travels inside the stream.
//   - Each request leaves one line in the log, which holds nothing that a client wrote except the model's name and the path.
package routes
