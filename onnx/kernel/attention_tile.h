// What attention.c and its kernels share: a tile is adjacent rows of queries of one sequence that read the same KV head. A row is one query
// head of one token; rows are ordered by token.
#ifndef ORTSERVE_ATTENTION_TILE_H
#define ORTSERVE_ATTENTION_TILE_H

#include "attention.h"

enum {
	BLOCK = 256,   // keys whose softmax is computed together
	TILE = 64,     // most rows of a tile
	STRIP = 64,    // most keys that are packed at once; values that stay in the first cache
	MAX_SIZE = 512 // of a head
};

typedef struct {
	const attention *a;
	const float *query; // [rows, padded], with rotary embedding, times scale and log2(e)
	int64_t first, rows, group, padded, past;
	const char *key, *value; // of the head
} tile;

// state is a softmax that is not divided by its sum: of the keys seen so far output = sum of 2^(s-max)*value.
typedef struct {
	float *max, *sum; // [rows]
	float *output;    // [rows, padded]
} state;

// kernels are the loops over numbers, for one set of instructions.
typedef struct {
	// prepare stores key and value of a token, and its queries as tiles have them: row g of KV head h is at query[h*query_stride + g*padded].
	void (*prepare)(const attention *a, int64_t b, int64_t row, int64_t position, const float *q, const float *k, const float *v, float *query, int64_t query_stride, int64_t padded);
	// block computes the state of the keys [block*BLOCK, (block+1)*BLOCK) alone. Rows that see none get a sum of 0. Space has block_space() floats.
	void (*block)(const tile *t, int64_t block, state s, float *space);
	// merge adds the state of the next block.
	void (*merge)(state s, state next, int64_t rows, int64_t padded);
	// finish writes the output of a row.
	void (*finish)(const attention *a, const float *output, float sum, const float *value_scale, float *dst);
} attention_kernels;

extern const attention_kernels attention_avx2, attention_avx512;

static inline int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

// block_space is the floats that block needs: packed keys or widened values, and scores.
static inline size_t block_space(int64_t rows, int64_t padded) { return (size_t)(STRIP * padded + rows * BLOCK); }

// seen gives the keys [*from, *to) that row r of a tile sees, counted from the beginning of the block.
static inline void seen(const tile *t, int64_t r, int64_t block, int64_t *from, int64_t *to) {
	int64_t end = t->past + (t->first + r) / t->group + 1;
	int64_t begin = t->a->window > 0 ? max64(0, end - t->a->window) : 0;
	*from = min64(max64(begin - block * BLOCK, 0), BLOCK);
	*to = min64(max64(end - block * BLOCK, 0), BLOCK);
}

static inline size_t kv_bytes(int kv) { return kv == KV_FLOAT32 ? 4 : kv == KV_FLOAT16 ? 2 : 1; }

#endif
