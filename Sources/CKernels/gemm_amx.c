// The GEMM of AMX on real tiles, and whether this machine has them.
#if defined(__x86_64__)
#include "amx_tiles.h"
#include "lineup_kernels.h"
#include <cpuid.h>
#include <math.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#pragma clang attribute push( \
    __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,bmi2"))), apply_to = function)

// A thread gives its tiles up after each call, so that they are not kept over context switches.
#define BEGIN configure_tiles()
#define END _tile_release()
#define TILES
#define ZERO(t) _tile_zero(t)
#define LOAD(t, p, stride) _tile_loadd(t, p, stride)
#define STORE(t, p, stride) _tile_stored(t, p, stride)
#define DOTS(t, a, b) _tile_dpbf16ps(t, a, b)

#include "gemm_amx.inc"
#pragma clang attribute pop

const lineup_gemm *lineup_amx_gemm(enum lineup_operand_format format) {
  return format == LINEUP_SPLIT ? &split_gemm : format == LINEUP_BFLOAT16 ? &bfloat16_gemm : 0;
}

// CPUID says AMX-TILE and AMX-BF16, the operating system keeps tiles (XCR0 bits 17 and 18), and Linux grants them to us.
static int is_granted(void) {
  enum { TILE_DATA = 18, ARCH_REQ_XCOMP_PERM = 0x1023 };
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1u << 27)) return 0;  // no XGETBV
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & 1u << 24) || !(d & 1u << 22)) return 0;
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & 3u << 17) != 3u << 17) return 0;
  return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0;
}

// Whether a product on real tiles is what it is on emulated ones, but for the order of its roundings.
static int is_right(enum lineup_operand_format format) {
  enum { M = 19, N = 32, K = 64 };
  const size_t planes = format == LINEUP_SPLIT ? 2 : 1;
  uint16_t a[2][M][K], b[2 * K * N] = {0};
  float c[2][M][N] = {{{0}}};
  const void *rows[M];
  char workspace[1 << 16] __attribute__((aligned(64)));
  const lineup_gemm *gemms[2] = {lineup_amx_gemm(format), lineup_emulated_amx_gemm(format)};
  uint32_t random = 1;
  for (size_t i = 0; i < planes * M * K; i++)
    random = random * 1664525 + 1013904223, ((uint16_t *)a)[i] = 0x3f00 | (random >> 24 & 0x7f) | (random >> 16 & 0x8000);
  for (size_t i = 0; i < planes * K * N; i++)
    random = random * 1664525 + 1013904223, b[i] = 0x3f00 | (random >> 24 & 0x7f) | (random >> 16 & 0x8000);
  for (size_t r = 0; r < M; r++) rows[r] = a[0][r];
  if (gemms[0]->workspace(M, N, K) > sizeof workspace) return 0;
  for (int g = 0; g < 2; g++) gemms[g]->multiply(rows, sizeof a[0], M, 0, b, K, 0, N, K, 0, c[g], N, workspace);
  for (size_t i = 0; i < M * N; i++)
    if (!(fabsf(c[0][0][i] - c[1][0][i]) <= 1e-4f)) return 0;
  return 1;
}

int lineup_has_amx(void) { return is_granted() && is_right(LINEUP_BFLOAT16) && is_right(LINEUP_SPLIT); }
#endif
