// Codes for any CPU, and which ones this CPU has.
#include "lineup_codes.h"

static int32_t multiply(const int8_t *codes, size_t width, const int16_t *vector) {
  int32_t sum = 0;
  for (size_t j = 0; j < width; j++) sum += codes[j] * vector[j];
  return sum;
}

#define TABLE lineup_codes_baseline
#define MULTIPLY multiply
#include "codes.inc"

#if defined(__x86_64__)
extern const lineup_codes lineup_codes_avx2, lineup_codes_avx512;
#endif

const lineup_codes *lineup_codes_of(enum lineup_instructions instructions) {
#if defined(__x86_64__)
  if (instructions >= LINEUP_AVX512) return &lineup_codes_avx512;
  if (instructions == LINEUP_AVX2) return &lineup_codes_avx2;
#endif
  return &lineup_codes_baseline;
}
