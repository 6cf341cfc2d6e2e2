#if defined(__x86_64__)
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512vl,avx512bw,avx512dq"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c,avx512f,avx512vl,avx512bw,avx512dq")
#endif

#include <immintrin.h>
#include <stdint.h>

typedef __m512 vec;
#define LANES 16
#define KEYS 4
#define COLUMNS 4

static inline vec v_set(float x) { return _mm512_set1_ps(x); }
static inline vec v_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void v_store(float *p, vec x) { _mm512_storeu_ps(p, x); }
static inline vec v_add(vec a, vec b) { return _mm512_add_ps(a, b); }
static inline vec v_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
static inline vec v_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
static inline vec v_max(vec a, vec b) { return _mm512_max_ps(a, b); }
static inline vec v_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
static inline vec v_round(vec x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

// v_times_power returns x times 2 to the power of n, a whole number, by its exponent.
static inline vec v_times_power(vec x, vec n) {
	return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x), _mm512_slli_epi32(_mm512_cvtps_epi32(n), 23)));
}

// v_zero_below returns y where x is not below least, else 0.
static inline vec v_zero_below(vec x, float least, vec y) {
	return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(least), _CMP_NLT_UQ), y);
}

// The first n numbers, a multiple of 8, as far as there is room for them; the others are 0.
static inline vec v_load_first(const float *p, int64_t n) { return n >= 16 ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(0xff, p); }
static inline vec v_load_half(const uint16_t *p, int64_t n) {
	return _mm512_cvtph_ps(n >= 16 ? _mm256_loadu_si256((const __m256i *)p) : _mm256_zextsi128_si256(_mm_loadu_si128((const __m128i *)p)));
}
static inline vec v_load_int8(const int8_t *p, int64_t n) {
	return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(n >= 16 ? _mm_loadu_si128((const __m128i *)p) : _mm_loadl_epi64((const __m128i *)p)));
}

// v_low and v_high interleave the lower and upper halves of each 16 bytes, by 4 bytes, v_low_pair and v_high_pair by 8.
static inline vec v_low(vec a, vec b) { return _mm512_unpacklo_ps(a, b); }
static inline vec v_high(vec a, vec b) { return _mm512_unpackhi_ps(a, b); }
static inline vec v_low_pair(vec a, vec b) { return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b))); }
static inline vec v_high_pair(vec a, vec b) { return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b))); }

// v_pieces reads 16 bytes from each of p, p+step, p+2*step, p+3*step.
static inline vec v_pieces(const char *p, int64_t step) {
	vec x = _mm512_broadcast_f32x4(_mm_loadu_ps((const float *)p));
	x = _mm512_mask_broadcast_f32x4(x, 0x00f0, _mm_loadu_ps((const float *)(p + step)));
	x = _mm512_mask_broadcast_f32x4(x, 0x0f00, _mm_loadu_ps((const float *)(p + 2 * step)));
	return _mm512_mask_broadcast_f32x4(x, 0xf000, _mm_loadu_ps((const float *)(p + 3 * step)));
}

// v_split puts the even numbers of 2 bytes first, then the odd ones.
static inline vec v_split(vec x) {
	const __m512i order = _mm512_set_epi16(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1, 30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
	return _mm512_castsi512_ps(_mm512_permutexvar_epi16(order, _mm512_castps_si512(x)));
}

#include "attention_loops.h"

const attention_kernels attention_avx512 = {prepare, block, merge, finish};

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
