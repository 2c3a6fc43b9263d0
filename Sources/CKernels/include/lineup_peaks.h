// What one core can multiply at best: loops of nothing but multiply-adds, to hold the kernels against.
#pragma once
#include "lineup_kernels.h"

typedef struct {
  double operations;           // floating-point operations of a round; a multiply-add is two
  void (*run)(size_t rounds);  // single-threaded
} lineup_peak;

// Float32: FMA of an instruction set (LINEUP_AMX has AVX-512's; LINEUP_BASELINE: the compiler's default vectors).
// `bfloat16`: tiles of AMX, AVX-512's dot products of pairs. NULL where this CPU, or its system, has no such thing.
const lineup_peak *lineup_peak_of(enum lineup_instructions instructions, int bfloat16);
