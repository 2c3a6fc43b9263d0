// Codes with AVX-512 (F, BW, VL, DQ).
#if defined(__x86_64__)
#include <immintrin.h>

#include "lineup_codes.h"
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma"))), apply_to = function)

static int32_t multiply(const int8_t *codes, size_t width, const int16_t *vector) {
  __m512i sums[2] = {0};
  for (size_t j = 0; j < width; j += LINEUP_CODE_WIDTH)
    for (int k = 0; k < 2; k++) {
      __m512i wide = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(codes + j + 32 * k)));
      __m512i pairs = _mm512_madd_epi16(wide, _mm512_loadu_si512(vector + j + 32 * k));
      sums[k] = _mm512_add_epi32(sums[k], pairs);
    }
  return _mm512_reduce_add_epi32(_mm512_add_epi32(sums[0], sums[1]));
}

#define TABLE lineup_codes_avx512
#define MULTIPLY multiply
#include "codes.inc"
#pragma clang attribute pop
#endif
