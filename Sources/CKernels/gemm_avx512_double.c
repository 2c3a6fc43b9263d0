// The GEMM of float64 with AVX-512: 8 × 16 per tile, 16 of the 32 registers accumulate.
#if defined(__x86_64__)
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,bmi2"))), apply_to = function)
#define SCALAR double
#define BYTES 64
#define ROWS 8
#define VECTORS 2
#define NAME(x) lineup_avx512_double_##x
#include "gemm.inc"
#pragma clang attribute pop
#endif
