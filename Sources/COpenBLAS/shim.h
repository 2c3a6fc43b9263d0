#ifndef LINEUP_COPENBLAS_SHIM_H
#define LINEUP_COPENBLAS_SHIM_H

// OpenBLAS's own cblas.h (pkg-config names its folder): it also declares openblas_set_num_threads.
#include <cblas.h>

#endif
