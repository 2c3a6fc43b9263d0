import CKernels

/// A loop of nothing but multiply-adds: what one core can multiply at best, to hold the kernels against.
package struct Peak: Sendable {
  private let loop: lineup_peak

  /// Float32 multiply-adds of the path's instruction set, or products of bfloat16: AMX's tiles, AVX-512's dot products of
  /// pairs. nil where this CPU, or its system, has no such thing.
  package init?(_ path: KernelPath, bfloat16: Bool = false) {
    guard let loop = lineup_peak_of(path.instructions, bfloat16 ? 1 : 0) else { return nil }
    self.loop = loop.pointee
  }

  /// Floating-point operations of a round; a multiply-add is two.
  package var operations: Double { loop.operations }

  /// Single-threaded.
  package func run(rounds: Int) { loop.run(rounds) }
}
