// Vectors of 8-bit codes for an exact search: what is scanned is a quarter of float32, and how far a code is from its vector is
// known, so that only vectors that may be among the nearest are looked at again. See Kernels/Codes.swift.
#pragma once
#include "lineup_kernels.h"

enum { LINEUP_CODE_WIDTH = 64 };  // codes of a row are a multiple of this, and so are the elements of the vector

typedef struct {
  float scale;       // y ≈ scale · codes
  float error;       // ‖y − scale · codes‖, or more
  float half_square; // ‖y‖² / 2
} lineup_code;

typedef struct {
  // Codes (−127 … 127) of y = x − centre, zeros behind the last of `columns`; x and centre are finite
  void (*encode)(const float *x, const float *centre, size_t columns, int8_t *codes, size_t width, lineup_code *code);
  // products[i] = Σ codes[i · width + j] · vector[j] for `rows` rows, exactly: 127 · Σ|vector[j]| is below 2³¹
  void (*products)(const int8_t *codes, size_t rows, size_t width, const int16_t *vector, int32_t *products);
} lineup_codes;

const lineup_codes *lineup_codes_of(enum lineup_instructions instructions);
