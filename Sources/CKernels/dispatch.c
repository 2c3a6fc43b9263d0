// Which kernels this CPU can run.
#include "lineup_kernels.h"

extern const lineup_elementwise *const lineup_elementwise_baseline[3];
#if defined(__x86_64__)
extern const lineup_elementwise *const lineup_elementwise_avx2[3], *const lineup_elementwise_avx512[3],
    *const lineup_elementwise_avx512_bf16[3];
extern const lineup_gemm lineup_avx2_gemm, lineup_avx512_gemm, lineup_dots_gemm, lineup_avx2_double_gemm,
    lineup_avx512_double_gemm;
extern const lineup_winograd lineup_avx2_winograd, lineup_avx512_winograd;
const lineup_gemm *lineup_amx_gemm(enum lineup_operand_format);
int lineup_has_amx(void);
#endif

static enum lineup_instructions look(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq"))
    return lineup_has_amx() ? LINEUP_AMX : LINEUP_AVX512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return LINEUP_AVX2;
#endif
  return LINEUP_BASELINE;
}

enum lineup_instructions lineup_best_instructions(void) {
  // Asked for at every choice of kernels, and looking includes a trial of AMX: the machine stays what it is.
  static _Atomic int known;  // 1 + the answer; 0: nobody has looked
  int answer = known;
  if (!answer) known = answer = 1 + (int)look();
  return (enum lineup_instructions)(answer - 1);
}

int lineup_has_bfloat16_dots(void) {
#if defined(__x86_64__)
  return lineup_best_instructions() >= LINEUP_AVX512 && __builtin_cpu_supports("avx512bf16");
#else
  return 0;
#endif
}

int lineup_has_fast_bfloat16_dots(void) {
#if defined(__x86_64__)
  // Intel's take two cycles, in which two ports do four float32 multiply-adds of as many lanes: half the rate, not twice.
  return lineup_has_bfloat16_dots() && !__builtin_cpu_is("intel");
#else
  return 0;
#endif
}

const lineup_elementwise *lineup_elementwise_kernels(enum lineup_precision precision,
                                                     enum lineup_instructions instructions) {
#if defined(__x86_64__)
  if (instructions >= LINEUP_AVX512)
    return lineup_has_bfloat16_dots() ? lineup_elementwise_avx512_bf16[precision] : lineup_elementwise_avx512[precision];
  if (instructions == LINEUP_AVX2) return lineup_elementwise_avx2[precision];
#endif
  return lineup_elementwise_baseline[precision];
}

const lineup_gemm *lineup_simd_gemm(enum lineup_instructions instructions, int bfloat16) {
#if defined(__x86_64__)
  if (instructions == LINEUP_AMX) return lineup_amx_gemm(bfloat16 ? LINEUP_BFLOAT16 : LINEUP_SPLIT);
  if (instructions == LINEUP_AVX512)
    return bfloat16 && lineup_has_fast_bfloat16_dots() ? &lineup_dots_gemm : &lineup_avx512_gemm;
  if (instructions == LINEUP_AVX2) return &lineup_avx2_gemm;
#endif
  return 0;
}

const lineup_gemm *lineup_simd_double_gemm(enum lineup_instructions instructions) {
#if defined(__x86_64__)
  if (instructions >= LINEUP_AVX512) return &lineup_avx512_double_gemm;
  if (instructions == LINEUP_AVX2) return &lineup_avx2_double_gemm;
#endif
  return 0;
}

const lineup_winograd *lineup_winograd_kernels(enum lineup_instructions instructions) {
#if defined(__x86_64__)
  if (instructions >= LINEUP_AVX512) return &lineup_avx512_winograd;
  if (instructions == LINEUP_AVX2) return &lineup_avx2_winograd;
#endif
  return 0;
}
