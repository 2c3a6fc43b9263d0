// Single-threaded kernels over a range: the callers split the work over threads.
//
// T is the storage element (float16, float32, float64), A its accumulator (float32, float32, float64). All
// pointers to tensors are T*, pixel-major (NHWC); per-channel vectors and scratch are A*. Every instruction set
// computes element by element in an order of its own that is fixed: which rows or ranks a value is computed with does
// not change a bit of it. Between instruction sets results differ within rounding.
//
// What a search scans is in lineup_codes.h, what a core can do at best in lineup_peaks.h.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum lineup_precision { LINEUP_FLOAT16, LINEUP_FLOAT32, LINEUP_FLOAT64 };
enum lineup_instructions { LINEUP_BASELINE, LINEUP_AVX2, LINEUP_AVX512, LINEUP_AMX };
// What the operands of a GEMM are made of.
enum lineup_operand_format {
  LINEUP_WIDE,      // accumulators: float32, float64
  LINEUP_BFLOAT16,  // bfloat16, nearest even
  LINEUP_SPLIT,     // two planes of bfloat16, x = hi + lo to 16 bits: 11-bit float16 exactly
};
// Rows of panels of bfloat16 are pairs, and each run of them is filled up with zeros to a multiple of this.
enum { LINEUP_BFLOAT16_WIDTH = 32, LINEUP_BFLOAT16_DEPTH = 32 };
enum lineup_reading {
  LINEUP_PLAIN,
  LINEUP_AFFINE,
  LINEUP_ACTIVATION,
  LINEUP_NORM_GRADIENT,
  LINEUP_ACTIVATION_TANGENT,
  LINEUP_REGULARIZED_NORM_GRADIENT,
};
enum lineup_sums { LINEUP_NO_SUMS, LINEUP_FORWARD_SUMS, LINEUP_BACKWARD_SUMS };

// What a GEMM reads: a stored tensor and what is still to be done to it while it is packed.
typedef struct {
  enum lineup_reading reading;
  int bfloat16;            // round the result to bfloat16
  const void *x;           // T: stored values: a tensor, a gradient, or a tangent
  const void *z, *g, *t;   // T: the raw convolution output, the gradient of its normalization, its tangent
  const void *a, *b, *c;   // A per channel. affine: a x + b; activation: max(0, a x + b);
  const void *d, *e;       // norm gradient (and tangent): a x + b z + c;
                           // activation tangent: a x + b z + c where d z + e > 0, else 0;
                           // regularized norm gradient: a x + b z + c + d g + e t
} lineup_operand;

// What becomes of a row of accumulators: v = acc (+ bias) (+ addend), gated, rounded to T, stored, summed.
typedef struct {
  void *out;                              // T
  const void *bias;                       // A per channel, or NULL
  const void *addend;                     // T, or NULL
  const void *gate;                       // T, or NULL: v is kept where gate > 0 …
  const void *gate_scale, *gate_shift;    // A per channel, or NULL: … or where scale·gate + shift > 0
  enum lineup_sums sums;                  // of the rounded v
  const void *z1, *mean1, *z2, *mean2;    // backward sums: T tensors and their A means (z2 or mean2 may be NULL)
} lineup_epilogue;

typedef struct {
  // out[i] (A) = the operand at `count` pixels from `pixel` on
  void (*read)(const lineup_operand *operand, size_t pixel, size_t count, size_t channels, void *out);
  // the same, rounded to bfloat16 (hi), and what that rounding lost, rounded likewise (lo, or NULL); numbers below 2⁻¹²⁶ may
  // become 0
  void (*read_bfloat16)(const lineup_operand *operand, size_t pixel, size_t count, size_t channels, uint16_t *hi,
                        uint16_t *lo);
  // rows[r·ld …] (A) → epilogue at pixel to[r], addend at pixel from[r]. sums (A, 3 × channels) is added to:
  // forward Σv, Σv²; backward Σv, Σv(z1 − mean1), Σv(z2 − mean2)
  void (*store)(const lineup_epilogue *epilogue, const void *rows, size_t ld, const uint32_t *to,
                const uint32_t *from, size_t count, size_t channels, void *sums);
  // y = max(0, a1 z1 + b1 + shortcut), where shortcut = x, or a2 x + b2 with a2 not NULL
  void (*join)(const void *z1, const void *a1, const void *b1, const void *x, const void *a2, const void *b2,
               size_t count, size_t channels, void *y);
  // the tangent of a join: (pending z + shortcut) where y > 0, else 0; plus v (T) where v is not NULL. The shortcut is
  // a pending tangent of a normalization, or plain
  void (*join_tangent)(const void *y, const lineup_operand *z, const lineup_operand *shortcut, const void *v,
                       size_t pixel, size_t count, size_t channels, void *out);
  // sums (float64, channels) += x at `count` pixels: those listed, or with pixels NULL those from `first` on
  void (*sum_pixels)(const void *x, const uint32_t *pixels, size_t first, size_t count, size_t channels,
                     double *sums);
  // out (A, count × channels) = or += factors (A, one a channel) · x (A)
  void (*weigh)(const void *x, const void *factors, size_t count, size_t channels, int accumulate, void *out);
  // sums (float64, channels) += Σ over `count` rows of x · y (A), or with y NULL of x, each Σ an A
  void (*sum_products)(const void *x, const void *y, size_t count, size_t channels, double *sums);
  // 3×3, stride 2 over one row of outputs of one image of activations; index = winning tap 0…8. padding 1: ⌈n/2⌉ outputs of n
  // inputs; 0: ⌊n/2⌋, where the last window may hang over the edge
  void (*max_pool)(const lineup_operand *image, size_t first, size_t height, size_t width, size_t channels,
                   size_t padding, size_t row, void *out, uint8_t *index);
  // the gradient (A, width × channels) of one row of inputs from gradient and index of one image of outputs
  void (*max_pool_backward)(const void *gradient, const uint8_t *index, size_t height, size_t width,
                            size_t channels, size_t padding, size_t row, void *out);
  // the pending tangent at the winning tap, for one row of outputs of one image
  void (*max_pool_tangent)(const lineup_operand *image, const uint8_t *index, size_t first, size_t height,
                           size_t width, size_t channels, size_t padding, size_t row, void *out);
  // A depthwise convolution over one row of `columns` outputs. lines[t]: what the kernel's row t sees, a row of pixels (A), or
  // NULL; from[column · kernel + u]: its pixel that column u of the kernel sees, or −1; weights (A): [kernel][kernel][channels].
  // out (A, columns × channels) = Σ weight · pixel
  void (*depthwise)(const void *const *lines, size_t kernel, const int32_t *from, size_t columns, const void *weights,
                    size_t channels, void *out);
  // sums (A, [kernel][kernel][channels]) += Σ over columns of pixel · gradient (A, columns × channels)
  void (*depthwise_weights)(const void *const *lines, size_t kernel, const int32_t *from, size_t columns,
                            const void *gradient, size_t channels, void *sums);
  // The same 3×3 with stride 1 and padding 1 over `rows` rows of an image, of as many columns: x (A) is the first of them; the row
  // above it stands before it, and that below the last one behind, where there is one
  void (*depthwise3)(const void *x, int above, int below, size_t rows, size_t columns, const void *weights,
                     size_t channels, void *out);
  void (*depthwise3_weights)(const void *x, int above, int below, size_t rows, size_t columns, const void *gradient,
                             size_t channels, void *sums);
  // Σ|x|, Σx², max|x| (NaN if there is one) and how many are 0, to magnitudes[0…3]; returns where the first of
  // the largest (or of the NaN) stands
  size_t (*magnitudes)(const void *x, size_t count, double *magnitudes);
  // out = factor · x, or with `sign` factor · sign(x)
  void (*scale)(const void *x, size_t count, double factor, int sign, void *out);
  // RGB bytes → (value / 255 − mean) / deviation
  void (*normalize)(const uint8_t *rgb, size_t pixels, const double *mean, const double *deviation, void *out);
  // K × N weights, w[k·row_stride + n·column_stride] (A), rounded to T (and bfloat16), to panels
  // [⌈N / width⌉][panel_rows][width] from row `row` on, the last panel filled up with zeros
  void (*pack)(const void *w, size_t k, size_t n, size_t row_stride, size_t column_stride, size_t width,
               size_t panel_rows, size_t row, int bfloat16, void *panels);
  // `count` rows (A) of n columns, ld apart, to the same panels, unchanged
  void (*pack_rows)(const void *rows, size_t ld, size_t count, size_t n, size_t width, size_t panel_rows, size_t row,
                    void *panels);
  // `pack` and `pack_rows` for bfloat16: panels [⌈n / 32⌉][plane][panel_rows / 2][32][2] with `planes` planes, panel_rows a
  // multiple of 32, 4-byte aligned. A run is packed in ascending order of rows: where one call ends within a pair, the other
  // half is zeroed. `pack_rows_bfloat16` also zeroes the rows behind its own up to the next multiple of 32.
  void (*pack_bfloat16)(const void *w, size_t k, size_t n, size_t row_stride, size_t column_stride, size_t planes,
                        size_t panel_rows, size_t row, uint16_t *panels);
  void (*pack_rows_bfloat16)(const void *rows, size_t ld, size_t count, size_t n, size_t planes, size_t panel_rows,
                             size_t row, uint16_t *panels);
  // y += x (A) rounded to the grid that adding and subtracting `rounding` rounds to (0: as it is)
  void (*add)(const void *x, size_t count, double rounding, double *y);
  // out = factor · x, and back, between float64 and T
  void (*from_doubles)(const double *x, size_t count, double factor, void *out);
  void (*to_doubles)(const void *x, size_t count, double factor, double *out);
  // out = x / step, to the nearest whole number (x / step within ±2⁵¹, of which out keeps the low 32 bits); returns the largest
  // |x / step|, Inf where an x is not finite. `inverse` is 1 / step.
  double (*to_steps)(const double *x, size_t count, double inverse, int32_t *out);
  // out = step · x
  void (*from_steps)(const int32_t *x, size_t count, double step, double *out);
  // how many of x are Inf or NaN
  size_t (*nonfinite)(const double *x, size_t count);
  // Adam (Kingma and Ba) over a range: g ← scale·g + decay·w (L2), or w ← (1 − shrink)·w (decoupled), then
  // w ← w − rate · m / (√v · root + epsilon), root = 1/√(1 − β₂ᵗ), rate = learning rate / (1 − β₁ᵗ)
  void (*adam)(void *w, const double *g, void *m, void *v, size_t count, double scale, double decay, double shrink,
               double beta1, double beta2, double rate, double root, double epsilon);
  // The same with the largest v so far, x, in v's place under the root
  void (*amsgrad)(void *w, const double *g, void *m, void *v, void *x, size_t count, double scale, double decay,
                  double shrink, double beta1, double beta2, double rate, double root, double epsilon);
  // Gradient descent: g as above, m ← momentum·m + g, then w ← w − rate · m, or with `nesterov` w − rate · (g + momentum·m);
  // with m NULL w − rate · g
  void (*sgd)(void *w, const double *g, void *m, size_t count, double scale, double decay, double shrink,
              double momentum, int nesterov, double rate);
  // y += share · (x − y), of accumulators
  void (*average)(const void *x, size_t count, double share, void *y);
} lineup_elementwise;

typedef struct {
  enum lineup_operand_format format;
  size_t panel_width;   // columns of a panel; 0: one panel as wide as the matrix
  size_t row_quantum;   // rows that one micro-tile takes
  // c (m × n, A, leading dimension ldc; columns up to whole panels are written) = or += Σ_k row_r[offset + k] · panel[k]
  // rows: of elements of the format; `plane` bytes behind each stands its lo (split format).
  // panels: [panel][panel_rows][width] (bfloat16: see pack_bfloat16), of which rows first … first + k are used
  void (*multiply)(const void *const *rows, size_t plane, size_t m, size_t offset, const void *panels,
                   size_t panel_rows, size_t first, size_t n, size_t k, int accumulate, void *c, size_t ldc,
                   void *workspace);
  // c (k × n, ldc) = or += Σ_p row_p[offset + i] · panel[p]; panels as above, p < m
  void (*multiply_transposed)(const void *const *rows, size_t plane, size_t m, size_t offset, const void *panels,
                              size_t panel_rows, size_t n, size_t k, int accumulate, void *c, size_t ldc,
                              void *workspace);
  // bytes of workspace, 64-byte aligned, that one call needs
  size_t (*workspace)(size_t m, size_t n, size_t k);
} lineup_gemm;

// Transforms of a 3×3 convolution of stride 1 to 36 products of matrices, one for each element ξ of a tile, float32.
enum { LINEUP_WINOGRAD_TILE = 4 };  // outputs a side
typedef struct {
  // v[ξ·plane + tile·ldv + channel] from pixels d[row][column][channel], `line` pixels a row; tile (i, j) begins at pixel (4i, 4j)
  void (*input)(const float *d, size_t line, size_t tile_rows, size_t tile_columns, size_t channels, float *v, size_t plane,
                size_t ldv);
  // y[pixel·ldy + channel] from m[ξ·plane + tile·ldm + channel]; of the tiles rows × columns pixels are kept
  void (*output)(const float *m, size_t plane, size_t ldm, size_t tile_rows, size_t tile_columns, size_t rows, size_t columns,
                 size_t channels, float *y, size_t ldy);
  // u[ξ·plane + i] from taps g[tap·`tap` + i], i < count
  void (*weights)(const float *g, size_t tap, size_t count, float *u, size_t plane);
  // d[ξ·plane + (channel / width)·panel + tile·width + channel % width] from rows × columns pixels y[pixel·ldy + channel] of a
  // gradient, zeros where a tile reaches beyond them; width is a multiple of a vector
  void (*gradients)(const float *y, size_t ldy, size_t tile_rows, size_t tile_columns, size_t rows, size_t columns,
                    size_t channels, float *d, size_t plane, size_t panel, size_t width);
  // taps g[tap·`tap` + row·ldg + column] of a weight gradient from s[ξ·plane + row·lds + column]
  void (*taps)(const float *s, size_t plane, size_t lds, size_t rows, size_t columns, float *g, size_t tap, size_t ldg);
} lineup_winograd;

// The best instruction set of this CPU (and of its operating system).
enum lineup_instructions lineup_best_instructions(void);
// Whether AVX-512 has dot products of bfloat16 (AVX512_BF16).
int lineup_has_bfloat16_dots(void);
// Whether they multiply more than FMAs of float32 do.
int lineup_has_fast_bfloat16_dots(void);
// The elementwise kernels of a precision.
const lineup_elementwise *lineup_elementwise_kernels(enum lineup_precision, enum lineup_instructions);
// The SIMD GEMM of an instruction set for float32 accumulators, or NULL; `bfloat16`: one that multiplies operands rounded
// to bfloat16 faster, where there is one.
const lineup_gemm *lineup_simd_gemm(enum lineup_instructions, int bfloat16);
// The one for float64, or NULL.
const lineup_gemm *lineup_simd_double_gemm(enum lineup_instructions);
// Winograd's transforms, or NULL.
const lineup_winograd *lineup_winograd_kernels(enum lineup_instructions);
// The GEMM of AMX on tiles in plain C, for any CPU: what the one on real tiles is checked against. Split or bfloat16.
const lineup_gemm *lineup_emulated_amx_gemm(enum lineup_operand_format);
// The OpenBLAS GEMM, float32 or float64 accumulators. Keeps OpenBLAS to one thread.
const lineup_gemm *lineup_blas_gemm(enum lineup_precision);
