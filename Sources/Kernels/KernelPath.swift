import CKernels
import Foundation
import Tensors

/// Which GEMM multiplies; the elementwise kernels follow the CPU, capped by the path.
///
/// | path | when | how |
/// |---|---|---|
/// | `amx` | AMX-BF16, granted and right | float16 split in two bfloat16 while packing (or rounded to one), tiles |
/// | `avx512`, `avx2` | x86-64 with FMA | float16 widened to float32 while packing, register-blocked FMA; `avx512` multiplies bfloat16 by dot products of pairs where the CPU has AVX512_BF16 |
/// | `blas` | anywhere | a panel widened, OpenBLAS; the only path of float64 |
package enum KernelPath: String, Sendable, CaseIterable {
  case amx, avx512, avx2, blas

  /// The paths that this CPU can run, best first.
  package static var available: [KernelPath] {
    switch lineup_best_instructions() {
    case LINEUP_AMX: [.amx, .avx512, .avx2, .blas]
    case LINEUP_AVX512: [.avx512, .avx2, .blas]
    case LINEUP_AVX2: [.avx2, .blas]
    default: [.blas]
    }
  }

  /// The path that `LINEUP_KERNELS` forces, or the best one. An unknown or unavailable one is a usage error.
  package static func choose(environment: [String: String] = ProcessInfo.processInfo.environment) throws -> KernelPath {
    guard let name = environment["LINEUP_KERNELS"], !name.isEmpty else { return available[0] }
    guard let path = KernelPath(rawValue: name), available.contains(path) else {
      let names = available.map(\.rawValue).joined(separator: ", ")
      throw Failure.usage("LINEUP_KERNELS=\(name): not available on this machine (available: \(names))")
    }
    return path
  }

  package var instructions: lineup_instructions {
    switch self {
    case .amx: LINEUP_AMX
    case .avx512: LINEUP_AVX512
    case .avx2: LINEUP_AVX2
    case .blas: lineup_best_instructions()
    }
  }
}

/// `precision.multiply`: whether operands of a product are rounded first.
package enum Multiplication: String, Sendable, CaseIterable {
  /// Products of stored elements carry no rounding beyond that of the accumulator; on `amx`, where lo·lo is left out, beyond
  /// 2⁻¹⁶ of a product.
  case exact
  /// Operands are rounded to bfloat16 first.
  case bfloat16
}

/// The C kernels for tensors of `E`, chosen once and passed along.
package struct Kernels<E: Element>: Sendable {
  package let path: KernelPath
  package let multiplication: Multiplication
  /// A constant table of function pointers, in static memory of CKernels.
  package let elementwise: lineup_elementwise
  package let gemm: Gemm

  /// `path` as far as it has a GEMM for tensors of `E`: float64 takes `blas`, and float32, whose elements two bfloat16 do not
  /// hold, `avx512` instead of an exact `amx`.
  package init(path: KernelPath, multiplication: Multiplication = .exact) {
    let rounds = multiplication == .bfloat16
    var path = E.precision == .float64 ? .blas : path
    if path == .amx && E.precision == .float32 && !rounds { path = .avx512 }
    self.path = path
    self.multiplication = multiplication
    let precision = E.precision.kernelPrecision
    elementwise = lineup_elementwise_kernels(precision, path.instructions).pointee
    let simd = path == .blas ? nil : lineup_simd_gemm(path.instructions, rounds ? 1 : 0)
    gemm = Gemm(
      (simd ?? lineup_blas_gemm(precision)).pointee, elementwise,
      accumulatorBytes: MemoryLayout<E.Accumulator>.size, multiplication)
  }

  /// The `amx` path with tiles in plain C, as slow as it is available anywhere: to check the rest of it.
  package init(emulatingAMX multiplication: Multiplication) where E.Accumulator == Float {
    path = .amx
    self.multiplication = multiplication
    elementwise = lineup_elementwise_kernels(E.precision.kernelPrecision, lineup_best_instructions()).pointee
    let gemm = lineup_emulated_amx_gemm(multiplication == .bfloat16 ? LINEUP_BFLOAT16 : LINEUP_SPLIT)!.pointee
    self.gemm = Gemm(gemm, elementwise, accumulatorBytes: MemoryLayout<Float>.size, multiplication)
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
