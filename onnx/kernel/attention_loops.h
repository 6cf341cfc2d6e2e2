// The loops of attention over numbers. attention_avx2.c and attention_avx512.c include this after defining vec, its width LANES, the
// operations v_*, and the shape of register tiles: KEYS vectors of keys, COLUMNS vectors of a value. Whatever the width and the shape, an
// element of a result is the same sequence of operations:
//   score = sum over d, in order, of fma(q[d], k[d]); 2^x by exp2_of; the sum of a block in 16 lanes, then halves; output = sum over keys, in
//   order, of fma(p, v). No product is added to something but by a fused operation, so a compiler has nothing to fuse.

#include <math.h>
#include <string.h>

#include "attention_tile.h"

#define PACKED (KEYS * LANES)
#define AHEAD 4 // of the keys being packed, in vectors: what the memory is asked for
#define FLAT static inline __attribute__((always_inline)) // its constant arguments shape its loops

// exp2_of returns 2^x for x <= 0, relative error below 2^-23; 0 below -125.
FLAT vec exp2_of(vec x) {
	vec n = v_round(x), f = v_sub(x, n);
	vec p = v_set(0.00015353362f);
	p = v_fma(p, f, v_set(0.0013398874f));
	p = v_fma(p, f, v_set(0.009618437f));
	p = v_fma(p, f, v_set(0.055503324f));
	p = v_fma(p, f, v_set(0.24022648f));
	p = v_fma(p, f, v_set(0.6931472f));
	p = v_fma(p, f, v_set(1));
	return v_zero_below(x, -125, v_times_power(p, n));
}

static inline float exp2_one(float x) {
	float all[LANES];
	v_store(all, exp2_of(v_set(x)));
	return all[0];
}

// turn writes x with the rotary embedding of a position, times scale.
static void turn(float *dst, const float *x, const attention *a, int64_t position, float scale) {
	int64_t half = a->turned / 2;
	const float *c = a->cos + position * half, *s = a->sin + position * half;
	int64_t step = a->interleaved ? 2 : 1, apart = a->interleaved ? 1 : half;
	for (int64_t i = 0; i < half; i++) {
		float u = x[i * step], v = x[i * step + apart];
		dst[i * step] = fmaf(u, c[i], -(v * s[i])) * scale;
		dst[i * step + apart] = fmaf(u, s[i], v * c[i]) * scale;
	}
	for (int64_t i = a->turned; i < a->size; i++) dst[i] = x[i] * scale;
}

// put stores a row of the cache.
static void put(const attention *a, void *cache, int64_t row, const float *x, const float *scale) {
	if (a->kv == KV_FLOAT32) {
		memcpy((float *)cache + row * a->size, x, (size_t)a->size * sizeof *x);
	} else if (a->kv == KV_FLOAT16) {
		const __m256 most = _mm256_set1_ps(65504), least = _mm256_set1_ps(-65504); // what is larger would be infinite
		for (int64_t i = 0; i < a->size; i += 8) {
			__m256 v = _mm256_max_ps(least, _mm256_min_ps(most, _mm256_loadu_ps(x + i)));
			_mm_storeu_si128((__m128i *)((uint16_t *)cache + row * a->size + i), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
		}
	} else {
		int8_t *dst = (int8_t *)cache + row * a->size;
		for (int64_t i = 0; i < a->size; i++) {
			float v = rintf(x[i] / scale[i]);
			dst[i] = (int8_t)(v > 127 ? 127 : v > -128 ? v : -128);
		}
	}
}

static void prepare(const attention *a, int64_t b, int64_t row, int64_t position, const float *q, const float *k, const float *v, float *query, int64_t query_stride, int64_t padded) {
	int64_t group = a->heads / a->kv_heads;
	float scale = a->scale * 1.44269504f, turned[MAX_SIZE];
	for (int64_t h = 0; h < a->kv_heads; h++) {
		const float *key_scale = a->key_scale ? a->key_scale + h * a->size : NULL;
		for (int64_t g = 0; g < group; g++) {
			float *dst = query + h * query_stride + g * padded;
			turn(dst, q + (h * group + g) * a->size, a, position, scale);
			if (a->kv == KV_INT8) {
				for (int64_t i = 0; i < a->size; i++) dst[i] *= key_scale[i]; // instead of each key
			}
			for (int64_t i = a->size; i < padded; i++) dst[i] = 0;
		}
		turn(turned, k + h * a->size, a, position, 1);
		int64_t at = (b * a->kv_heads + h) * a->rows + row;
		put(a, a->present_key, at, turned, key_scale);
		put(a, a->present_value, at, v + h * a->size, a->value_scale ? a->value_scale + h * a->size : NULL);
	}
}

// load reads numbers [i, i+LANES) of a row of the cache; those from size on are 0.
FLAT vec load(int kv, const char *row, int64_t i, int64_t size) {
	if (kv == KV_FLOAT32) return v_load_first((const float *)row + i, size - i);
	if (kv == KV_FLOAT16) return v_load_half((const uint16_t *)row + i, size - i);
	return v_load_int8((const int8_t *)row + i, size - i);
}

// widen_of writes n rows of the cache as float32 [n, size].
FLAT void widen_of(const int kv, float *dst, const char *src, int64_t n, int64_t size) {
	for (int64_t i = 0; i < n * size; i += LANES) v_store(dst + i, load(kv, src, i, n * size));
}

// square turns four vectors of pieces of 16 bytes, of rows r, r+4 ..., into four of one number of 4 bytes, of LANES rows in order.
static inline void square(vec x[4]) {
	vec a = v_low(x[0], x[1]), b = v_high(x[0], x[1]), c = v_low(x[2], x[3]), d = v_high(x[2], x[3]);
	x[0] = v_low_pair(a, c), x[1] = v_high_pair(a, c), x[2] = v_low_pair(b, d), x[3] = v_high_pair(b, d);
}

// Packed keys are [size, PACKED] float32. Float16, where few rows read them, stay what they are, [size/2, KEYS, 2, LANES]: to widen them once
// more for each row takes less time than to write twice as much.

// pack_rows packs LANES rows as keys of one vector.
FLAT void pack_rows(const int kv, char *dst, const char *src, int64_t bytes, int64_t key) {
	for (int64_t i = 0; i < bytes; i += 16) {
		vec x[4];
		for (int j = 0; j < LANES / 4; j++) __builtin_prefetch(src + AHEAD * LANES * bytes + i * LANES + j * 64); // harmless where nothing is
#pragma GCC unroll 4
		for (int r = 0; r < 4; r++) x[r] = v_pieces(src + i + r * bytes, 4 * bytes);
		square(x);
#pragma GCC unroll 4
		for (int r = 0; r < 4; r++) {
			if (kv == KV_FLOAT32) v_store((float *)dst + (i / 4 + r) * PACKED + key, x[r]);
			else v_store((float *)dst + (i / 4 + r) * PACKED + key, v_split(x[r]));
		}
	}
}

// pack_of packs keys [0, n) of the rows at src. What is beyond is not read, and what is packed for it means nothing.
FLAT void pack_of(const int kv, const int many, char *dst, const char *src, int64_t n, int64_t size) {
	const int64_t bytes = size * (int64_t)kv_bytes(kv);
	for (int64_t key = 0; key < PACKED && key < n; key += LANES, src += LANES * bytes) {
		const int64_t rows = min64(LANES, n - key);
		if (kv == KV_INT8 || many || rows < LANES) {
			float copy[LANES * MAX_SIZE];
			if (kv == KV_INT8 || many) widen_of(kv, copy, src, rows, size);
			else memcpy(copy, src, (size_t)(rows * bytes));
			if (kv == KV_FLOAT16 && !many) pack_rows(KV_FLOAT16, dst, (const char *)copy, bytes, key);
			else pack_rows(KV_FLOAT32, dst, (const char *)copy, size * 4, key);
		} else {
			pack_rows(kv, dst, src, bytes, key);
		}
	}
}

// scores writes those of R rows and PACKED keys, which are float16 where half says so.
FLAT void scores(const int half, const float *query, int64_t padded, const char *packed, int64_t size, float *dst, const int R) {
	vec sum[4][KEYS];
#pragma GCC unroll 4
	for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
		for (int k = 0; k < KEYS; k++) sum[r][k] = v_set(0);
	}
	for (int64_t d = 0; d < size; d += 2) {
#pragma GCC unroll 2
		for (int e = 0; e < 2; e++) {
			vec key[KEYS];
#pragma GCC unroll 4
			for (int k = 0; k < KEYS; k++) {
				if (half) key[k] = v_load_half((const uint16_t *)packed + d * PACKED + (k * 2 + e) * LANES, LANES);
				else key[k] = v_load((const float *)packed + (d + e) * PACKED + k * LANES);
			}
#pragma GCC unroll 4
			for (int r = 0; r < R; r++) {
				vec q = v_set(query[r * padded + d + e]);
#pragma GCC unroll 4
				for (int k = 0; k < KEYS; k++) sum[r][k] = v_fma(q, key[k], sum[r][k]);
			}
		}
	}
#pragma GCC unroll 4
	for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
		for (int k = 0; k < KEYS; k++) v_store(dst + r * BLOCK + k * LANES, sum[r][k]);
	}
}

#define EACH_ROWS(n, call) switch (n) { case 1: call(1); break; case 2: call(2); break; case 3: call(3); break; default: call(4); }

// softmax turns the scores [from, to) of a row into powers of two, less their largest.
static void softmax(float *score, int64_t from, int64_t to, float *max, float *sum) {
	int64_t begin = from & ~(int64_t)15, end = (to + 15) & ~(int64_t)15;
	for (int64_t i = begin; i < from; i++) score[i] = -INFINITY;
	for (int64_t i = to; i < end; i++) score[i] = -INFINITY;
	vec most = v_load(score + begin);
	for (int64_t i = begin + LANES; i < end; i += LANES) most = v_max(most, v_load(score + i));
	float all[16];
	v_store(all, most);
	float m = all[0];
	for (int i = 1; i < LANES; i++) m = all[i] > m ? all[i] : m;
	vec less = v_set(m), total[16 / LANES];
	for (int k = 0; k < 16 / LANES; k++) total[k] = v_set(0);
	for (int64_t i = begin; i < end; i += 16) {
#pragma GCC unroll 2
		for (int k = 0; k < 16 / LANES; k++) {
			vec p = exp2_of(v_sub(v_load(score + i + k * LANES), less));
			v_store(score + i + k * LANES, p);
			total[k] = v_add(total[k], p);
		}
	}
	for (int k = 0; k < 16 / LANES; k++) v_store(all + k * LANES, total[k]);
	for (int width = 8; width; width /= 2) {
		for (int i = 0; i < width; i++) all[i] += all[i + width];
	}
	*max = m, *sum = all[0];
}

// weigh adds n values, each times its power, to W vectors of R rows of output, from number i of a value on.
FLAT void weigh(float *output, int64_t padded, const float *power, const char *value, int64_t bytes, int64_t n, int64_t i, int64_t size, const int kv, const int R, const int W) {
	vec sum[4][COLUMNS];
#pragma GCC unroll 4
	for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
		for (int w = 0; w < W; w++) sum[r][w] = v_load(output + r * padded + i + w * LANES);
	}
	for (int64_t key = 0; key < n; key++) {
		vec v[COLUMNS];
#pragma GCC unroll 4
		for (int w = 0; w < W; w++) __builtin_prefetch(value + (key + 16) * bytes + (i + w * LANES) * (int64_t)kv_bytes(kv));
#pragma GCC unroll 4
		for (int w = 0; w < W; w++) v[w] = load(kv, value + key * bytes, i + w * LANES, size);
#pragma GCC unroll 4
		for (int r = 0; r < R; r++) {
			vec p = v_set(power[r * BLOCK + key]);
#pragma GCC unroll 4
			for (int w = 0; w < W; w++) sum[r][w] = v_fma(p, v[w], sum[r][w]);
		}
	}
#pragma GCC unroll 4
	for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
		for (int w = 0; w < W; w++) v_store(output + r * padded + i + w * LANES, sum[r][w]);
	}
}

// weigh_of is weigh for whole rows of output.
FLAT void weigh_of(const int kv, float *output, int64_t padded, const float *power, const char *value, int64_t n, int64_t size, int64_t rows) {
	int64_t bytes = (int64_t)kv_bytes(kv) * size;
	for (int64_t i = 0; i < size; i += COLUMNS * LANES) {
		int64_t left = (size - i + LANES - 1) / LANES;
#define WEIGH(R) \
	if (left >= COLUMNS) weigh(output, padded, power, value, bytes, n, i, size, kv, R, COLUMNS); \
	else if (left == 3 && COLUMNS > 3) weigh(output, padded, power, value, bytes, n, i, size, kv, R, COLUMNS > 3 ? 3 : 1); \
	else if (left == 2 && COLUMNS > 2) weigh(output, padded, power, value, bytes, n, i, size, kv, R, COLUMNS > 2 ? 2 : 1); \
	else weigh(output, padded, power, value, bytes, n, i, size, kv, R, 1)
		EACH_ROWS(rows, WEIGH)
#undef WEIGH
	}
}

// typed are the loops that read the cache, for one type of numbers. Packed_many is for tiles of many rows.
typedef struct {
	void (*pack)(char *dst, const char *src, int64_t n, int64_t size);
	void (*pack_many)(char *dst, const char *src, int64_t n, int64_t size);
	void (*widen)(float *dst, const char *src, int64_t n, int64_t size);
	void (*weigh)(float *output, int64_t padded, const float *power, const char *value, int64_t n, int64_t size, int64_t rows);
} typed;

#define TYPED(kv, type) \
	static void pack_##type(char *dst, const char *src, int64_t n, int64_t size) { pack_of(kv, 0, dst, src, n, size); } \
	static void __attribute__((unused)) pack_many_##type(char *dst, const char *src, int64_t n, int64_t size) { pack_of(kv, 1, dst, src, n, size); } \
	static void widen_##type(float *dst, const char *src, int64_t n, int64_t size) { widen_of(kv, dst, src, n, size); } \
	static void weigh_##type(float *output, int64_t padded, const float *power, const char *value, int64_t n, int64_t size, int64_t rows) { \
		weigh_of(kv, output, padded, power, value, n, size, rows); \
	}
TYPED(KV_FLOAT32, float32)
TYPED(KV_FLOAT16, float16)
TYPED(KV_INT8, int8)
static const typed types[] = {
	{pack_float32, pack_float32, widen_float32, weigh_float32},
	{pack_float16, pack_many_float16, widen_float16, weigh_float16},
	{pack_int8, pack_int8, widen_int8, weigh_int8},
};

static void scores_wide(const float *query, int64_t padded, const char *packed, int64_t size, float *dst, int64_t rows) {
#define SCORES(R) scores(0, query, padded, packed, size, dst, R)
	EACH_ROWS(rows, SCORES)
#undef SCORES
}

static void scores_half(const float *query, int64_t padded, const char *packed, int64_t size, float *dst, int64_t rows) {
#define SCORES(R) scores(1, query, padded, packed, size, dst, R)
	EACH_ROWS(rows, SCORES)
#undef SCORES
}

static void block(const tile *t, int64_t block, state s, float *space) {
	const int kv = t->a->kv, many = kv != KV_FLOAT32 && t->rows > 8; // then values are widened once
	const int64_t size = t->a->size, padded = t->padded, bytes = size * (int64_t)kv_bytes(kv), rows = t->rows;
	const char *key = t->key + block * BLOCK * bytes, *value = t->value + block * BLOCK * bytes;
	float *score = space + STRIP * padded;
	int64_t from[TILE] = {0}, to[TILE] = {0}; // the keys that a row sees; neither ever falls from row to row
	for (int64_t r = 0; r < rows; r++) seen(t, r, block, from + r, to + r);
	const int64_t first = from[0], last = to[rows - 1];
	for (int64_t at = first / PACKED * PACKED; at < last; at += PACKED) {
		(many ? types[kv].pack_many : types[kv].pack)((char *)space, key + at * bytes, last - at, size);
		for (int64_t r = 0; r < rows; r += 4) {
			int64_t n = min64(4, rows - r);
			if (from[r] >= at + PACKED || to[r + n - 1] <= at) continue;
			(kv == KV_FLOAT16 && !many ? scores_half : scores_wide)(t->query + r * padded, padded, (const char *)space, size, score + r * BLOCK + at, n);
		}
	}
	for (int64_t r = 0; r < rows; r++) {
		s.max[r] = -INFINITY, s.sum[r] = 0;
		if (from[r] < to[r]) softmax(score + r * BLOCK, from[r], to[r], s.max + r, s.sum + r);
	}
	memset(s.output, 0, (size_t)(rows * padded) * sizeof *s.output);
	for (int64_t at = first / STRIP * STRIP; at < last; at += STRIP) {
		const int64_t until = min64(at + STRIP, last), wide = many ? size * (int64_t)sizeof(float) : bytes;
		const char *values = many ? (const char *)space : value + at * bytes;
		const typed *use = &types[many ? KV_FLOAT32 : kv];
		if (many) types[kv].widen(space, value + at * bytes, until - at, size);
#define WEIGH(r, from, to, n) use->weigh(s.output + (r) * padded, padded, score + (r) * BLOCK + (from), values + ((from) - at) * wide, (to) - (from), size, n)
		for (int64_t r = 0; r < rows; r += 4) {
			// What all of these rows see they add up together, the rest each alone: a row adds nothing of a key that it does not see.
			const int64_t n = min64(4, rows - r);
			int64_t begin = min64(max64(from[r + n - 1], at), until), end = min64(max64(to[r], at), until);
			if (begin > end) begin = end = at;
			for (int64_t i = r; i < r + n; i++) {
				int64_t f = max64(from[i], at), e = min64(to[i], begin);
				if (f < e) WEIGH(i, f, e, 1);
			}
			if (begin < end) WEIGH(r, begin, end, n);
			for (int64_t i = r; i < r + n; i++) {
				int64_t f = max64(from[i], end), e = min64(to[i], until);
				if (f < e) WEIGH(i, f, e, 1);
			}
		}
#undef WEIGH
	}
}

static void merge(state s, state next, int64_t rows, int64_t padded) {
	for (int64_t r = 0; r < rows; r++) {
		float *o = s.output + r * padded;
		const float *x = next.output + r * padded;
		if (next.sum[r] == 0) continue;
		if (s.sum[r] == 0) {
			s.max[r] = next.max[r], s.sum[r] = next.sum[r];
			memcpy(o, x, (size_t)padded * sizeof *o);
			continue;
		}
		float max = s.max[r] > next.max[r] ? s.max[r] : next.max[r];
		float old = exp2_one(s.max[r] - max), new = exp2_one(next.max[r] - max);
		s.max[r] = max, s.sum[r] = fmaf(s.sum[r], old, next.sum[r] * new);
		for (int64_t i = 0; i < padded; i += LANES) v_store(o + i, v_fma(v_load(o + i), v_set(old), v_mul(v_load(x + i), v_set(new))));
	}
}

static void finish(const attention *a, const float *output, float sum, const float *value_scale, float *dst) {
	float part = 1 / sum;
	if (!value_scale) for (int64_t i = 0; i < a->size; i++) dst[i] = output[i] * part;
	else for (int64_t i = 0; i < a->size; i++) dst[i] = output[i] * part * value_scale[i];
}
