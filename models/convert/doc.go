// Package convert writes model directories from other formats: a GGUF file, or a Hugging Face folder of safetensors, becomes
// an ONNX graph with its weights, its tokenizer and the files that describe them, without Python.
//
// What holds:
//
//   - The directory appears whole or not at all: it is written beside its place and renamed. What an interrupted import
//     left is removed by the next one of the same name; two of one name at a time are refused.
//   - Weights stream: each processor reads, converts and writes some rows at a time, so memory does not grow with the file.
//   - Values are those of the file where the wanted form can hold them (Q8_0 in 8 bits and Q4_0 in 4 or 8, both in blocks
//     of 32); else rows are rounded anew, at 4 bits with the scales that lose least.
//   - A tensor, type or setting that would change the model's answers and is not understood is an error that names it.
package convert
