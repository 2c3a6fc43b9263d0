// Winograd's transforms with AVX-512.
#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,bmi2"))), apply_to = function)
#define BYTES 64
#define NAME(x) lineup_avx512_##x
#include "winograd.inc"
#pragma clang attribute pop
#endif
