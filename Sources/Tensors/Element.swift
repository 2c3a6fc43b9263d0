/// A number that tensors are stored in, with the number that sums of it are kept in.
///
/// | storage | accumulator | what for |
/// |---|---|---|
/// | `Float16` | `Float` | training |
/// | `Float` | `Float` | reference |
/// | `Double` | `Double` | probes and tests |
package protocol Element: BinaryFloatingPoint, Sendable, BitwiseCopyable {
  /// Holds products of two elements exactly enough to sum them; also what parameters are kept in.
  associatedtype Accumulator: Element where Accumulator.Accumulator == Accumulator
  static var precision: Precision { get }
}

/// `precision.storage`: what activations, their gradients and the working weights are stored in.
package enum Precision: String, Sendable, CaseIterable {
  case float16, float32, float64
}

extension Float16: Element {
  package typealias Accumulator = Float
  package static var precision: Precision { .float16 }
}

extension Float: Element {
  package typealias Accumulator = Float
  package static var precision: Precision { .float32 }
}

extension Double: Element {
  package typealias Accumulator = Double
  package static var precision: Precision { .float64 }
}
