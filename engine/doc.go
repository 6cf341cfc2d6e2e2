// Package engine turns requests into streams of events: continuous batching over one model.
//
// One goroutine, the loop, owns the Model and everything below: sequences, slots, the scheduler's state. It repeats three
// beats: schedule (which rows run next), Forward (one run of the graph), advance (sample, detokenize, stop, emit).
//
// Invariants:
//   - Sequences that decode are dense in slots [0,n), so that one run binds one view of the KV memory.
//   - A slot belongs to at most one sequence.
//   - Every accepted request gets exactly one event with Finish set.
//   - No run has one token inside a prompt unless the prompt has one token.
//   - Nothing in the loop waits for a reader.
package engine
