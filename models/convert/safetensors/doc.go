// Package safetensors reads safetensors files, single ones and those of a sharded model: a header in JSON that names tensors,
// their types, shapes and places, and their values after it (the format's description is in README.md of
// huggingface/safetensors).
//
// A file may come from anywhere. The header is bounded, every tensor must lie inside the file and on bytes of its own, names
// and files are checked before they are used; nothing panics, and what does not fit is an error that names it.
package safetensors
