#include "matmul.h"
#if defined(__x86_64__)
#include <immintrin.h>

// Bytes of weights that are fetched before they are needed. With few rows memory is the limit, and the processor's own fetching is better.
enum { AHEAD = 2048, FEW = 3 };

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma")))
#define INLINE static inline __attribute__((always_inline)) TARGET

// tile computes R rows of S strips that lie side by side. R, S and bits are constants where it is called: all arrays are registers.
INLINE void tile(const struct matmul *m, const struct rows *rows, int64_t strip, float *y, int R, int S, int bits) {
	const uint8_t *w = m->weights + (size_t)strip * m->strip;
	const int32_t *x = rows->numbers;
	const int words = m->block * bits / 32; // of an output's numbers in a block
	const __m512i low = _mm512_set1_epi8(15), none = _mm512_setzero_si512();
	__m512 y_[12];
#pragma GCC unroll 16
	for (int i = 0; i < R * S; i++) y_[i] = _mm512_setzero_ps();
	for (int64_t b = 0; b < m->blocks; b++) {
		__m512i sum[12];
#pragma GCC unroll 4
		for (int s = 0; s < S; s++) {
			__m128i zeros = _mm_loadu_si128((const __m128i *)(w + s * m->strip + m->zeros - b * words * 64) + b);
			__m512i minus = _mm512_sub_epi32(none, _mm512_cvtepu8_epi32(zeros));
#pragma GCC unroll 16
			for (int r = 0; r < R; r++) sum[s * R + r] = _mm512_dpwssd_epi32(none, minus, _mm512_set1_epi32(rows->sums[b * R + r]));
		}
		for (int k = 0; k < words; k++, w += 64) {
			__m512i first[4], second[4]; // 4-bit numbers: the even and the odd k
#pragma GCC unroll 4
			for (int s = 0; s < S; s++) {
				__m512i v = _mm512_loadu_si512(w + s * m->strip);
				if (R > FEW) _mm_prefetch((const char *)(w + s * m->strip + AHEAD), _MM_HINT_T0);
				first[s] = bits == 8 ? v : _mm512_and_si512(v, low);
				second[s] = _mm512_and_si512(_mm512_srli_epi16(v, 4), low);
			}
#pragma GCC unroll 16
			for (int r = 0; r < R; r++) {
				__m512i xs = _mm512_set1_epi32(x[r]);
#pragma GCC unroll 4
				for (int s = 0; s < S; s++) sum[s * R + r] = _mm512_dpbusd_epi32(sum[s * R + r], first[s], xs);
			}
#pragma GCC unroll 16
			for (int r = 0; bits == 4 && r < R; r++) {
				__m512i xs = _mm512_set1_epi32(x[R + r]);
#pragma GCC unroll 4
				for (int s = 0; s < S; s++) sum[s * R + r] = _mm512_dpbusd_epi32(sum[s * R + r], second[s], xs);
			}
			x += bits == 8 ? R : 2 * R;
		}
#pragma GCC unroll 4
		for (int s = 0; s < S; s++) {
			__m512 scale = _mm512_loadu_ps((const float *)(w + s * m->strip + m->scales - (b + 1) * words * 64) + b * LANES);
#pragma GCC unroll 16
			for (int r = 0; r < R; r++) {
				__m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sum[s * R + r]), _mm512_set1_ps(rows->scales[b * R + r]));
				y_[s * R + r] = _mm512_fmadd_ps(scaled, scale, y_[s * R + r]);
			}
		}
	}
#pragma GCC unroll 4
	for (int s = 0; s < S; s++) {
		int64_t at = (strip + s) * LANES, left = m->n - at;
		__mmask16 mask = left >= LANES ? 0xffff : (__mmask16)((1 << left) - 1);
		__m512 bias = m->bias ? _mm512_loadu_ps(m->bias + at) : _mm512_setzero_ps();
#pragma GCC unroll 16
		for (int r = 0; r < R; r++) _mm512_mask_storeu_ps(y + r * m->n + at, mask, _mm512_add_ps(y_[s * R + r], bias));
	}
}

// Few rows: several strips at once, so that sums do not wait for one another.
#define TILES(R, S) \
	TARGET static void tiles_##R(const struct matmul *m, const struct rows *rows, int64_t from, int64_t to, float *y) { \
		if (m->bits == 4) { \
			if (S > 1) for (; from + S <= to; from += S) tile(m, rows, from, y, R, S, 4); \
			for (; from < to; from++) tile(m, rows, from, y, R, 1, 4); \
		} else { \
			if (S > 1) for (; from + S <= to; from += S) tile(m, rows, from, y, R, S, 8); \
			for (; from < to; from++) tile(m, rows, from, y, R, 1, 8); \
		} \
	}
TILES(1, 4) TILES(2, 4) TILES(3, 4) TILES(4, 2) TILES(5, 2) TILES(6, 2) TILES(7, 1) TILES(8, 1) TILES(9, 1) TILES(10, 1) TILES(11, 1) TILES(12, 1)

static void tiles(const struct matmul *m, const struct rows *rows, int64_t from, int64_t to, float *y) {
	static matmul_tile *const by_rows[] = {
		tiles_1, tiles_2, tiles_3, tiles_4, tiles_5, tiles_6, tiles_7, tiles_8, tiles_9, tiles_10, tiles_11, tiles_12,
	};
	by_rows[rows->n - 1](m, rows, from, to, y);
}

const struct matmul_kernel matmul_avx512 = {12, matmul_pack_row_avx2, tiles};
#endif
