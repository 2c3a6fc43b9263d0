// The GEMM of AMX on tiles in plain C: so that all of it but the instructions is tested on any CPU with AVX-512, and the instructions are
// checked against it where they are.
#include <stdint.h>
#include <string.h>

struct tile {
  union {
    float accumulators[16][16];
    uint16_t pairs[16][32];
  };
};

static void load(struct tile *t, const void *p, size_t stride) {
  for (int r = 0; r < 16; r++) memcpy(t->pairs[r], (const char *)p + r * stride, 64);
}

static void store(const struct tile *t, void *p, size_t stride) {
  for (int r = 0; r < 16; r++) memcpy((char *)p + r * stride, t->pairs[r], 64);
}

static inline float widen(uint16_t x) {
  const uint32_t u = (uint32_t)x << 16;
  float v;
  memcpy(&v, &u, 4);
  return v;
}

// TDPBF16PS (Intel's manual): even and odd elements of the pairs make a chain each; both are added to the accumulator.
// Products of bfloat16 are exact in float32, so that fused and separate additions are the same.
static void dots(struct tile *t, const struct tile *a, const struct tile *b) {
  for (int r = 0; r < 16; r++) {
    float even[16] = {0}, odd[16] = {0};
    for (int k = 0; k < 16; k++) {
      const float x0 = widen(a->pairs[r][2 * k]), x1 = widen(a->pairs[r][2 * k + 1]);
      for (int n = 0; n < 16; n++) {
        even[n] += x0 * widen(b->pairs[k][2 * n]);
        odd[n] += x1 * widen(b->pairs[k][2 * n + 1]);
      }
    }
    for (int n = 0; n < 16; n++) t->accumulators[r][n] += even[n] + odd[n];
  }
}

#define BEGIN
#define END
#define TILES struct tile tiles[8]
#define ZERO(t) memset(&tiles[t], 0, sizeof tiles[t])
#define LOAD(t, p, stride) load(&tiles[t], p, stride)
#define STORE(t, p, stride) store(&tiles[t], p, stride)
#define DOTS(t, a, b) dots(&tiles[t], &tiles[a], &tiles[b])

#include "gemm_amx.inc"

const lineup_gemm *lineup_emulated_amx_gemm(enum lineup_operand_format format) {
  return format == LINEUP_SPLIT ? &split_gemm : format == LINEUP_BFLOAT16 ? &bfloat16_gemm : 0;
}
