// Package onnx runs a graph with a KV cache in ONNX Runtime. It is the only place that knows ONNX Runtime.
//
// Invariants:
//   - The process has one ONNX Runtime environment, see Load. It lives until the process ends.
//   - A Session is an engine.Model: one goroutine at a time calls it.
//   - KV memory never moves and is never copied by a run: the graph's past inputs and present outputs are bound to the same
//     memory, which is a view of a slab.
//   - Memory that ONNX Runtime sees is mapped outside of Go's heap and outlives every tensor that points to it.
package onnx
