// The elementwise kernels with AVX-512 (F, BW, VL, DQ).
#if defined(__x86_64__)
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c,bmi2"))), apply_to = function)
#define TABLE lineup_elementwise_avx512
#define BLOCK 32
#include "elementwise_all.inc"
#pragma clang attribute pop
#endif
