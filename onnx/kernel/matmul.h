// The matrix product y[M,N] = x[M,K] · w[N,K]ᵀ with weights of 4 or 8 bits.
//
// w is stored as unsigned numbers in blocks along K: w = scale · (q - zero), scale and zero of the block. x is quantized likewise, by row and
// the same blocks: x = scale · q, q signed and of 8 bits. A block adds scale_x · scale_w · (Σ q_x·q_w - zero · Σ q_x) to y: the bracket is an
// exact integer, the products and sums around it are of float32, rounded once each, in the order of K.
//
// Packed weights: a strip has 16 outputs, one a lane, and is contiguous:
//   numbers  [K/8][16] words of 8 numbers (4 bits) or [K/4][16] of 4 (8 bits), K rounded up to whole blocks: the words of the original
//            matrix as they are. Of a 4-bit word the low halves of bytes are the even k, the high halves the odd.
//   scales   [blocks][16] float32
//   zeros    [blocks][16] uint8
//
// Packed rows: a group has up to GROUP rows and is contiguous too:
//   numbers  [K/4][rows] words of 4 numbers; for 4 bits two by two the even and the odd k of 8
//   scales   [blocks][rows] float32
//   sums     [blocks][rows] int32: Σ q_x in the low 16 bits, zeros above
#ifndef ORTSERVE_MATMUL_H
#define ORTSERVE_MATMUL_H

#include "kernel.h"

enum { LANES = 16 };

struct matmul {
	ort_api api;
	int isa, threads;
	int bits, block; // of a number; numbers of a block
	int64_t k, n;
	int64_t blocks, strips; // of a row of w; of 16 outputs
	size_t scales, zeros;   // where they begin in a strip
	size_t strip;           // bytes
	uint8_t *weights;
	float *bias; // [strips * 16], NULL where there is none
};

// A group of packed rows.
struct rows {
	int n;
	const int32_t *numbers;
	const float *scales;
	const int32_t *sums;
};

// matmul_pack_row quantizes a row of x into row i of a group of n.
typedef void matmul_pack_row(const struct matmul *, const float *x, int i, int n, int32_t *numbers, float *scales, int32_t *sums);

// matmul_tile computes strips [from, to) of a group's rows; y is the first row's result, whose rows lie m->n apart.
typedef void matmul_tile(const struct matmul *, const struct rows *, int64_t from, int64_t to, float *y);

// What an instruction set has.
struct matmul_kernel {
	int group; // most rows of a group
	matmul_pack_row *pack_row;
	matmul_tile *tile;
};
extern const struct matmul_kernel matmul_avx2, matmul_avx512;
matmul_pack_row matmul_pack_row_avx2; // for both

#endif
