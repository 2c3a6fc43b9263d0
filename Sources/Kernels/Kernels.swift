import CKernels
import Tensors

/// The kernels for tensors of `E`, chosen once and passed along: a GEMM, and functions of single elements and channels.
///
/// All of them are single-threaded and work on a range: the callers split the work over threads. Tensors are pixel-major
/// (NHWC); vectors of a value a channel, and scratch, hold accumulators.
package struct Kernels<E: Element>: Sendable {
  package typealias A = E.Accumulator
  package let path: KernelPath
  package let multiplication: Multiplication
  package let gemm: Gemm
  /// nil: all convolutions are direct.
  package let winograd: Winograd?
  /// A constant table of functions, in static memory of CKernels.
  nonisolated(unsafe) let elementwise: UnsafePointer<lineup_elementwise>

  /// `path` as far as it has a GEMM for tensors of `E`: float64, and float32 where it is exact, whose elements two bfloat16 do
  /// not hold, take `avx512` instead of `amx`.
  package init(
    path: KernelPath, multiplication: Multiplication = .exact, convolution: ConvolutionAlgorithm = .direct
  ) {
    let rounds = multiplication == .bfloat16
    let isDouble = E.precision == .float64
    let path = path == .amx && (isDouble || E.precision == .float32 && !rounds) ? .avx512 : path
    let precision = E.precision.kernelPrecision, instructions = path.instructions
    let simd =
      path == .blas
      ? nil : isDouble ? lineup_simd_double_gemm(instructions) : lineup_simd_gemm(instructions, rounds ? 1 : 0)
    let isFaster = path == .avx512 || path == .avx2
    let transforms =
      E.precision == .float16 && (convolution == .winograd && path != .blas || convolution == .auto && isFaster)
    self.init(
      path, multiplication, instructions, (simd ?? lineup_blas_gemm(precision)).pointee,
      transforms ? lineup_winograd_kernels(instructions) : nil)
  }

  /// The `amx` path with tiles in plain C, as slow as it is available anywhere: to check the rest of it.
  package init(emulatingAMX multiplication: Multiplication) where E.Accumulator == Float {
    let gemm = lineup_emulated_amx_gemm(multiplication == .bfloat16 ? LINEUP_BFLOAT16 : LINEUP_SPLIT)!
    self.init(.amx, multiplication, lineup_best_instructions(), gemm.pointee)
  }

  private init(
    _ path: KernelPath, _ multiplication: Multiplication, _ instructions: lineup_instructions, _ gemm: lineup_gemm,
    _ transforms: UnsafePointer<lineup_winograd>? = nil
  ) {
    (self.path, self.multiplication) = (path, multiplication)
    elementwise = lineup_elementwise_kernels(E.precision.kernelPrecision, instructions)
    self.gemm = Gemm(
      gemm, elementwise, accumulatorBytes: MemoryLayout<E.Accumulator>.size, multiplication)
    let elementwise = elementwise
    winograd = transforms.map { transforms in
      let simd = lineup_simd_gemm(instructions == LINEUP_AMX ? LINEUP_AVX512 : instructions, 0)!
      return Winograd(transforms.pointee, Gemm(simd.pointee, elementwise, accumulatorBytes: 4, .exact))
    }
  }

  /// The kernels for tensors of the accumulator, always exact (losses and the neck are computed in it).
  package var accumulating: Kernels<E.Accumulator> { Kernels<E.Accumulator>(path: path) }
}

extension Precision {
  fileprivate var kernelPrecision: lineup_precision {
    switch self {
    case .float16: LINEUP_FLOAT16
    case .float32: LINEUP_FLOAT32
    case .float64: LINEUP_FLOAT64
    }
  }
}
