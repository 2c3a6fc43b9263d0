// The GEMM of bfloat16 operands with AVX-512's dot products of pairs (AVX512_BF16): twice the multiply-adds of an FMA.
//
// 8 × 32 per tile. Each element of the result is one chain of dot products over k in order, in blocks of DEPTH that are
// added to c one after the other: no element's rounding depends on which rows it is computed with.
#if defined(__x86_64__)
#include "lineup_kernels.h"
#include <immintrin.h>
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma,bmi2"))), apply_to = function)

enum { ROWS = 8, WIDTH = LINEUP_BFLOAT16_WIDTH, DEPTH = 512, PAIR = 2 * WIDTH };

static inline uint32_t pair_at(const uint16_t *p) {
  uint32_t u;
  __builtin_memcpy(&u, p, 4);
  return u;
}

// One step of the chains: a pair of every row times a pair of rows of the panel.
#define STEP(PAIR_OF_ROW)                                                                                  \
  do {                                                                                                     \
    const __m512bh x0 = (__m512bh)_mm512_loadu_si512(b), x1 = (__m512bh)_mm512_loadu_si512(b + WIDTH);      \
    _Pragma("clang loop unroll(full)") for (int r = 0; r < ROWS; r++) {                                    \
      const __m512bh y = (__m512bh)_mm512_set1_epi32((int)(PAIR_OF_ROW));                                  \
      acc[r][0] = _mm512_dpbf16_ps(acc[r][0], y, x0);                                                      \
      acc[r][1] = _mm512_dpbf16_ps(acc[r][1], y, x1);                                                      \
    }                                                                                                      \
  } while (0)

// c (ROWS × WIDTH) = or += Σ_k a_r[k] · b[k]
static inline __attribute__((always_inline)) void tile(const uint16_t *const *rows, size_t offset, const uint16_t *b,
                                                       size_t k, int accumulate, float *c, size_t ldc) {
  const uint16_t *a[ROWS];
  __m512 acc[ROWS][2];
#pragma clang loop unroll(full)
  for (int r = 0; r < ROWS; r++) {
    a[r] = rows[r] + offset;
    acc[r][0] = accumulate ? _mm512_loadu_ps(c + r * ldc) : _mm512_setzero_ps();
    acc[r][1] = accumulate ? _mm512_loadu_ps(c + r * ldc + 16) : _mm512_setzero_ps();
  }
  size_t i = 0;
  for (; i + 1 < k; i += 2, b += PAIR) STEP(pair_at(a[r] + i));
  if (i < k) STEP(a[r][i]);  // the other half of the pair is 0, and so is its row of the panel
#pragma clang loop unroll(full)
  for (int r = 0; r < ROWS; r++) {
    _mm512_storeu_ps(c + r * ldc, acc[r][0]);
    _mm512_storeu_ps(c + r * ldc + 16, acc[r][1]);
  }
}

static void multiply(const void *const *rows_, size_t plane, size_t m, size_t offset, const void *panels,
                     size_t panel_rows, size_t first, size_t n, size_t k, int accumulate, void *c_, size_t ldc,
                     void *workspace) {
  const uint16_t *const *rows = (const uint16_t *const *)rows_;
  const size_t whole = m / ROWS * ROWS;
  const uint16_t *last[ROWS];
  for (size_t r = 0; r < ROWS; r++) last[r] = rows[whole + r < m ? whole + r : m - 1];
  for (size_t done = 0; done < k; done += DEPTH) {
    const size_t depth = k - done < DEPTH ? k - done : DEPTH;
    const int add = accumulate || done;
    for (size_t column = 0; column < n; column += WIDTH) {
      const uint16_t *b = (const uint16_t *)panels + column * panel_rows + (first + done) * WIDTH;
      float *c = (float *)c_ + column;
      for (size_t r = 0; r < whole; r += ROWS) tile(rows + r, offset + done, b, depth, add, c + r * ldc, ldc);
      if (whole == m) continue;
      float edge[ROWS * WIDTH] __attribute__((aligned(64)));
      for (size_t r = whole; r < m; r++) __builtin_memcpy(edge + (r - whole) * WIDTH, c + r * ldc, WIDTH * 4);
      for (size_t r = m - whole; r < ROWS; r++) __builtin_memset(edge + r * WIDTH, 0, WIDTH * 4);
      tile(last, offset + done, b, depth, add, edge, WIDTH);
      for (size_t r = whole; r < m; r++) __builtin_memcpy(c + r * ldc, edge + (r - whole) * WIDTH, WIDTH * 4);
    }
  }
}

// pairs[p / 2][ROWS] of rows p and p + 1: their elements of `height` ≤ ROWS columns, interleaved, zeros elsewhere
static inline void interleave(const uint16_t *const *rows, size_t m, size_t offset, size_t height, uint32_t *pairs) {
  for (size_t p = 0; p < m; p += 2, pairs += ROWS) {
    const uint16_t *x0 = rows[p] + offset, *x1 = p + 1 < m ? rows[p + 1] + offset : 0;
    if (height == ROWS && x1) {
      const __m128i a = _mm_loadu_si128((const void *)x0), b = _mm_loadu_si128((const void *)x1);
      _mm_storeu_si128((void *)pairs, _mm_unpacklo_epi16(a, b));
      _mm_storeu_si128((void *)(pairs + 4), _mm_unpackhi_epi16(a, b));
      continue;
    }
    for (size_t i = 0; i < ROWS; i++) pairs[i] = i < height ? x0[i] | (x1 ? (uint32_t)x1[i] << 16 : 0) : 0;
  }
}

// c (ROWS × WIDTH) = or += Σ_p a_p[0 … ROWS] · b[p], pairs of p
static inline __attribute__((always_inline)) void outer(const uint32_t *a, const uint16_t *b, size_t pairs,
                                                        int accumulate, float *c, size_t ldc) {
  __m512 acc[ROWS][2];
#pragma clang loop unroll(full)
  for (int r = 0; r < ROWS; r++) {
    acc[r][0] = accumulate ? _mm512_loadu_ps(c + r * ldc) : _mm512_setzero_ps();
    acc[r][1] = accumulate ? _mm512_loadu_ps(c + r * ldc + 16) : _mm512_setzero_ps();
  }
  for (size_t p = 0; p < pairs; p++, a += ROWS, b += PAIR) STEP(a[r]);
#pragma clang loop unroll(full)
  for (int r = 0; r < ROWS; r++) {
    _mm512_storeu_ps(c + r * ldc, acc[r][0]);
    _mm512_storeu_ps(c + r * ldc + 16, acc[r][1]);
  }
}

static void multiply_transposed(const void *const *rows, size_t plane, size_t m, size_t offset, const void *panels,
                                size_t panel_rows, size_t n, size_t k, int accumulate, void *c_, size_t ldc,
                                void *workspace) {
  const size_t pairs = (m + 1) / 2;
  for (size_t i = 0; i < k; i += ROWS) {
    const size_t height = k - i < ROWS ? k - i : ROWS;
    interleave((const uint16_t *const *)rows, m, offset + i, height, workspace);
    for (size_t column = 0; column < n; column += WIDTH) {
      const uint16_t *b = (const uint16_t *)panels + column * panel_rows;
      float *c = (float *)c_ + i * ldc + column;
      const size_t width = n - column < WIDTH ? n - column : WIDTH;
      if (height == ROWS && width == WIDTH) {
        outer(workspace, b, pairs, accumulate, c, ldc);
        continue;
      }
      float edge[ROWS * WIDTH] __attribute__((aligned(64))) = {0};
      if (accumulate)
        for (size_t r = 0; r < height; r++) __builtin_memcpy(edge + r * WIDTH, c + r * ldc, width * 4);
      outer(workspace, b, pairs, accumulate, edge, WIDTH);
      for (size_t r = 0; r < height; r++) __builtin_memcpy(c + r * ldc, edge + r * WIDTH, width * 4);
    }
  }
}

static size_t workspace(size_t m, size_t n, size_t k) { return (m + 1) / 2 * ROWS * sizeof(uint32_t); }

const lineup_gemm lineup_dots_gemm = {.format = LINEUP_BFLOAT16, .panel_width = WIDTH, .row_quantum = ROWS,
                                      .multiply = multiply, .multiply_transposed = multiply_transposed,
                                      .workspace = workspace};
#pragma clang attribute pop
#endif
