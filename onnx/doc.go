// Package onnx runs a graph with a KV cache in ONNX Runtime. It is the only place that knows ONNX Runtime.
//
// A graph is read (Inspect), opened and checked (Open). There are two families, each an engine.Model: in one, past and present are one
// buffer, the slots; in the other, present is a new tensor each run. A probe tells them apart, not the names of operators. The self-check
// then runs what the engine will ask for, and switches off what the graph answers wrongly.
//
// Invariants:
//   - The process has one ONNX Runtime environment, see Load. It lives until the process ends.
//   - A Session is an engine.Model: one goroutine at a time calls it.
//   - Where past and present are one buffer, KV memory never moves and is never copied by a run.
//   - KV memory is bytes: nothing here reads a number in it.
//   - With CUDA, the slots lie in the device's memory and go into runs as they are; what is small comes from the processor's. What the binding
//     lacks for that is in ortapi.go, and is tried before it is used.
//   - Memory that ONNX Runtime sees is mapped outside of Go's heap and outlives every tensor that points to it.
package onnx
