// Peak loops. Enough accumulators to hide the latency of a multiply-add stay in registers all the time. AMX, which has eight
// tile registers, loads its operands as often as a GEMM has to.
#include "lineup_peaks.h"

enum { CHAINS = 12 };  // latency 4 … 6 times one or two multiply-adds a cycle

// The compiler neither knows what is multiplied nor drops the result.
static volatile float half = 0.5f, sink;

// Keeps a vector in a register of its own, and the compiler from seeing that all chains are the same.
#if defined(__x86_64__)
#define PIN(x) __asm__("" : "+v"(x))
#elif defined(__aarch64__)
#define PIN(x) __asm__("" : "+w"(x))
#else
#define PIN(x) __asm__("" : "+m"(x))
#endif

// x = x · ½ + ½ stays 1: neither denormal nor infinite.
#define FMA(NAME, BYTES)                                                                                  \
  static void NAME##_run(size_t rounds) {                                                                          \
    typedef float vec __attribute__((vector_size(BYTES)));                                                         \
    vec x[CHAINS], factor = half - (vec){0};                                                                       \
    PIN(factor);                                                                                                   \
    _Pragma("clang loop unroll(full)") for (int i = 0; i < CHAINS; i++) x[i] = factor + factor;                    \
    for (size_t r = 0; r < rounds; r++)                                                                            \
      _Pragma("clang loop unroll(full)") for (int i = 0; i < CHAINS; i++) { x[i] = x[i] * factor + factor; PIN(x[i]); } \
    _Pragma("clang loop unroll(full)") for (int i = 1; i < CHAINS; i++) x[0] += x[i];                              \
    sink = x[0][0];                                                                                                \
  }                                                                                                                \
  static const lineup_peak NAME = {2.0 * CHAINS * BYTES / sizeof(float), NAME##_run};

FMA(baseline, 16)

#if defined(__x86_64__)
#include "amx_tiles.h"

#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
FMA(avx2, 32)
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx512f,avx512bf16"))), apply_to = function)
FMA(avx512, 64)

static void dots_run(size_t rounds) {
  __m512 ones = _mm512_set1_ps(half + half);
  __m512bh factor = _mm512_cvtne2ps_pbh(ones, _mm512_setzero_ps());
  __m512 x[CHAINS];
  PIN(factor);
#pragma clang loop unroll(full)
  for (int i = 0; i < CHAINS; i++) x[i] = ones;
  for (size_t r = 0; r < rounds; r++)
#pragma clang loop unroll(full)
    for (int i = 0; i < CHAINS; i++) {
      x[i] = _mm512_dpbf16_ps(x[i], factor, factor);
      PIN(x[i]);
    }
#pragma clang loop unroll(full)
  for (int i = 1; i < CHAINS; i++) x[0] = _mm512_add_ps(x[0], x[i]);
  sink = x[0][0];
}
#pragma clang attribute pop
static const lineup_peak dots = {2.0 * 32 * CHAINS, dots_run};

// 2 × 2 accumulators from two tiles of either operand: four loads for four products of 16 × 32 by 32 × 16.
__attribute__((target("amx-tile,amx-bf16"))) static void tiles_run(size_t rounds) {
  static const uint16_t operands[4][16 * 32] __attribute__((aligned(64)));
  float result[16 * 16] __attribute__((aligned(64)));
  configure_tiles();
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (size_t r = 0; r < rounds; r++) {
    _tile_loadd(4, operands[0], 64);
    _tile_loadd(5, operands[1], 64);
    _tile_loadd(6, operands[2], 64);
    _tile_loadd(7, operands[3], 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, result, 64);
  _tile_release();
  sink = result[0];
}
static const lineup_peak tiles = {2.0 * 4 * 16 * 16 * 32, tiles_run};
#endif

const lineup_peak *lineup_peak_of(enum lineup_instructions instructions, int bfloat16) {
  if (instructions > lineup_best_instructions()) return 0;
#if defined(__x86_64__)
  if (bfloat16 && instructions == LINEUP_AMX) return &tiles;
  if (bfloat16) return instructions == LINEUP_AVX512 && lineup_has_fast_bfloat16_dots() ? &dots : 0;
  if (instructions >= LINEUP_AVX512) return &avx512;
  if (instructions == LINEUP_AVX2) return &avx2;
#endif
  return bfloat16 ? 0 : &baseline;
}
