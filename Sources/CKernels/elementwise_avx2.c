// The elementwise kernels with AVX2, FMA and F16C.
#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi2"))), apply_to = function)
#define TABLE lineup_elementwise_avx2
#define BLOCK 16
#include "elementwise_all.inc"
#pragma clang attribute pop
#endif
