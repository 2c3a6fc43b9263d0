import Kernels
import Tensors
import Testing

/// Kernels that layers are tested with: a path and a multiplication, or the AMX path with its tiles in plain C.
struct TestedKernels: Sendable, CustomTestStringConvertible {
  let path: KernelPath, multiplication: Multiplication
  var emulatesTiles = false

  var testDescription: String { "\(emulatesTiles ? "emulated " : "")\(path), \(multiplication)" }

  func kernels<E: Element>(_: E.Type) -> Kernels<E> where E.Accumulator == Float {
    emulatesTiles ? Kernels(emulatingAMX: multiplication) : Kernels(path: path, multiplication: multiplication)
  }

  /// All that this CPU has whose operands are bfloat16, in one plane or two, for float16 tensors; emulated ones too.
  static let narrow: [TestedKernels] = {
    let own = KernelPath.available.flatMap { path in
      Multiplication.allCases.map { TestedKernels(path: path, multiplication: $0) }
    }
    // What packs for tiles is AVX-512.
    let emulated =
      KernelPath.available.contains(.avx512)
      ? Multiplication.allCases.map { TestedKernels(path: .amx, multiplication: $0, emulatesTiles: true) } : []
    return own.filter { $0.kernels(Float16.self).gemm.format != .wide } + emulated
  }()

  /// The same operands, rounded likewise, multiplied by OpenBLAS.
  var reference: TestedKernels { TestedKernels(path: .blas, multiplication: multiplication) }
}
