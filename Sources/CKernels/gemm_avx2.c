// The GEMM with AVX2 and FMA: 6 × 16 of the 16 registers accumulate.
#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi2"))), apply_to = function)
#define SCALAR float
#define BYTES 32
#define ROWS 6
#define VECTORS 2
#define NAME(x) lineup_avx2_##x
#include "gemm.inc"
#pragma clang attribute pop
#endif
