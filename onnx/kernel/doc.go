// Package kernel has operators of our own for ONNX Runtime on the processor, in C: those that take nearly all of a step's time, faster than
// ONNX Runtime's. The onnx package puts them in the place of ONNX Runtime's nodes when it loads a graph; the file stays what it is.
//
// PackedMatMulNBits, domain "ortserve", computes what MatMulNBits of the domain "com.microsoft" does at accuracy level 4 (int8 activations,
// quantized by row and block): y[M,N] = x[M,K] · w[N,K]ᵀ + bias[N], with weights of 4 or 8 bits in blocks along K. See matmul.h.
//
// GroupQueryAttention and GroupQueryAttentionInt8 compute what GroupQueryAttention of "com.microsoft" does with a cache of float32 or int8,
// for any batch with any number of new tokens. See attention.h and attention.c.
//
// Invariants:
//   - A row's result has the same bits whatever rows stand beside it, however many threads compute and with every instruction set: sums
//     within a block of weights are of integers, exact in any order, and blocks are added in the order of K. A token's attention is summed
//     in the order of positions, whatever the run that it is in.
//   - Which instructions are used is chosen at run time (Best); what is compiled runs on any processor. Where there is no kernel,
//     ONNX Runtime's own nodes stay.
//   - Nothing here is Go's at run time: ONNX Runtime calls C, on its own threads.
//   - The package imports nothing of ours. It knows ONNX Runtime by its table of functions alone (ort.h).
package kernel
