// The GEMM through OpenBLAS, in float32 and float64: rows are gathered into a matrix, panels are the matrix itself.
//
// OpenBLAS chooses its kernel by the shape of a call. So that a value does not depend on the shard it is computed
// in, callers keep one call to the rows of one image.
#include "lineup_kernels.h"
#include <cblas.h>
#include <string.h>

static size_t single_workspace(size_t m, size_t n, size_t k) { return m * k * sizeof(float); }
static size_t double_workspace(size_t m, size_t n, size_t k) { return m * k * sizeof(double); }

static void gather(const void *const *rows, size_t m, size_t offset, size_t bytes, void *to) {
  for (size_t r = 0; r < m; r++) memcpy((char *)to + r * bytes, (const char *)rows[r] + offset, bytes);
}

#define BLAS(NAME, A, GEMM)                                                                                            \
  static void NAME##_multiply(const void *const *rows, size_t plane, size_t m, size_t offset, const void *panels,    \
                              size_t panel_rows, size_t first, size_t n, size_t k, int accumulate, void *c,            \
                              size_t ldc, void *workspace) {                                                           \
    gather(rows, m, offset * sizeof(A), k * sizeof(A), workspace);                                                     \
    GEMM(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)m, (int)n, (int)k, 1, workspace, (int)k,                      \
         (const A *)panels + first * n, (int)n, accumulate ? 1 : 0, c, (int)ldc);                                      \
  }                                                                                                                    \
  static void NAME##_multiply_transposed(const void *const *rows, size_t plane, size_t m, size_t offset,               \
                                         const void *panels, size_t panel_rows, size_t n, size_t k, int accumulate,    \
                                         void *c, size_t ldc, void *workspace) {                                       \
    gather(rows, m, offset * sizeof(A), k * sizeof(A), workspace);                                                     \
    GEMM(CblasRowMajor, CblasTrans, CblasNoTrans, (int)k, (int)n, (int)m, 1, workspace, (int)k, panels, (int)n,        \
         accumulate ? 1 : 0, c, (int)ldc);                                                                             \
  }                                                                                                                    \
  static const lineup_gemm NAME##_gemm = {LINEUP_WIDE, 0, 1, NAME##_multiply, NAME##_multiply_transposed,             \
                                           NAME##_workspace};

BLAS(single, float, cblas_sgemm)
BLAS(double, double, cblas_dgemm)

const lineup_gemm *lineup_blas_gemm(enum lineup_precision precision) {
  openblas_set_num_threads(1);  // the threads are the callers'
  return precision == LINEUP_FLOAT64 ? &double_gemm : &single_gemm;
}
