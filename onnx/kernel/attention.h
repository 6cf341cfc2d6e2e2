// GroupQueryAttention on the processor. See attention.c for the order of its sums.
#ifndef ORTSERVE_ATTENTION_H
#define ORTSERVE_ATTENTION_H

#include <stddef.h>
#include <stdint.h>

enum attention_kv { KV_FLOAT32, KV_FLOAT16, KV_INT8 };

// attention is one call. Sizes are numbers of elements, tensors are dense but for the strides that are named.
typedef struct {
	int64_t batch, tokens, heads, kv_heads, size; // size of a head, a multiple of 8
	int64_t past_rows, rows;                      // of a head in past and present
	int64_t total;                                // total_sequence_length: at most rows; equal to tokens where there is no past
	int64_t positions, turned;                    // cos and sin are [positions, turned/2], turned a multiple of 16; 0: no rotary embedding
	int64_t query_stride, key_stride, value_stride; // from token to token
	int64_t window;                                // keys that a query sees, its own included; 0: all
	float scale;
	int32_t kv, interleaved;
	const float *query, *key, *value;
	const int32_t *lengths; // seqlens_k [batch]: the tokens of a row, new ones included, less one
	const float *cos, *sin;
	const int64_t *position_ids;            // [batch, tokens], or NULL: tokens are where they are stored
	const float *key_scale, *value_scale;   // of KV_INT8: [kv_heads, size]
	const void *past_key, *past_value;      // [batch, kv_heads, past_rows, size]; the same pointers as present: nothing is copied
	void *present_key, *present_value;      // [batch, kv_heads, rows, size]
	float *output;                          // [batch, tokens, heads*size]
} attention;

// parallel calls task(data, i) for i in [0, n), perhaps at once, and returns when all have.
typedef struct {
	void (*run)(void *pool, void (*task)(void *data, size_t i), size_t n, void *data);
	void *pool;
} parallel;

// attention_check says what is wrong with the arguments, or NULL.
const char *attention_check(const attention *a);

// attention_scratch returns the bytes of memory that a call needs beside its arguments.
size_t attention_scratch(const attention *a);

// attention_run computes a call that was checked. Scratch is aligned to 64 bytes. All instruction sets (enum isa) give the same
// bits.
void attention_run(const attention *a, void *scratch, parallel p, int isa);

#endif
