// Package models knows model directories: what a directory says of its model, and where models are kept.
//
// A model directory is what the ecosystem's exporters write: a graph (model.onnx and its external data),
// genai_config.json and/or config.json, tokenizer.json, tokenizer_config.json, chat_template.jinja,
// generation_config.json. Nothing in it is executed or trusted: numbers are checked, sizes are limited.
//
// Invariants:
//   - A *Model is never changed after it was returned; it may be shared.
//   - Names are checked before they become paths, and the store reads through an os.Root: no name and no symbolic link
//     leads out of the store.
//   - A directory under the store's root whose name begins with a dot is not a model: imports and downloads are
//     prepared there and renamed when complete.
package models
