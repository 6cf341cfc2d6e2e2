#include "matmul.h"
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx2,fma")))
#define INLINE static inline __attribute__((always_inline)) TARGET

INLINE float max_of(__m256 v) {
	__m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
	m = _mm_max_ps(m, _mm_movehl_ps(m, m));
	return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

// pack_block quantizes a block of x into words that lie n apart. It returns the scale and the sum of the quantized numbers.
INLINE float pack_block(const float *x, int block, int bits, int n, int32_t *words, int32_t *sum) {
	const __m256 absolute = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
	__m256 max = _mm256_setzero_ps();
	for (int k = 0; k < block; k += 8) max = _mm256_max_ps(max, _mm256_and_ps(absolute, _mm256_loadu_ps(x + k)));
	float most = max_of(max);
	__m256 inverse = _mm256_set1_ps(most > 0 ? 127 / most : 0);
	const __m128i even_odd = _mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, -1, -1, -1, -1, -1, -1, -1, -1);
	__m256i total = _mm256_setzero_si256();
	for (int k = 0; k < block; k += 8, words += 2 * n) {
		__m256i q = _mm256_cvtps_epi32(_mm256_mul_ps(inverse, _mm256_loadu_ps(x + k)));
		total = _mm256_add_epi32(total, q);
		__m128i bytes = _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
		bytes = _mm_packs_epi16(bytes, bytes);
		if (bits == 4) bytes = _mm_shuffle_epi8(bytes, even_odd);
		words[0] = _mm_extract_epi32(bytes, 0);
		words[n] = _mm_extract_epi32(bytes, 1);
	}
	__m128i half = _mm_add_epi32(_mm256_castsi256_si128(total), _mm256_extracti128_si256(total, 1));
	half = _mm_hadd_epi32(half, half);
	*sum = (_mm_extract_epi32(half, 0) + _mm_extract_epi32(half, 1)) & 0xffff;
	return most / 127;
}

TARGET void matmul_pack_row_avx2(const struct matmul *m, const float *x, int i, int n, int32_t *numbers, float *scales, int32_t *sums) {
	for (int64_t b = 0; b < m->blocks; b++, numbers += m->block / 4 * n) {
		float rest[256];
		const float *from = x + b * m->block;
		int64_t left = m->k - b * m->block;
		if (left < m->block) {
			memcpy(rest, from, (size_t)left * sizeof(float));
			memset(rest + left, 0, (size_t)(m->block - left) * sizeof(float));
			from = rest;
		}
		scales[b * n + i] = pack_block(from, m->block, m->bits, n, numbers + i, &sums[b * n + i]);
	}
}

// tile computes R rows of halves of one strip, 8 outputs each, from half on. R, H and bits are constants where it is called: all arrays are
// registers. Numbers of 8 bits go in two halves: products of pairs must fit in 16 bits.
INLINE void tile(const struct matmul *m, const struct rows *rows, int64_t strip, int half, float *y, int R, int H, int bits) {
	const uint8_t *base = m->weights + (size_t)strip * m->strip, *w = base + half * 32;
	const int32_t *x = rows->numbers;
	const int words = m->block * bits / 32;
	const __m256i low = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1), sixteens = _mm256_set1_epi16(16);
	__m256 y_[R * H];
#pragma GCC unroll 8
	for (int i = 0; i < R * H; i++) y_[i] = _mm256_setzero_ps();
	for (int64_t b = 0; b < m->blocks; b++) {
		__m256i sum[R * H];
#pragma GCC unroll 2
		for (int h = 0; h < H; h++) {
			__m128i zeros = _mm_loadl_epi64((const __m128i *)(base + m->zeros + b * LANES + (half + h) * 8));
			__m256i minus = _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_cvtepu8_epi32(zeros));
#pragma GCC unroll 8
			for (int r = 0; r < R; r++) sum[h * R + r] = _mm256_madd_epi16(minus, _mm256_set1_epi32(rows->sums[b * R + r]));
		}
		for (int k = 0; k < words; k++, w += 64) {
#pragma GCC unroll 2
			for (int h = 0; h < H; h++) {
				__m256i v = _mm256_loadu_si256((const __m256i *)(w + h * 32));
				__m256i first = _mm256_and_si256(v, low), second = _mm256_and_si256(_mm256_srli_epi16(v, 4), low);
#pragma GCC unroll 8
				for (int r = 0; r < R; r++) {
					__m256i pairs;
					if (bits == 8) {
						__m256i xs = _mm256_set1_epi32(x[r]);
						pairs = _mm256_add_epi32(_mm256_madd_epi16(_mm256_maddubs_epi16(first, xs), ones),
							_mm256_madd_epi16(_mm256_maddubs_epi16(second, xs), sixteens));
					} else {
						pairs = _mm256_madd_epi16(ones, _mm256_add_epi16(_mm256_maddubs_epi16(first, _mm256_set1_epi32(x[r])),
							_mm256_maddubs_epi16(second, _mm256_set1_epi32(x[R + r]))));
					}
					sum[h * R + r] = _mm256_add_epi32(sum[h * R + r], pairs);
				}
			}
			x += bits == 8 ? R : 2 * R;
		}
#pragma GCC unroll 2
		for (int h = 0; h < H; h++) {
			__m256 scale = _mm256_loadu_ps((const float *)(base + m->scales) + b * LANES + (half + h) * 8);
#pragma GCC unroll 8
			for (int r = 0; r < R; r++) {
				__m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(sum[h * R + r]), _mm256_set1_ps(rows->scales[b * R + r]));
				y_[h * R + r] = _mm256_fmadd_ps(scaled, scale, y_[h * R + r]);
			}
		}
	}
	const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
#pragma GCC unroll 2
	for (int h = 0; h < H; h++) {
		int64_t at = strip * LANES + (half + h) * 8, left = m->n - at;
		__m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(left > 8 ? 8 : (int)left), lanes);
		__m256 bias = m->bias ? _mm256_loadu_ps(m->bias + at) : _mm256_setzero_ps();
#pragma GCC unroll 8
		for (int r = 0; r < R; r++) _mm256_maskstore_ps(y + r * m->n + at, mask, _mm256_add_ps(y_[h * R + r], bias));
	}
}

// Up to two rows: both halves at once.
#define TILES(R, H) \
	TARGET static void tiles_##R(const struct matmul *m, const struct rows *rows, int64_t from, int64_t to, float *y) { \
		for (; from < to; from++) { \
			for (int half = 0; half < 2; half += H) { \
				if (m->bits == 4) tile(m, rows, from, half, y, R, H, 4); \
				else tile(m, rows, from, half, y, R, H, 8); \
			} \
		} \
	}
TILES(1, 2) TILES(2, 2) TILES(3, 1) TILES(4, 1)

static void tiles(const struct matmul *m, const struct rows *rows, int64_t from, int64_t to, float *y) {
	static matmul_tile *const by_rows[] = {tiles_1, tiles_2, tiles_3, tiles_4};
	by_rows[rows->n - 1](m, rows, from, to, y);
}

const struct matmul_kernel matmul_avx2 = {4, matmul_pack_row_avx2, tiles};
#endif
