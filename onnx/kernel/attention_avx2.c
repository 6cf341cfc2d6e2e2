#if defined(__x86_64__)
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c")
#endif

#include <immintrin.h>
#include <stdint.h>

typedef __m256 vec;
#define LANES 8
#define KEYS 2
#define COLUMNS 2

static inline vec v_set(float x) { return _mm256_set1_ps(x); }
static inline vec v_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void v_store(float *p, vec x) { _mm256_storeu_ps(p, x); }
static inline vec v_add(vec a, vec b) { return _mm256_add_ps(a, b); }
static inline vec v_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
static inline vec v_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
static inline vec v_max(vec a, vec b) { return _mm256_max_ps(a, b); }
static inline vec v_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
static inline vec v_round(vec x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

// v_times_power returns x times 2 to the power of n, a whole number, by its exponent.
static inline vec v_times_power(vec x, vec n) {
	return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23)));
}

// v_zero_below returns y where x is not below least, else 0.
static inline vec v_zero_below(vec x, float least, vec y) {
	return _mm256_and_ps(_mm256_cmp_ps(x, _mm256_set1_ps(least), _CMP_NLT_UQ), y);
}

// Heads have multiples of 8 numbers.
static inline vec v_load_first(const float *p, int64_t n) { (void)n; return _mm256_loadu_ps(p); }
static inline vec v_load_half(const uint16_t *p, int64_t n) { (void)n; return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
static inline vec v_load_int8(const int8_t *p, int64_t n) {
	(void)n;
	return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}

// v_low and v_high interleave the lower and upper halves of each 16 bytes, by 4 bytes, v_low_pair and v_high_pair by 8.
static inline vec v_low(vec a, vec b) { return _mm256_unpacklo_ps(a, b); }
static inline vec v_high(vec a, vec b) { return _mm256_unpackhi_ps(a, b); }
static inline vec v_low_pair(vec a, vec b) { return _mm256_castpd_ps(_mm256_unpacklo_pd(_mm256_castps_pd(a), _mm256_castps_pd(b))); }
static inline vec v_high_pair(vec a, vec b) { return _mm256_castpd_ps(_mm256_unpackhi_pd(_mm256_castps_pd(a), _mm256_castps_pd(b))); }

// v_pieces reads 16 bytes from each of p and p+step.
static inline vec v_pieces(const char *p, int64_t step) {
	return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps((const float *)p)), _mm_loadu_ps((const float *)(p + step)), 1);
}

// v_split puts the even numbers of 2 bytes first, then the odd ones.
static inline vec v_split(vec x) {
	const __m256i order = _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15, 0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
	return _mm256_castsi256_ps(_mm256_permute4x64_epi64(_mm256_shuffle_epi8(_mm256_castps_si256(x), order), 0xd8));
}

#include "attention_loops.h"

const attention_kernels attention_avx2 = {prepare, block, merge, finish};

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
