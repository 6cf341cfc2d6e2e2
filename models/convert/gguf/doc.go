// Package gguf reads GGUF files, versions 2 and 3, little-endian (docs/gguf.md of ggml-org/ggml): metadata, the list of
// tensors, and their values as float32.
//
// A file may come from anywhere. Every length is checked against what is left of the file before memory is taken for
// it, nothing panics, and what does not fit is an error that names it.
package gguf
