// The elementwise kernels for any CPU that the compiler's defaults allow.
#define TABLE lineup_elementwise_baseline
#define BLOCK 8
#include "elementwise_all.inc"
