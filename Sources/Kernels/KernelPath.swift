import CKernels
import Foundation
import Tensors

/// Which GEMM multiplies; the elementwise kernels follow the CPU, capped by the path.
///
/// | path | when | how |
/// |---|---|---|
/// | `amx` | AMX-BF16, granted and right | float16 split in two bfloat16 while packing (or rounded to one), tiles |
/// | `avx512`, `avx2` | x86-64 with FMA | float16 widened to float32 while packing, register-blocked FMA; `avx512` multiplies bfloat16 by dot products of pairs where the CPU has an AVX512_BF16 that is faster |
/// | `blas` | anywhere | a panel widened, OpenBLAS |
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
      throw Failure.usage("LINEUP_KERNELS=\(name)", "not available on this machine (available: \(names))")
    }
    return path
  }

  var instructions: lineup_instructions {
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
