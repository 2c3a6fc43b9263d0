// How a thread gets AMX's eight tiles, each 16 rows of 64 bytes (palette 1), until it releases them. Where there is AMX only.
#pragma once
#include <immintrin.h>
#include <stdint.h>

static inline __attribute__((always_inline, target("amx-tile"))) void configure_tiles(void) {
  struct __attribute__((packed)) {
    uint8_t palette, start, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
  } configuration = {.palette = 1};
  for (int t = 0; t < 8; t++) configuration.bytes[t] = 64, configuration.rows[t] = 16;
  __asm__ volatile("" : : "r"(&configuration) : "memory");  // all of it is read, whatever the intrinsic says
  _tile_loadconfig(&configuration);
}
