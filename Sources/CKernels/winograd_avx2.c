// Winograd's transforms with AVX2.
#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi2"))), apply_to = function)
#define BYTES 32
#define NAME(x) lineup_avx2_##x
#include "winograd.inc"
#pragma clang attribute pop
#endif
