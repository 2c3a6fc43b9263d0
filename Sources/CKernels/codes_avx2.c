// Codes with AVX2.
#if defined(__x86_64__)
#include <immintrin.h>

#include "lineup_codes.h"
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)

static int32_t multiply(const int8_t *codes, size_t width, const int16_t *vector) {
  __m256i sums[4] = {0};
  for (size_t j = 0; j < width; j += LINEUP_CODE_WIDTH)
    for (int k = 0; k < 4; k++) {
      __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(codes + j + 16 * k)));
      __m256i pairs = _mm256_madd_epi16(wide, _mm256_loadu_si256((const __m256i *)(vector + j + 16 * k)));
      sums[k] = _mm256_add_epi32(sums[k], pairs);
    }
  __m256i sum = _mm256_add_epi32(_mm256_add_epi32(sums[0], sums[1]), _mm256_add_epi32(sums[2], sums[3]));
  __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1)));
}

#define TABLE lineup_codes_avx2
#define MULTIPLY multiply
#include "codes.inc"
#pragma clang attribute pop
#endif
