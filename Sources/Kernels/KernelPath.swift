import CKernels
import Foundation
import Tensors

/// Which GEMM multiplies; the elementwise kernels follow the CPU, capped by the path.
///
/// | path | when | how |
/// |---|---|---|
/// | `avx512`, `avx2` | x86-64 with FMA | float16 widened to float32 while packing, register-blocked FMA |
/// | `blas` | anywhere | a panel widened, OpenBLAS; the only path of float64 |
package enum KernelPath: String, Sendable, CaseIterable {
  case amx, avx512, avx2, blas

  /// The paths that this CPU can run, best first.
  package static var available: [KernelPath] {
    switch lineup_best_instructions() {
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

  fileprivate var instructions: lineup_instructions {
    switch self {
    case .avx512, .amx: LINEUP_AVX512
    case .avx2: LINEUP_AVX2
    case .blas: lineup_best_instructions()
    }
  }
}

/// `precision.multiply`: whether operands of a product are rounded first.
package enum Multiplication: String, Sendable, CaseIterable {
  /// Products of stored elements carry no rounding beyond that of the accumulator.
  case exact
  /// Operands are rounded to bfloat16 first.
  case bfloat16
}

/// The C kernels for tensors of `E`, chosen once and passed along.
package struct Kernels<E: Element>: Sendable {
  package let path: KernelPath
  package let multiplication: Multiplication
  /// Constant tables of function pointers, in static memory of CKernels.
  package let elementwise: lineup_elementwise
  package let gemm: lineup_gemm

  package init(path: KernelPath, multiplication: Multiplication = .exact) {
    let precision = E.precision.kernelPrecision
    let simd = path == .blas || E.precision == .float64 ? nil : lineup_simd_gemm(path.instructions)
    self.path = simd == nil ? .blas : path
    self.multiplication = multiplication
    elementwise = lineup_elementwise_kernels(precision, path.instructions).pointee
    gemm = (simd ?? lineup_blas_gemm(precision)).pointee
  }

  /// The kernels for tensors of the accumulator, always exact (losses and the neck are computed in it).
  package var accumulating: Kernels<E.Accumulator> { Kernels<E.Accumulator>(path: path) }

  /// Columns of a panel of a matrix of `columns` columns.
  package func panelWidth(columns: Int) -> Int { gemm.panel_width == 0 ? columns : gemm.panel_width }

  /// `columns` filled up to whole panels.
  package func padded(columns: Int) -> Int {
    let width = panelWidth(columns: columns)
    return (columns + width - 1) / width * width
  }
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
