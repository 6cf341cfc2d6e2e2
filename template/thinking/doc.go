// Package thinking tells the thoughts that some models write before their answer from the answer. DeepSeek's R1 and its distillations,
// Qwen's QwQ and Qwen 3, SmolLM 3, GLM 4.5 and many others write them between <think> and </think>; their chat templates know the tags, and
// some have a variable that turns thinking off.
//
// Invariants:
//   - Thoughts come before the answer. A tag in the answer is text.
//   - What a Splitter returns is what it was given, in order, but for the tags and the white space around them.
//   - A Splitter holds back no more than white space and what may yet become a tag.
package thinking
