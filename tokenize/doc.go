// Package tokenize turns text into token ids and back, for the byte-level and the SentencePiece-style BPE families: the
// whole format of Hugging Face's tokenizer.json but what Parse refuses by name.
//
// Invariants:
//
//   - Ids and decoded texts equal those of the Python package tokenizers 0.23 for every string. A text that is not UTF-8
//     is read as Python's decode(errors="replace") makes it.
//   - Encode takes time linear in the text, n log n in the longest piece. A pattern that is not known (pattern.go) runs in
//     regexp2, a second a match at most; behind a match that takes longer, the rest of the text counts as one gap.
//   - No input ends the process, nor does any file: Parse returns an error.
//   - Text from outside never becomes a control token where Options say so.
//   - A Tokenizer does not change after Parse. Encode allocates its result and nothing a token; its cache is bounded.
//   - A Stream's texts, put together, are the decoded whole, and none ends inside a code point.
//
// # The way of a text
//
// Added tokens that stand in it cut it into segments (added.go). Each is normalized (normalize.go, normalform.go), cut
// again at added tokens that are looked for in normalized text, cut into pieces by the pre-tokenizer (pretokenize.go;
// the patterns of published models by hand, split_words.go), and each piece goes through byte-pair encoding (bpe.go,
// merge.go). Long texts and batches go to all processors (parallel.go). decode.go is the way back.
//
// The truncation and padding that a file may name are not applied: they belong to batches for training.
package tokenize
