// GroupQueryAttention on the processor: what is computed when, and by which thread. The loops over numbers are in attention_loops.h.
//
// The order of the sums of one query does not depend on anything but its position: keys are taken in blocks of 256 positions, counted from 0.
// A block gives its own softmax and its own weighted sum of values; blocks are merged in order. So a token's output has the same bits whether
// it is computed alone or in a chunk, in any batch, by any number of threads.
//
// A KV head is read once for all query heads of its group and for all new tokens in a tile. Where there are few tiles, as in decoding, blocks
// are shared out among threads; whoever finishes the last block of a tile merges all of them.

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "attention_tile.h"
#include "kernel.h"

enum {
	WORKERS = 64,  // most threads that work on a call
	FEW = 32,      // tiles below which blocks are shared out
	ALONE = 8      // most tokens that one thread prepares
};

#define MOST_PARTS ((size_t)64 << 20) // bytes of blocks that are not merged yet

// plan is how a call is computed.
typedef struct {
	const attention *a;
	const attention_kernels *k;
	parallel pool;
	int64_t group, padded, tile_rows, tiles; // tiles: of a sequence and a KV head
	int64_t parts;                           // blocks that are shared out; 0: none are
	size_t space, part;                      // floats of a worker, of a part
	float *query, *workers, *partial;
	int64_t *first_part; // of a sequence and a tile [batch*tiles+1], KV heads in between
	atomic_int *left;    // parts of a sequence, a tile and a KV head that are not computed yet
	atomic_size_t next, worker;
} plan;

static int64_t past(const attention *a, int64_t b) {
	return a->tokens == a->total ? 0 : a->lengths[b] + 1 - a->tokens;
}

// new_tokens returns how many tokens of row b are no padding.
static int64_t new_tokens(const attention *a, int64_t b) { return min64(a->lengths[b] + 1 - past(a, b), a->tokens); }

static int64_t tile_begin(const plan *p, int64_t i) { return i * p->tile_rows; }
static int64_t tile_end(const plan *p, int64_t b, int64_t i) { return min64((i + 1) * p->tile_rows, new_tokens(p->a, b) * p->group); }

// blocks gives the blocks that a tile sees. It has none where its tokens are padding.
static void blocks(const plan *p, int64_t b, int64_t i, int64_t *from, int64_t *to) {
	int64_t begin = tile_begin(p, i), end = tile_end(p, b, i);
	*from = *to = 0;
	if (begin >= end) return;
	int64_t first = past(p->a, b) + begin / p->group + 1, last = past(p->a, b) + (end - 1) / p->group + 1;
	if (p->a->window > 0) *from = max64(0, first - p->a->window) / BLOCK;
	*to = (last + BLOCK - 1) / BLOCK;
}

const char *attention_check(const attention *a) {
	if (a->batch < 1 || a->tokens < 1) return "it has no tokens";
	if (a->size < 8 || a->size % 8 || a->size > MAX_SIZE) return "the size of a head is no multiple of 8 up to 512";
	if (a->kv_heads < 1 || a->heads % a->kv_heads) return "the query heads are no multiple of the KV heads";
	if (a->turned % 16 || a->turned > a->size) return "the rotary caches are wider than a head, or no multiple of 8";
	if (a->turned && a->total > a->positions) return "total_sequence_length is beyond the rotary caches";
	if (a->total > a->rows) return "total_sequence_length is beyond the rows of present";
	for (int64_t b = 0; b < a->batch; b++) {
		int64_t length = (int64_t)a->lengths[b] + 1;
		if (length < 1 || length > a->total) return "a number of seqlens_k is below 0, or not below total_sequence_length";
		if (past(a, b) < 0) return "a number of seqlens_k is below the new tokens";
		if (past(a, b) > a->past_rows) return "the past is shorter than seqlens_k says";
		for (int64_t t = 0; t < a->tokens && a->position_ids && a->turned; t++) {
			int64_t at = a->position_ids[b * a->tokens + t];
			if (at < 0 || at >= a->positions) return "a position is beyond the rotary caches";
		}
	}
	// Of a prompt without a past the first position counts, see prepare_token.
	if (a->position_ids && a->turned && a->tokens == a->total && a->position_ids[0] > a->positions - a->tokens) return "a position is beyond the rotary caches";
	return NULL;
}

static size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

// state_floats is what a state of so many rows needs, rounded to lines of the cache.
static size_t state_floats(int64_t rows, int64_t padded) { return round_up((size_t)(rows * (padded + 2)), 16); }

static state state_at(float *p, int64_t rows, int64_t padded) { return (state){p + rows * padded, p + rows * (padded + 1), p}; }

// lay fills in a plan. It returns the bytes of memory that it takes from scratch on.
static size_t lay(plan *p, const attention *a, char *scratch) {
	*p = (plan){.a = a, .group = a->heads / a->kv_heads, .padded = (int64_t)round_up((size_t)a->size, 16)};
	p->tile_rows = min64(TILE, a->tokens * p->group);
	p->tiles = (a->tokens * p->group + p->tile_rows - 1) / p->tile_rows;
	p->part = state_floats(p->tile_rows, p->padded);
	p->space = round_up(block_space(p->tile_rows, p->padded), 16) + 2 * p->part;
	const int64_t each = a->batch * p->tiles;
	int64_t parts = 0, tasks = each * a->kv_heads, from, to;
	for (int64_t i = 0; i < each && tasks < FEW; i++) {
		blocks(p, i / p->tiles, i % p->tiles, &from, &to);
		parts += (to - from) * a->kv_heads;
	}
	if (parts > tasks && (size_t)parts * p->part * sizeof(float) <= MOST_PARTS) p->parts = tasks = parts;

	size_t at = 0;
#define TAKE(field, n) p->field = (void *)(scratch + at); at = round_up(at + (size_t)(n) * sizeof *p->field, 64)
	TAKE(query, a->batch * a->kv_heads * a->tokens * p->group * p->padded);
	TAKE(workers, (size_t)min64(tasks, WORKERS) * p->space);
	TAKE(partial, (size_t)p->parts * p->part);
	TAKE(first_part, p->parts ? each + 1 : 0);
	TAKE(left, p->parts ? each * a->kv_heads : 0);
#undef TAKE
	return at;
}

size_t attention_scratch(const attention *a) {
	plan p;
	return lay(&p, a, NULL);
}

// query_at returns the prepared queries of a KV head, [tokens*group, padded].
static float *query_at(const plan *p, int64_t b, int64_t h) {
	return p->query + (b * p->a->kv_heads + h) * p->a->tokens * p->group * p->padded;
}

// prepare_token does what comes before the sums, for one token of one row. Padding gets zeros.
static void prepare_token(void *data, size_t i) {
	const plan *p = data;
	const attention *a = p->a;
	const int64_t b = (int64_t)i / a->tokens, t = (int64_t)i % a->tokens, row = past(a, b) + t;
	if (t >= new_tokens(a, b)) {
		memset(a->output + (int64_t)i * a->heads * a->size, 0, (size_t)(a->heads * a->size) * sizeof(float));
		return;
	}
	// Of a prompt without a past the first position counts, and of the first row: so does ONNX Runtime's operator.
	int64_t position = !a->position_ids ? row : a->tokens == a->total ? a->position_ids[0] + t : a->position_ids[i];
	p->k->prepare(a, b, row, position, a->query + (int64_t)i * a->query_stride, a->key + (int64_t)i * a->key_stride, a->value + (int64_t)i * a->value_stride,
		query_at(p, b, 0) + t * p->group * p->padded, a->tokens * p->group * p->padded, p->padded);
}

// copy_past fills the present of one head where it is not the past: with the past, then with zeros.
static void copy_past(void *data, size_t i) {
	const plan *p = data;
	const attention *a = p->a;
	const size_t row = (size_t)a->size * kv_bytes(a->kv), old = (size_t)past(a, (int64_t)i / a->kv_heads) * row;
	const size_t from = i * (size_t)a->past_rows * row, to = i * (size_t)a->rows * row, all = (size_t)a->rows * row;
	const void *src[] = {a->past_key, a->past_value};
	void *dst[] = {a->present_key, a->present_value};
	for (int side = 0; side < 2; side++) {
		if (old) memcpy((char *)dst[side] + to, (const char *)src[side] + from, old);
		memset((char *)dst[side] + to + old, 0, all - old);
	}
}

static tile tile_of(const plan *p, int64_t b, int64_t h, int64_t i) {
	const attention *a = p->a;
	const int64_t begin = tile_begin(p, i), head = (b * a->kv_heads + h) * a->rows * a->size * (int64_t)kv_bytes(a->kv);
	return (tile){a, query_at(p, b, h) + begin * p->padded, begin, tile_end(p, b, i) - begin, p->group, p->padded, past(a, b),
		(const char *)a->present_key + head, (const char *)a->present_value + head};
}

// finish_tile writes the output of a tile.
static void finish_tile(const plan *p, const tile *t, int64_t b, int64_t h, state s) {
	const attention *a = p->a;
	for (int64_t r = 0; r < t->rows; r++) {
		int64_t token = (t->first + r) / p->group, head = h * p->group + (t->first + r) % p->group;
		p->k->finish(a, s.output + r * p->padded, s.sum[r], a->kv == KV_INT8 ? a->value_scale + h * a->size : NULL,
			a->output + ((b * a->tokens + token) * a->heads + head) * a->size);
	}
}

// whole_tile computes a tile block by block. The last tiles of a prompt see the most keys, so they come first.
static void whole_tile(plan *p, int64_t i, float *space) {
	const int64_t heads = p->a->batch * p->a->kv_heads, n = p->tiles - 1 - i / heads, b = i % heads / p->a->kv_heads, h = i % p->a->kv_heads;
	int64_t from, to;
	blocks(p, b, n, &from, &to);
	if (from == to) return;
	tile t = tile_of(p, b, h, n);
	state all = state_at(space, t.rows, p->padded), one = state_at(space + p->part, t.rows, p->padded);
	for (int64_t block = from; block < to; block++) {
		p->k->block(&t, block, block == from ? all : one, space + 2 * p->part);
		if (block > from) p->k->merge(all, one, t.rows, p->padded);
	}
	finish_tile(p, &t, b, h, all);
}

// one_part computes a block of a tile, and merges the tile's blocks if it was the last to be computed.
static void one_part(plan *p, int64_t i, float *space) {
	int64_t each = 0, from, to;
	while (p->first_part[each + 1] <= i) each++;
	const int64_t b = each / p->tiles, n = each % p->tiles, first = p->first_part[each], count = (p->first_part[each + 1] - first) / p->a->kv_heads;
	const int64_t h = (i - first) / count;
	blocks(p, b, n, &from, &to);
	tile t = tile_of(p, b, h, n);
	float *parts = p->partial + (size_t)(first + h * count) * p->part;
	p->k->block(&t, from + (i - first) % count, state_at(p->partial + (size_t)i * p->part, t.rows, p->padded), space);
	if (atomic_fetch_sub_explicit(&p->left[each * p->a->kv_heads + h], 1, memory_order_acq_rel) > 1) return;
	state all = state_at(parts, t.rows, p->padded);
	for (int64_t k = 1; k < count; k++) p->k->merge(all, state_at(parts + (size_t)k * p->part, t.rows, p->padded), t.rows, p->padded);
	finish_tile(p, &t, b, h, all);
}

// work takes tasks until there are none.
static void work(void *data, size_t call) {
	plan *p = data;
	(void)call;
	const size_t tasks = (size_t)(p->parts ? p->parts : p->a->batch * p->tiles * p->a->kv_heads);
	float *space = NULL;
	for (size_t i; (i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed)) < tasks;) {
		if (!space) space = p->workers + atomic_fetch_add_explicit(&p->worker, 1, memory_order_relaxed) * p->space;
		if (p->parts) one_part(p, (int64_t)i, space);
		else whole_tile(p, (int64_t)i, space);
	}
}

void attention_run(const attention *a, void *scratch, parallel pool, int isa) {
	plan p;
	lay(&p, a, scratch);
#if defined(__x86_64__)
	p.k = isa == ISA_AVX512 ? &attention_avx512 : &attention_avx2;
#else
	(void)isa;
	abort(); // is never asked for
#endif
	if (a->past_key != a->present_key || a->past_value != a->present_value) pool.run(pool.pool, copy_past, (size_t)(a->batch * a->kv_heads), &p);
	const size_t tokens = (size_t)(a->batch * a->tokens);
	if (tokens > ALONE) pool.run(pool.pool, prepare_token, tokens, &p);
	else for (size_t i = 0; i < tokens; i++) prepare_token(&p, i);
	if (p.parts) {
		p.first_part[0] = 0;
		for (int64_t i = 0; i < a->batch * p.tiles; i++) {
			int64_t from, to;
			blocks(&p, i / p.tiles, i % p.tiles, &from, &to);
			for (int64_t h = 0; h < a->kv_heads; h++) atomic_init(&p.left[i * a->kv_heads + h], (int)(to - from));
			p.first_part[i + 1] = p.first_part[i] + (to - from) * a->kv_heads;
		}
	}
	const int64_t tasks = p.parts ? p.parts : a->batch * p.tiles * a->kv_heads;
	if (tasks == 1) work(&p, 0);
	else pool.run(pool.pool, work, (size_t)min64(tasks, WORKERS), &p);
}
