// The elementwise kernels with AVX-512 (F, BW, VL, DQ) and its bfloat16 instructions.
#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma,f16c,bmi2"))), apply_to = function)
#define TABLE lineup_elementwise_avx512_bf16
#define BLOCK 32
#define NATIVE_BFLOAT16 1
#include "elementwise_all.inc"
#pragma clang attribute pop
#endif
